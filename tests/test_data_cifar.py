"""CIFAR-10 and CIFAR-100 in each form that was published, and batches that are none."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from test_data import Files, noise, refusal, require_same, store

from zoo.data import Dataset, open_dataset

KEYS = {
    10: {"fine": "labels"},
    100: {"fine": "fine_labels", "coarse": "coarse_labels"},
}
COUNTS = {"fine": 100, "coarse": 20}


def python2(value: object) -> bytes:
    """Return the opcodes for a value as Python 2's cPickle writes it: text of bytes, no unicode."""
    if isinstance(value, dict):
        return b"}(" + b"".join(map(python2, (x for pair in value.items() for x in pair))) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(python2, value)) + b"e"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode("latin-1")
    assert isinstance(value, np.ndarray)
    data = b"T" + struct.pack("<i", value.nbytes) + value.tobytes()
    shape = b"".join(python2(dim) for dim in value.shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR("
        b"K\x01(" + shape + b"tcnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89" + data + b"tb"
    )


def pickled2(value: object) -> bytes:
    return b"\x80\x02" + python2(value) + b"."


def pickled3(value: object) -> bytes:
    return pickle.dumps(value, 4)


WRITERS = {"python2": pickled2, "python3": pickled3, "binary": None}


class Cifar:
    """A data set of random pixels and labels, and its files in a form."""

    def __init__(self, rng, classes: int, form: str, each: int = 4) -> None:
        self.classes, self.form, self.kinds = classes, form, list(KEYS[classes])
        # Each label as often as the other, and the last one there.
        self.batches = {}
        names = [f"data_batch_{i}" for i in range(1, 6)] if classes == 10 else ["train"]
        for name in [*names, "test_batch" if classes == 10 else "test"]:
            pixels = noise(rng, each, 32, 32, 3)
            labels = {kind: rng.integers(0, self.count(kind), each) for kind in self.kinds}
            self.batches[name] = (pixels, labels)

    def count(self, kind: str) -> int:
        return 10 if self.classes == 10 else COUNTS[kind]

    def names(self, kind: str) -> list[str]:
        return [f"{kind} {i}" for i in range(self.count(kind))][::-1]

    def files(self) -> Files:
        write = WRITERS[self.form]
        found: Files = {}
        for name, (pixels, labels) in self.batches.items():
            planes = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
            if write:
                keys = {KEYS[self.classes][kind]: labels[kind].tolist() for kind in self.kinds}
                if self.form == "python3":  # as others write them
                    keys = {key: [np.int64(label) for label in keys[key]] for key in keys}
                batch = {"batch_label": "x", **keys, "data": planes, "filenames": ["a", "b"]}
                found[name] = write(batch)
            else:
                heads = [labels[kind].astype(np.uint8)[:, None] for kind in self.kinds[::-1]]
                found[f"{name}.bin"] = np.concatenate([*heads, planes], 1).tobytes()
        names = {kind: self.names(kind) for kind in self.kinds}
        if write and self.classes == 10:
            found["batches.meta"] = write({"num_vis": 3072, "label_names": names["fine"]})
        elif write:
            found["meta"] = write({f"{kind}_label_names": names[kind] for kind in self.kinds})
        elif self.classes == 10:
            found["batches.meta.txt"] = "\n".join([*names["fine"], ""]).encode()
        else:
            for kind in self.kinds:
                found[f"{kind}_label_names.txt"] = "\n".join([*names[kind], ""]).encode()
        return found

    def require(self, dataset: Dataset, kind: str) -> None:
        assert dataset.classes == tuple(self.names(kind))
        *train, test = self.batches.values()
        for split, parts in ((dataset.train, train), (dataset.test, [test])):
            labels = np.concatenate([labels[kind] for _, labels in parts])
            require_same(split, np.concatenate([pixels for pixels, _ in parts]), labels.tolist())


@pytest.mark.parametrize("kind", ["folder", "tar.gz", "zip"])
@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("classes", [10, 100])
def test_cifar(rng, tmp_path, classes, form, kind):
    cifar = Cifar(rng, classes, form)
    files = {f"cifar-{classes}/{name}": data for name, data in cifar.files().items()}
    path = store(files, tmp_path / "data", kind)
    for labels in cifar.kinds:
        cifar.require(open_dataset(path, labels=labels), labels)
    name = open_dataset(path).train.images.name(3)
    assert name == f"{path}/cifar-{classes}/train[3]"
    if classes == 10:
        assert refusal(path, labels="coarse").startswith(
            f"{path}: labels (=coarse) must be fine: it is CIFAR-10 ("
        )


def test_python2_is_read_as_python_reads_it(rng):
    batch = {"labels": [1, 2], "data": noise(rng, 2, 5)}
    found = pickle.loads(pickled2(batch), encoding="latin1")
    assert found["labels"] == [1, 2]
    np.testing.assert_array_equal(found["data"], batch["data"])


@pytest.mark.parametrize("form", ["python2", "binary"])
def test_cifar_test_images_alone(rng, tmp_path, form):
    cifar = Cifar(rng, 10, form)
    files = {name: data for name, data in cifar.files().items() if "data_batch" not in name}
    dataset = open_dataset(store(files, tmp_path / "data", "folder"))
    assert dataset.train is None
    require_same(dataset.test, cifar.batches["test_batch"][0], dataset.test.labels)


class Evaluated:
    """What a pickle of it runs creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (eval, (f"open({str(self.path)!r}, 'w').close()",))


class System(Evaluated):
    def __reduce__(self):
        return (os.system, (f"touch '{self.path}'",))


HOSTILE = {
    Evaluated: "builtins.eval",
    System: f"{os.name}.system",
}


@pytest.mark.parametrize("place", ["data_batch_3", "batches.meta"])
@pytest.mark.parametrize("payload", HOSTILE)
@pytest.mark.parametrize("key", ["data", "label_names", "unknown"])
def test_hostile_pickles_run_nothing(rng, tmp_path, payload, place, key):
    marker = tmp_path / "ran"
    hostile = {"labels": [0], "data": noise(rng, 1, 3072), "label_names": []}
    data = pickled3(hostile | {key: payload(marker)})
    files = Cifar(rng, 10, "python3").files() | {place: data}
    path = store(files, tmp_path / "data", "folder")
    assert refusal(path) == (
        f"{path}/{place}: pickle names {HOSTILE[payload]}, which no batch of CIFAR needs; "
        "nothing was run"
    )
    assert not marker.exists()
    pickle.loads(data)  # the control: Python's own reader does run it
    assert marker.exists()


def test_cifar_damage(rng, tmp_path):
    def broken(label: str, classes: int, form: str, changes: dict[str, bytes | None], **options):
        files = Cifar(rng, classes, form).files() | changes
        files = {name: data for name, data in files.items() if data is not None}
        path = store(files, tmp_path / label, "folder")
        return refusal(path, **options).removeprefix(f"{path}/")

    batch = {"labels": [0, 9], "data": noise(rng, 2, 3072)}
    assert broken(
        "range", 10, "python2", {"test_batch": pickled2(batch | {"labels": [0, 10]})}
    ) == ("test_batch: image 1: fine label (=10) must be from 0 to 9")
    assert broken(
        "minus", 10, "python3", {"test_batch": pickled3(batch | {"labels": [-1, 1]})}
    ) == ("test_batch: image 0: fine label (=-1) must be from 0 to 9")
    record = bytes([20, 5]) + bytes(3072)
    assert broken("coarse", 100, "binary", {"train.bin": record}, labels="coarse") == (
        "train.bin: image 0: coarse label (=20) must be from 0 to 19"
    )
    assert broken("cut", 10, "binary", {"data_batch_2.bin": b"x" * 3072}) == (
        "data_batch_2.bin: size (=3072 bytes) must be a multiple of 3073, the bytes of an image "
        "in CIFAR-10 (binary)"
    )
    assert broken("none", 100, "binary", {"test.bin": b""}) == "test.bin: has no images"
    assert broken("four", 10, "python2", {"data_batch_5": None}) == (
        "data_batch_5: is missing; CIFAR-10 (Python) has data_batch_1, data_batch_2, "
        "data_batch_3, data_batch_4, data_batch_5"
    )
    assert broken("unnamed", 10, "binary", {"batches.meta.txt": None}) == (
        "batches.meta.txt: is missing; it names the classes of CIFAR-10 (binary)"
    )
    assert broken("nine", 10, "binary", {"batches.meta.txt": b"a\nb\na\n"}) == (
        "batches.meta.txt: classes (=2 different names) must be 10"
    )
    for key, value, told in (
        ("labels", [1], "'labels' (=1) must be as many as the images (=2)"),
        ("labels", ["1", "2"], "'labels' must be a list of whole numbers"),
        ("labels", [1 << 40, 0], "'labels' has a label that is no number of a class"),
        ("data", noise(rng, 2, 3071), "'data' must be an array of uint8, (N, 3072)"),
        ("data", noise(rng, 2, 3072).astype(float), "'data' must be an array of uint8, (N, 3072)"),
        ("data", "pixels", "'data' must be an array of uint8, (N, 3072)"),
    ):
        changed = {"data_batch_1": pickled3(batch | {key: value})}
        assert broken(f"{key} {told}"[:30], 10, "python3", changed) == f"data_batch_1: {told}"
    assert broken("list", 10, "python3", {"test_batch": pickled3([1])}) == (
        "test_batch: must be the pickle of a dictionary"
    )
    assert broken("no key", 10, "python3", {"test_batch": pickled3({"labels": []})}) == (
        "test_batch: has no 'data'"
    )
    assert broken("damage", 10, "python3", {"test_batch": pickled3(batch)[:-9]}).startswith(
        "test_batch: pickle is damaged near byte "
    )


def test_two_data_sets_in_one_place(rng, tmp_path):
    files = {f"one/{name}": data for name, data in Cifar(rng, 10, "binary").files().items()}
    files |= {f"two/{name}": data for name, data in Cifar(rng, 100, "python2").files().items()}
    path = store(files, tmp_path / "data", "folder")
    assert refusal(path) == (
        f"{path}: holds 2 data sets, give the path of one: CIFAR-10 (binary) in {path}/one; "
        f"CIFAR-100 (Python) in {path}/two"
    )
    assert len(open_dataset(path / "two").classes) == 100


def test_npz_runs_no_pickle(rng, tmp_path):
    path, marker = tmp_path / "data.npz", tmp_path / "ran"
    hostile = np.empty(6, object)
    hostile[:] = [Evaluated(marker)] * 6
    np.savez(path, x_train=noise(rng, 6, 5, 4, 3), y_train=hostile)
    assert "holds Python objects, which are not read" in refusal(path)
    assert not marker.exists()
    with np.load(path, allow_pickle=True) as file:  # the control
        assert file["y_train"].shape == (6,)
    assert marker.exists()
