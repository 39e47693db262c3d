"""Networks from elsewhere: what a way in found, in PyTorch's terms, brought into canonical form."""
