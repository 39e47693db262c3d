"""Data sets by path: which layout there is, and what is in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from zoo.data.archives import open_tree
from zoo.data.cifar import LABELS, find_forms, read_cifar
from zoo.data.dataset import Dataset
from zoo.data.files import settle, truncated
from zoo.data.folder import read_folder
from zoo.data.npz import is_npz, read_npz
from zoo.data.tiny_imagenet import find_root, read_tiny_imagenet
from zoo.data.trees import Tree
from zoo.errors import InputError

_SOUGHT = (
    "folders of images (train/<class>/ and test/<class>/, or <class>/ alone, at least two "
    "classes), CIFAR's batches (data_batch_1 or data_batch_1.bin; meta and train, or train.bin), "
    "Tiny ImageNet's wnids.txt beside train/ or val/, arrays (.npz)"
)


def open_dataset(path: str | Path, *, labels: str = "fine", skip_corrupt: bool = False) -> Dataset:
    """Open a data set; what is there tells its layout, not what it is called.

    It may be a folder, or a zip or tar archive of one: folders of images as torchvision's
    ``ImageFolder`` reads them, CIFAR-10 and CIFAR-100 (Python's and binary batches), Tiny ImageNet
    (its own layout); or a .npz file with ``x_train``, ``y_train``, ``x_test`` and ``y_test``.
    Nothing is unpacked to the disk, and no code in any file is run.

    Small images of one size (`zoo.data.files.MAX_SIDE`) are decoded here, once, and corrupt ones
    found; others are decoded when they are asked for.

    Args:
        path: the folder or file.
        labels: of CIFAR-100, ``"fine"`` for its 100 classes or ``"coarse"`` for the 20 that these
            are sorted into.
        skip_corrupt: leave out images that cannot be read, and list them in `Dataset.skipped`;
            every image is tried here, however long it takes.

    Raises:
        InputError: there is nothing at this path, no layout that is known, or it is not complete:
            a class without images, other classes in the two splits, a label out of range, images
            that cannot be read. The message names them.
    """
    path = Path(path)
    if labels not in LABELS:
        raise InputError(f"labels (={labels}) must be {' or '.join(LABELS)}")
    dataset = _read(path, labels)
    train, test = dataset.train, dataset.test
    skipped: tuple[str, ...] = ()
    if train is not None:
        train, skipped = settle(train, skip_corrupt=skip_corrupt)
    if test is not None:
        test, more = settle(test, skip_corrupt=skip_corrupt)
        skipped += more
    return replace(dataset, train=train, test=test, skipped=skipped)


def _read(path: Path, labels: str) -> Dataset:
    """Return a data set whose images have not been looked at, if they are files."""
    if path.is_file() and is_npz(path):
        _require_fine(labels, path)
        return read_npz(path)
    tree = open_tree(path)
    forms = find_forms(tree)
    if len(forms) > 1:
        places = truncated([f"{form.name} in {tree.name(root)}" for form, root in forms])
        raise InputError(f"{path}: holds {len(forms)} data sets, give the path of one: {places}")
    if forms:
        return read_cifar(tree, *forms[0], labels)
    _require_fine(labels, path)
    root = find_root(tree)
    if root is not None:
        return read_tiny_imagenet(tree, root)
    dataset = read_folder(tree)
    if dataset is None:
        raise InputError(f"{path}: is no data set; looked for {_SOUGHT}; found {_found(tree)}")
    return dataset


def _require_fine(labels: str, path: Path) -> None:
    if labels != "fine":
        raise InputError(f"{path}: labels (={labels}) has a meaning for CIFAR-100 alone")


def _found(tree: Tree) -> str:
    """Return what is at the top of a tree, for a message."""
    folders = [f"{name}/" for name in tree.children("")]
    return (
        truncated([*folders, *(file for file in tree.files if "/" not in file)], ", ") or "nothing"
    )
