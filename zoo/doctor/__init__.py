"""What is installed, whether it works, and what is known to slow it down. See `diagnose`."""
