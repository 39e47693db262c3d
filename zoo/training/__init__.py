"""Training: the loop over epochs that every framework shares, and what a run leaves behind."""
