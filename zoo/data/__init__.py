"""Data sets from disk, and the input pipeline that feeds every framework alike."""

from zoo.data.arrays import ArrayImages
from zoo.data.dataset import Dataset, Images, Split
from zoo.data.files import FileImages, in_memory
from zoo.data.open import open_dataset
from zoo.data.statistics import mean_and_std

__all__ = [
    "ArrayImages",
    "Dataset",
    "FileImages",
    "Images",
    "Split",
    "in_memory",
    "mean_and_std",
    "open_dataset",
]
