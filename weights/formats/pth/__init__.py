"""PyTorch checkpoints without PyTorch, and without running what they name."""

from weights.formats.pth.format import FORMAT

__all__ = ["FORMAT"]
