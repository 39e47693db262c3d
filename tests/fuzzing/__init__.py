"""What tests/fuzz.py is made of: doors, their valid samples, mutations, and the child process."""
