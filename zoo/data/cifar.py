"""CIFAR-10 and CIFAR-100 as published: batches of raw pixels, Python's or binary.

https://www.cs.toronto.edu/~kriz/cifar.html. The Python batches are pickles of Python 2; they are
read by our own reader of pickles (`weights.formats.pth`), which runs nothing that a file names.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from weights.formats.pth.inert import ForbiddenNameError, Global, Record
from weights.formats.pth.numpy_objects import PickledArray, numpy_names
from weights.formats.pth.pickles import load
from zoo.data.arrays import ArrayImages
from zoo.data.dataset import Dataset, Split
from zoo.data.trees import Tree, prefix
from zoo.errors import InputError, WeightsError

LABELS = ("fine", "coarse")

SIDE = 32
PIXELS = 3 * SIDE * SIDE


@dataclass(frozen=True)
class Layout:
    """One of the published forms.

    Attributes:
        name: as messages call it.
        train: files of the training images.
        test: file of the test images.
        names: kind of label → (file that names its classes, the key there if it is a pickle).
        classes: kind of label → how many classes there are.
        keys: kind of label → where a batch has it: the key, or the byte before the pixels.
        head: bytes before the pixels of each image in a binary batch; 0 for pickles.
    """

    name: str
    train: tuple[str, ...]
    test: str
    names: dict[str, tuple[str, str]]
    classes: dict[str, int]
    keys: dict[str, str | int]
    head: int = 0


_FIVE = tuple(f"data_batch_{i}" for i in range(1, 6))
_HUNDRED = {"fine": 100, "coarse": 20}
LAYOUTS = (
    Layout(
        "CIFAR-10 (Python)", _FIVE, "test_batch",
        {"fine": ("batches.meta", "label_names")}, {"fine": 10}, {"fine": "labels"},
    ),
    Layout(
        "CIFAR-10 (binary)", tuple(f"{name}.bin" for name in _FIVE), "test_batch.bin",
        {"fine": ("batches.meta.txt", "")}, {"fine": 10}, {"fine": 0}, head=1,
    ),
    Layout(
        "CIFAR-100 (Python)", ("train",), "test",
        {kind: ("meta", f"{kind}_label_names") for kind in _HUNDRED}, _HUNDRED,
        {kind: f"{kind}_labels" for kind in _HUNDRED},
    ),
    Layout(
        "CIFAR-100 (binary)", ("train.bin",), "test.bin",
        {kind: (f"{kind}_label_names.txt", "") for kind in _HUNDRED}, _HUNDRED,
        {"coarse": 0, "fine": 1}, head=2,
    ),
)  # fmt: skip


def find_forms(tree: Tree) -> list[tuple[Layout, str]]:
    """Return what forms there are, and the folder of each: any batch makes one.

    The files ``train`` and ``test`` alone could be anything: they need ``meta`` beside them.
    """
    files = set(tree.files)
    places = [file.rpartition("/")[::2] for file in files]
    found: list[tuple[Layout, str]] = []
    for form in LAYOUTS:
        batches = {*form.train, form.test}
        roots = sorted({folder for folder, name in places if name in batches})
        if "train" in batches:
            roots = [root for root in roots if prefix(root) + "meta" in files]
        found += [(form, root) for root in roots]
    return found


def read_cifar(tree: Tree, form: Layout, root: str, labels: str) -> Dataset:
    """Return the data set.

    Args:
        tree: where the batches are.
        form: which there are.
        root: the folder that they are in.
        labels: of CIFAR-100, one of its 100 classes or of the 20 that these are sorted into.

    Raises:
        InputError: a batch is missing or damaged, or a label is out of range.
    """
    if labels not in form.keys:
        raise InputError(
            f"{tree.path}: labels (={labels}) must be {' or '.join(form.keys)}: it is {form.name}"
        )
    files = set(tree.below(root))
    classes = _class_names(tree, form, root, labels, files)
    there = [prefix(root) + name in files for name in form.train]
    train = _split(tree, form, root, form.train, labels, classes) if any(there) else None
    has_test = prefix(root) + form.test in files
    test = _split(tree, form, root, (form.test,), labels, classes) if has_test else None
    return Dataset(str(tree.path), train, test)


def _split(
    tree: Tree, form: Layout, root: str, names: tuple[str, ...], kind: str, classes: tuple[str, ...]
) -> Split:
    all_pixels, all_labels = [], []
    for name in names:
        file = prefix(root) + name
        if file not in tree.files:
            raise InputError(f"{tree.name(file)}: is missing; {form.name} has {', '.join(names)}")
        read = _binary if form.head else _pickled
        pixels, labels = read(tree, form, file, kind)
        if not len(labels):
            raise InputError(f"{tree.name(file)}: has no images")
        wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if len(wrong):
            raise InputError(
                f"{tree.name(file)}: image {wrong[0]}: {kind} label (={labels[wrong[0]]}) must be "
                f"from 0 to {len(classes) - 1}"
            )
        planes = pixels.reshape(-1, 3, SIDE, SIDE)
        all_pixels.append(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)))
        all_labels.append(labels)
    one = len(all_pixels) == 1
    images = all_pixels[0] if one else np.concatenate(all_pixels)
    part = "test" if names == (form.test,) else "train"
    return Split(
        ArrayImages(images, tree.name(f"{prefix(root)}{part}")),
        np.concatenate(all_labels).astype(np.int64),
        classes,
    )


def _class_names(
    tree: Tree, form: Layout, root: str, kind: str, files: set[str]
) -> tuple[str, ...]:
    name, key = form.names[kind]
    file = prefix(root) + name
    if file not in files:
        raise InputError(f"{tree.name(file)}: is missing; it names the classes of {form.name}")
    if form.head:
        lines = tree.read(file).decode("utf-8", "replace").splitlines()
        names = [line.strip() for line in lines if line.strip()]
    else:
        names = _texts(tree, file, key)
    if len(set(names)) != len(names) or len(names) != form.classes[kind]:
        raise InputError(
            f"{tree.name(file)}: classes (={len(set(names))} different names) must be "
            f"{form.classes[kind]}"
        )
    return tuple(names)


# ── Binary batches ───────────────────────────────────────────────────────────────────────────────


def _binary(tree: Tree, form: Layout, file: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels (N, 3072) and labels (N,) of a batch: records of labels and pixels."""
    data = tree.read(file)
    record = form.head + PIXELS
    if len(data) % record:
        raise InputError(
            f"{tree.name(file)}: size (={len(data)} bytes) must be a multiple of {record}, the "
            f"bytes of an image in {form.name}"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    return records[:, form.head :], records[:, int(form.keys[kind])].astype(np.int64)


# ── Python's batches ─────────────────────────────────────────────────────────────────────────────


class _Python2Array(PickledArray):
    """An array; Python 2 had no bytes but text, each character of which is one."""

    __slots__ = ()

    def set_state(self, state: object) -> None:
        if type(state) is tuple and state and type(state[-1]) is str:
            state = (*state[:-1], state[-1].encode("latin-1"))
        super().set_state(state)


_RECONSTRUCT = "numpy.core.multiarray._reconstruct"


def _record(tree: Tree, file: str) -> Record:
    """Return the dictionary that a batch is."""
    names = numpy_names()
    names[_RECONSTRUCT] = Global(_RECONSTRUCT, lambda args: _Python2Array())
    try:
        found = load(io.BytesIO(tree.read(file)), names)
    except ForbiddenNameError as error:
        named = str(error).partition(", which")[0]
        raise InputError(
            f"{tree.name(file)}: {named}, which no batch of CIFAR needs; nothing was run"
        ) from None
    except WeightsError as error:
        raise InputError(f"{tree.name(file)}: {error}") from None
    if not isinstance(found, Record):
        raise InputError(f"{tree.name(file)}: must be the pickle of a dictionary")
    return found


def _value(tree: Tree, file: str, record: Record, key: str) -> object:
    if key not in record.items:
        raise InputError(f"{tree.name(file)}: has no {key!r}")
    value = record.items[key]
    if not isinstance(value, PickledArray):
        return value
    try:
        return value.array(key)
    except WeightsError as error:
        raise InputError(f"{tree.name(file)}: {error}") from None


def _texts(tree: Tree, file: str, key: str) -> list[str]:
    texts = _value(tree, file, _record(tree, file), key)
    if type(texts) is not list or not all(type(text) is str for text in texts):
        raise InputError(f"{tree.name(file)}: {key!r} must be a list of texts")
    return texts


def _pickled(tree: Tree, form: Layout, file: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels (N, 3072) and labels (N,) of a batch."""
    record = _record(tree, file)
    key = str(form.keys[kind])
    pixels = _value(tree, file, record, "data")
    labels = _value(tree, file, record, key)
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.shape != (len(pixels), PIXELS)
    ):
        raise InputError(f"{tree.name(file)}: 'data' must be an array of uint8, (N, {PIXELS})")
    if isinstance(labels, np.ndarray):
        labels = labels.tolist()
    if type(labels) is not list or not all(type(label) is int for label in labels):
        raise InputError(f"{tree.name(file)}: {key!r} must be a list of whole numbers")
    if len(labels) != len(pixels):
        raise InputError(
            f"{tree.name(file)}: {key!r} (={len(labels)}) must be as many as the images "
            f"(={len(pixels)})"
        )
    if any(abs(label) >= 1 << 31 for label in labels):
        raise InputError(f"{tree.name(file)}: {key!r} has a label that is no number of a class")
    return pixels, np.array(labels, np.int64)
