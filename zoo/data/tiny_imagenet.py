"""Tiny ImageNet in its own layout: training images by class, validation images by a table.

http://cs231n.stanford.edu/tiny-imagenet-200.zip. Its test images have no labels and are not read.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from zoo.data.dataset import Dataset, Split
from zoo.data.files import FileImages, truncated
from zoo.data.folder import class_files, make_split
from zoo.data.trees import Tree, prefix
from zoo.errors import InputError
from zoo.pictures import SUFFIXES

MARKER = "wnids.txt"
ANNOTATIONS = "val/val_annotations.txt"


def find_root(tree: Tree) -> str | None:
    """Return the folder that holds the data set, or None where none does."""
    places = [file.rpartition("/") for file in tree.files]
    roots = [folder for folder, _, name in places if name == MARKER]
    roots = [root for root in roots if {"train", "val"} & set(tree.children(root))]
    return min(roots, key=lambda root: (root.count("/"), root), default=None)


def read_tiny_imagenet(tree: Tree, root: str) -> Dataset:
    """Return the data set; validation images are those to test with.

    Classes are in the order of their WordNet numbers, which is that of ``ImageFolder``, and not
    always that of ``wnids.txt``. They have the first name that ``words.txt`` tells, or their
    WordNet number where that name is another's too or there is none.

    Raises:
        InputError: a table is damaged, or it and the images do not fit each other.
    """
    table = tree.name(prefix(root) + MARKER)
    numbers = sorted(_lines(tree, prefix(root) + MARKER))
    twice = [number for number, times in Counter(numbers).items() if times > 1]
    if twice or len(numbers) < 2:
        problem = (
            f"has {truncated(twice, ', ')} twice" if twice else "must name two classes at least"
        )
        raise InputError(f"{table}: {problem}")
    classes = _names(tree, root, numbers)
    train = test = None
    if "train" in tree.children(root):
        train = _by_folder(tree, prefix(root) + "train", numbers, classes)
    if prefix(root) + ANNOTATIONS in tree.files:
        test = _by_table(tree, root, numbers, classes)
    elif "val" in tree.children(root):  # often sorted into folders, for torchvision
        test = _by_folder(tree, prefix(root) + "val", numbers, classes)
    return Dataset(str(tree.path), train, test)


def _by_folder(tree: Tree, root: str, numbers: list[str], classes: tuple[str, ...]) -> Split:
    found = class_files(tree, root)
    return make_split(tree, root, {name: found.get(name, []) for name in numbers}, classes)


def _by_table(tree: Tree, root: str, numbers: list[str], classes: tuple[str, ...]) -> Split:
    """Return the validation images, sorted by name, with the classes that the table tells."""
    table = prefix(root) + ANNOTATIONS
    index = {number: i for i, number in enumerate(numbers)}
    labels: dict[str, int] = {}
    for count, line in enumerate(_lines(tree, table), 1):
        name, *rest = line.split("\t")
        if not rest:
            raise InputError(f"{tree.name(table)}: line {count} must be a file, a tab and a class")
        if rest[0] not in index:
            raise InputError(
                f"{tree.name(table)}: line {count}: class (={rest[0]}) must be in {MARKER}"
            )
        labels[f"{prefix(root)}val/images/{name}"] = index[rest[0]]
    beside = tree.below(f"{prefix(root)}val/images")
    there = {file for file in beside if file.lower().endswith(SUFFIXES)}
    for problem, names in (
        ("names images that are not there", sorted(set(labels) - there)),
        ("does not name the images", sorted(there - set(labels))),
    ):
        if names:
            short = [name.rpartition("/")[2] for name in names]
            raise InputError(f"{tree.name(table)}: {problem}: {truncated(short, ', ')}")
    if not labels:
        raise InputError(f"{tree.name(table)}: names no images")
    files = tuple(sorted(labels))
    found = np.array([labels[file] for file in files], np.int64)
    return Split(FileImages(tree, files), found, classes)


def _names(tree: Tree, root: str, numbers: list[str]) -> tuple[str, ...]:
    file = prefix(root) + "words.txt"
    words = {}
    for line in _lines(tree, file) if file in tree.files else ():
        number, _, names = line.partition("\t")
        words[number] = names.split(",")[0].strip()
    first = [words.get(number) or number for number in numbers]
    times = Counter(first)
    return tuple(
        name if times[name] == 1 else number for name, number in zip(first, numbers, strict=True)
    )


def _lines(tree: Tree, file: str) -> list[str]:
    """Return the lines of a text file that are not empty."""
    try:
        text = tree.read(file).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{tree.name(file)}: must be text in UTF-8: {error}") from None
    return [line.strip() for line in text.splitlines() if line.strip()]
