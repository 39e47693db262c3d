"""Data sets as folders of images, one a class: the layout of torchvision's ``ImageFolder``."""

from __future__ import annotations

import numpy as np

from zoo.data.dataset import Dataset, Split
from zoo.data.files import FileImages, truncated
from zoo.data.trees import Tree, prefix
from zoo.errors import InputError
from zoo.pictures import SUFFIXES

TRAIN = "train"
TESTS = ("test", "val", "validation", "valid")
"""Names of folders to test with; of several, the first with the training images' classes is."""


def read_folder(tree: Tree) -> Dataset | None:
    """Return a data set of folders, or None where there are none that are classes.

    ``train/<class>/…`` and ``test/<class>/…`` are the two splits; ``<class>/…`` alone is a training
    set. Either may be inside other folders that hold nothing else. Classes are in the order of
    their names, images in that of their folders and names, both as ``ImageFolder`` has them.

    Raises:
        InputError: a class has no images, there is only one, or the classes of the two splits
            differ.
    """
    root: str | None = ""
    while root is not None:
        parts = {name.lower(): prefix(root) + name for name in tree.children(root)}
        parts = {name: parts[name] for name in (TRAIN, *TESTS) if name in parts}
        found = {name: class_files(tree, parts[name]) for name in parts}
        found = {name: classes for name, classes in found.items() if any(classes.values())}
        if found:
            return _two(tree, parts, found)
        classes = class_files(tree, root)
        filled = [name for name, files in classes.items() if files]
        if filled and all(name.lower() in parts for name in filled):
            raise InputError(
                f"{tree.path}: the images in {truncated(filled, ', ')} are in no folders that tell "
                "their classes"
            )
        if len(filled) > 1:
            return Dataset(str(tree.path), make_split(tree, root, classes), None)
        root = prefix(root) + filled[0] if filled else None
    return None


def class_files(tree: Tree, root: str) -> dict[str, list[str]]:
    """Return the images below each folder right below ``root``, in order; some have none."""
    start = prefix(root)
    found: dict[str, list[str]] = {name: [] for name in tree.children(root)}
    for file in tree.files:
        if file.startswith(start) and file.lower().endswith(SUFFIXES):
            name, slash, _ = file[len(start) :].partition("/")
            if slash:
                found[name].append(file)
    for files in found.values():
        files.sort(key=lambda file: file.rpartition("/")[::2])
    return found


def make_split(
    tree: Tree, root: str, files: dict[str, list[str]], classes: tuple[str, ...] | None = None
) -> Split:
    """Return a split of the images of each class.

    Args:
        tree: where they are.
        root: the folder that the classes are in.
        files: the images of each class, in the order of the labels.
        classes: what the classes are called, if not as their folders are.

    Raises:
        InputError: a class has no images, or there is only one.
    """
    empty = [name for name, images in files.items() if not images]
    if empty:
        raise InputError(
            f"{tree.name(root)}: no images in the folders of the classes {truncated(empty, ', ')}"
        )
    if len(files) == 1:
        raise InputError(f"{tree.name(root)}: has one class ({next(iter(files))}), must have two")
    labels = np.repeat(np.arange(len(files)), [len(images) for images in files.values()])
    images = FileImages(tree, tuple(file for each in files.values() for file in each))
    return Split(images, labels.astype(np.int64), classes or tuple(files))


def _two(tree: Tree, roots: dict[str, str], found: dict[str, dict[str, list[str]]]) -> Dataset:
    splits = {name: make_split(tree, roots[name], files) for name, files in found.items()}
    train = splits.pop(TRAIN, None)
    if train is None or not splits:
        return Dataset(str(tree.path), train, next(iter(splits.values()), None))
    for test in splits.values():
        if test.classes == train.classes:
            return Dataset(str(tree.path), train, test)
    name, test = next(iter(splits.items()))
    only = {
        TRAIN: sorted(set(train.classes) - set(test.classes)),
        name: sorted(set(test.classes) - set(train.classes)),
    }
    raise InputError(
        f"{tree.path}: {TRAIN} and {name} must have the same classes; "
        + "; ".join(
            f"only in {part}: {truncated(names, ', ')}" for part, names in only.items() if names
        )
    )
