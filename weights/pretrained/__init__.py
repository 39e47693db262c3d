"""Published weights: which there are, what they promise, and how they come onto this machine."""

from weights.pretrained.catalogue import find, is_tag, list_pretrained
from weights.pretrained.download import cache_path, fetch
from weights.pretrained.entry import IMAGENET, Preprocessing, Pretrained
from weights.pretrained.store import load_pretrained

__all__ = [
    "IMAGENET",
    "Preprocessing",
    "Pretrained",
    "cache_path",
    "fetch",
    "find",
    "is_tag",
    "list_pretrained",
    "load_pretrained",
]
