"""Pictures and pages of runs and evaluations."""
