"""Published weights: which there are, what they promise, and how they come onto this machine."""

from weights.pretrained.best import best, named
from weights.pretrained.catalog import BEST, find, is_tag, list_pretrained
from weights.pretrained.download import cache_path, fetch
from weights.pretrained.entry import Pretrained
from weights.pretrained.known import known_preprocessing
from weights.pretrained.store import load_pretrained
from zoo.arch.preprocessing import IMAGENET, Preprocessing

__all__ = [
    "BEST",
    "IMAGENET",
    "Preprocessing",
    "Pretrained",
    "best",
    "cache_path",
    "fetch",
    "find",
    "is_tag",
    "known_preprocessing",
    "list_pretrained",
    "load_pretrained",
    "named",
]
