"""Data sets from disk: every layout read back as it was written, and what is refused.

Pixels are random, from 1 to 255, and stored without loss, so that all comparisons are exact.
"""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.data import (
    ArrayImages,
    FileImages,
    Split,
    in_memory,
    mean_and_std,
    open_dataset,
)
from zoo.data import files as files_module
from zoo.errors import InputError

Files = dict[str, bytes]


def noise(rng, *shape: int) -> np.ndarray:
    return rng.integers(1, 256, shape, np.uint8)


def png(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1, **options)
    return file.getvalue()


def store(files: Files, path: Path, kind: str) -> Path:
    """Write files into a folder or an archive; a name that ends in / is an empty folder."""
    if kind == "folder":
        for name, data in files.items():
            place = path / name
            (place if name.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
            if not name.endswith("/"):
                place.write_bytes(data)
    elif kind.startswith("zip"):
        method = zipfile.ZIP_STORED if kind == "zip stored" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, f"w:{kind.partition('.')[2]}") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(f"./{name}".rstrip("/"))
                info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


KINDS = ("folder", "zip", "zip stored", "tar", "tar.gz", "tar.bz2", "tar.xz")


def pixels_of(split: Split) -> list[np.ndarray]:
    return [np.asarray(split.images.picture(i)) for i in range(len(split))]


def require_same(split: Split | None, pictures: Iterable[np.ndarray], labels: Iterable[int]):
    assert split is not None
    pictures = list(pictures)
    assert split.labels.dtype == np.int64
    assert split.labels.tolist() == list(labels)
    assert len(split) == len(split.images) == len(pictures)
    for found, expected in zip(pixels_of(split), pictures, strict=True):
        np.testing.assert_array_equal(found, expected)


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(InputError) as error:
        open_dataset(path, **options)
    return str(error.value)


# ── Folders of images ────────────────────────────────────────────────────────────────────────────

CLASSES = ("Zebra", "ant", "b10", "b9")  # sorted as Python sorts text


def scenes(rng, part: str, each: int = 3, shape=(7, 9, 3)) -> dict[str, np.ndarray]:
    return {f"{part}{name}/{i}.png": noise(rng, *shape) for name in CLASSES for i in range(each)}


def as_files(pictures: dict[str, np.ndarray]) -> Files:
    return {name: png(pixels) for name, pixels in pictures.items()}


NUMBERS = [i for i in range(4) for _ in range(3)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("above", "train", "test"),
    [
        ("", "train/", "test/"),
        ("", "train/", "val/"),
        ("some/where/", "Train/", "validation/"),
        ("", "train/", None),
        ("x/", None, "valid/"),
    ],
)
def test_folders(rng, tmp_path, kind, above, train, test):
    parts = {part: scenes(rng, above + part) for part in (test, train) if part}
    files = {name: data for part in parts.values() for name, data in as_files(part).items()}
    files |= {"readme.txt": b"no image", "__MACOSX/train/ant/0.png": b"junk"}
    files |= {f"{above}{part}.hidden/x.png": b"junk" for part in parts}
    dataset = open_dataset(store(files, tmp_path / "data", kind))
    assert dataset.classes == CLASSES
    assert dataset.name == str(tmp_path / "data")
    assert dataset.skipped == ()
    for split, part in ((dataset.train, train), (dataset.test, test)):
        if part is None:
            assert split is None
            continue
        assert isinstance(split.images, ArrayImages)
        assert split.classes == CLASSES
        require_same(split, parts[part].values(), NUMBERS)
        assert split.images.name(4) == f"{tmp_path / 'data'}/{above}{part}ant/1.png"


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize("above", ["", "pictures/"])
def test_classes_alone_are_a_training_set(rng, tmp_path, kind, above):
    pictures = scenes(rng, above)
    dataset = open_dataset(store(as_files(pictures), tmp_path / "data", kind))
    assert dataset.test is None
    require_same(dataset.train, pictures.values(), NUMBERS)


def test_train_and_test_may_be_classes_themselves(rng, tmp_path):
    """Of trains and boats, where no folder named train holds folders."""
    pictures = {f"{name}/0.png": noise(rng, 4, 4, 3) for name in ("boat", "train")}
    dataset = open_dataset(store(as_files(pictures), tmp_path / "data", "folder"))
    assert dataset.classes == ("boat", "train")
    require_same(dataset.train, pictures.values(), [0, 1])


def test_of_several_the_one_with_the_same_classes_is_the_test(rng, tmp_path):
    pictures = scenes(rng, "train/"), scenes(rng, "val/")
    unlabeled = {"test/images/0.png": noise(rng, 5, 5, 3), "test/more/1.png": noise(rng, 5, 5, 3)}
    files = as_files(pictures[0] | pictures[1] | unlabeled)
    dataset = open_dataset(store(files, tmp_path / "data", "folder"))
    require_same(dataset.test, pictures[1].values(), NUMBERS)


@pytest.mark.parametrize("size", [(5, 6, 3), None], ids=["one size", "many sizes"])
def test_order_is_that_of_torchvision(rng, tmp_path, size):
    from torchvision.datasets import ImageFolder

    names = [
        "b/10.png", "b/9.JPG", "b/x.Jpeg", "B/1.bmp", "a b/0.png", "a/z/0.png", "a/a.png",
        "a/z.png", "a/z/deep/er.tiff", "a/z-/1.png", "ä/1.webp", "a/note.txt", "c_/1.ppm",
    ]  # fmt: skip
    for name in names:
        shape = size or (*rng.integers(3, 9, 2), 3)
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            Image.fromarray(noise(rng, *shape)).save(path)
    theirs = ImageFolder(str(tmp_path / "data"))
    ours = open_dataset(tmp_path / "data").train
    assert list(ours.classes) == theirs.classes
    assert isinstance(ours.images, ArrayImages if size else FileImages)
    assert [ours.images.name(i) for i in range(len(ours))] == [path for path, _ in theirs.samples]
    require_same(ours, (np.asarray(theirs[i][0]) for i in range(len(theirs))), theirs.targets)


def test_modes_become_rgb(rng, tmp_path):
    """As Pillow converts them, without its warning of transparent colors in a palette."""
    gray, color = noise(rng, 6, 6), noise(rng, 6, 6, 3)
    palette = Image.fromarray(color).quantize(16)
    file = io.BytesIO()
    palette.save(file, "PNG", transparency=bytes(range(16)))
    files = {
        "a/gray.png": png(gray),
        "a/palette.png": file.getvalue(),
        "b/alpha.png": png(np.concatenate([color, noise(rng, 6, 6, 1)], -1)),
        "b/rgb.png": png(color),
    }
    dataset = open_dataset(store(files, tmp_path / "data", "zip"))
    expected = [np.repeat(gray[..., None], 3, -1), np.asarray(palette.convert("RGB")), color]
    require_same(dataset.train, [*expected, color], [0, 0, 1, 1])


def read_one(images: FileImages, index: int) -> np.ndarray:
    return np.asarray(images.picture(index))


@pytest.fixture(scope="module")
def pools():
    context = get_context("forkserver")
    with ThreadPoolExecutor(8) as threads, ProcessPoolExecutor(2, context) as processes:
        yield threads, processes


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.xz"])
def test_files_are_shared_by_threads_and_processes(rng, tmp_path, pools, kind):
    pictures = {f"{i % 2}/{i // 2:02}.png": noise(rng, 5 + i, 30, 3) for i in range(40)}
    images = open_dataset(store(as_files(pictures), tmp_path / "data", kind)).train.images
    assert isinstance(images, FileImages)
    expected = [pictures[name] for name in sorted(pictures)]
    order = rng.permutation(np.repeat(np.arange(40), 8)).tolist()
    for pool in pools:
        found = pool.map(read_one, [images] * len(order), order, chunksize=40)
        for index, pixels in zip(order, found, strict=True):
            np.testing.assert_array_equal(pixels, expected[index])


def test_only_small_images_of_one_size_are_decoded(rng, tmp_path, monkeypatch):
    def opened(name: str, *shapes: tuple[int, int]) -> Split:
        pictures = {f"{i}/0.png": noise(rng, *shape, 3) for i, shape in enumerate(shapes)}
        split = open_dataset(store(as_files(pictures), tmp_path / name, "folder")).train
        require_same(split, pictures.values(), range(len(shapes)))
        return split

    assert isinstance(opened("small", (8, 8), (8, 8)).images, ArrayImages)
    split = opened("turned", (8, 9), (9, 8))
    assert isinstance(split.images, FileImages)
    assert in_memory(split) is split
    assert isinstance(opened("wide", (8, 129), (8, 129)).images, FileImages)
    monkeypatch.setattr(files_module, "MAX_BYTES", 3 * 8 * 8 * 3 - 1)
    assert isinstance(opened("fits", (8, 8), (8, 8)).images, ArrayImages)
    split = opened("many", (8, 8), (8, 8), (8, 8))
    assert isinstance(split.images, FileImages)
    monkeypatch.undo()
    decoded = in_memory(split)
    assert isinstance(decoded.images, ArrayImages)
    assert in_memory(decoded) is decoded
    require_same(decoded, pixels_of(split), range(3))
    assert decoded.images.name(1) == split.images.name(1)


# ── Tiny ImageNet ────────────────────────────────────────────────────────────────────────────────

WNIDS = ("n03", "n01", "n04", "n02")
WORDS = "n01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane\nn99\tnothing\n"


def tiny(rng) -> tuple[dict[str, np.ndarray], list[int], dict[str, np.ndarray], list[int], Files]:
    order = sorted(WNIDS)
    train = {
        f"t/train/{name}/images/{name}_{i}.JPEG": noise(rng, 6, 6, 3)
        for name in order
        for i in range(2)
    }
    val = {f"t/val/images/val_{i}.JPEG": noise(rng, 6, 6, 3) for i in range(7)}
    labels = rng.integers(0, 4, 7).tolist()
    lines = [
        f"{name.rpartition('/')[2]}\t{order[label]}\t0\t0\t62\t62\n"
        for name, label in zip(val, labels, strict=True)
    ]
    files = as_files(train | val)  # PNG by another name: contents decide
    files |= {
        "t/wnids.txt": "\n".join(WNIDS).encode(),
        "t/words.txt": WORDS.encode(),
        "t/val/val_annotations.txt": "".join(lines[::-1]).encode(),
        "t/test/images/test_0.JPEG": b"unlabeled, and never read",
        "t/train/n01/n01_boxes.txt": b"n01_0.JPEG\t0\t0\t1\t1\n",
        "t/val/images/Thumbs.db": b"junk",
    }
    return train, [0, 0, 1, 1, 2, 2, 3, 3], val, labels, files


@pytest.mark.parametrize("kind", KINDS)
def test_tiny_imagenet(rng, tmp_path, kind):
    train, train_labels, val, val_labels, files = tiny(rng)
    dataset = open_dataset(store(files, tmp_path / "data", kind))
    assert dataset.classes == dataset.test.classes == ("goldfish", "n02", "n03", "n04")
    require_same(dataset.train, train.values(), train_labels)
    require_same(dataset.test, val.values(), val_labels)


def test_tiny_imagenet_sorted_into_folders(rng, tmp_path):
    _, _, val, labels, files = tiny(rng)
    del files["t/val/val_annotations.txt"], files["t/words.txt"]
    moved = {}
    for (name, pixels), label in zip(val.items(), [*range(4), *labels[4:]], strict=True):
        del files[name]
        place = name.replace("images", f"{sorted(WNIDS)[label]}/images")
        files[place], moved[place] = png(pixels), pixels
    dataset = open_dataset(store(files, tmp_path / "data", "folder"))
    assert dataset.classes == tuple(sorted(WNIDS))
    order = sorted(moved)
    found = [sorted(WNIDS).index(place.split("/")[2]) for place in order]
    require_same(dataset.test, [moved[place] for place in order], found)


def test_tiny_imagenet_damage(rng, tmp_path):
    *_, files = tiny(rng)
    table = files["t/val/val_annotations.txt"]
    rows = table.splitlines(keepends=True)
    for number, (change, told) in enumerate((
        ({"wnids.txt": b"n01\nn02\nn01"}, "wnids.txt: has n01 twice"),
        ({"wnids.txt": b"n01"}, "wnids.txt: must name two classes at least"),
        ({"wnids.txt": b"n01\xff\n"}, "wnids.txt: must be text in UTF-8: "),
        (
            {"wnids.txt": b"n01\nn02\nn03\nn04\nn05"},
            "train: no images in the folders of the classes n05",
        ),
        (
            {"val/val_annotations.txt": rows[0] + b"val_9.JPEG\tn07\t1\n"},
            "val/val_annotations.txt: line 2: class (=n07) must be in wnids.txt",
        ),
        (
            {"val/val_annotations.txt": b"val_1.JPEG n01\n"},
            "val/val_annotations.txt: line 1 must be a file, a tab and a class",
        ),
        (
            {"val/val_annotations.txt": table + b"val_9.JPEG\tn01\t0\n"},
            "val/val_annotations.txt: names images that are not there: val_9.JPEG",
        ),
        (
            {"val/val_annotations.txt": b"".join(rows[2:])},
            "val/val_annotations.txt: does not name the images: val_5.JPEG, val_6.JPEG",
        ),
    )):  # fmt: skip
        changed = files | {f"t/{name}": data for name, data in change.items()}
        path = store(changed, tmp_path / str(number), "folder")
        assert refusal(path).startswith(f"{path}/t/{told}")


# ── Arrays ───────────────────────────────────────────────────────────────────────────────────────


def arrays(rng) -> dict[str, np.ndarray]:
    return {
        "x_train": noise(rng, 6, 5, 4, 3), "y_train": np.array([0, 2, 1, 1, 2, 0], np.uint8),
        "x_test": noise(rng, 3, 5, 4, 3), "y_test": np.array([[2], [0], [2]], np.int64),
        "readme": np.array("text"),
    }  # fmt: skip


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(rng, tmp_path, save):
    found = arrays(rng)
    path = tmp_path / "any.name"
    with path.open("wb") as file:
        save(file, **found)
    dataset = open_dataset(path)
    assert dataset.classes == ("0", "1", "2")
    require_same(dataset.train, found["x_train"], found["y_train"])
    require_same(dataset.test, found["x_test"], found["y_test"][:, 0])
    assert dataset.test.images.name(2) == f"{path}: x_test[2]"
    assert refusal(path, labels="coarse") == (
        f"{path}: labels (=coarse) has a meaning for CIFAR-100 alone"
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(y_test=None), "has no y_test, only x_test, x_train, y_train"),
        (dict(x_train=None, y_train=None, x_test=None, y_test=None, other=np.arange(3)),
         "has neither x_train and y_train nor x_test and y_test; it has: other"),
        (dict(y_test=np.array([0, 3, 1])), "y_test[1] (=3) must be from 0 to 2, as those of "
         "y_train are"),
        (dict(y_train=np.array([0, 1, 1, 3, 0, 1])), "y_train has labels up to 3 and none that is "
         "2; classes are counted from 0, and each has an image"),
        (dict(y_train=np.array([0, 1, 2, -1, 0, 1])), "y_train[3] (=-1) must be at least 0"),
        (dict(y_train=np.array([0, 1, 2, 1 << 40, 0, 1])), f"y_train[3] (={1 << 40}) is no number "
         "of a class"),
        (dict(y_train=np.zeros(6)), "y_train (=float64 [6]) must be whole numbers (N,), at least "
         "one"),
        (dict(y_test=np.array([0, 1])),
         "x_test (=3 images) and y_test (=2 labels) must be as many"),
        (dict(x_test=np.ones((3, 5, 4, 3))), "x_test: images (=float64 [3, 5, 4, 3]) must be uint8 "
         "(N, H, W, 3)"),
        (dict(x_test=np.ones((3, 3, 5, 4), np.uint8)), "x_test: images (=uint8 [3, 3, 5, 4]) must "
         "be uint8 (N, H, W, 3)"),
    ],
)  # fmt: skip
def test_npz_damage(rng, tmp_path, changes, told):
    path, found = tmp_path / "data.npz", arrays(rng) | changes
    np.savez(path, **{name: value for name, value in found.items() if value is not None})
    assert refusal(path) == f"{path}: {told}"


# ── Images that cannot be read ──────────────────────────────────────────────────────────────────


def with_damage(rng, shape=(16, 16, 3)) -> tuple[dict[str, np.ndarray], Files, list[str]]:
    pictures = scenes(rng, "train/", 4, shape) | scenes(rng, "test/", 4, shape)
    files = as_files(pictures)
    bad = ["train/Zebra/0.png", "train/ant/2.png", "train/b9/3.png", "test/b10/1.png"]
    files[bad[0]] = b"no image at all"
    files[bad[1]] = files[bad[1]][: len(files[bad[1]]) // 2]
    files[bad[2]] = b""
    files[bad[3]] = png(noise(rng, 16, 16).astype(np.uint16) * 256)
    return pictures, files, bad


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz"])
def test_corrupt_images_are_named_or_skipped(rng, tmp_path, kind):
    pictures, files, bad = with_damage(rng)
    path = store(files, tmp_path / "data", kind)
    message = refusal(path)
    assert message.startswith(f"{path}: 3 of 16 images cannot be read: {path}/{bad[0]}: cannot be")
    assert f"{path}/{bad[0]}: cannot be read as an image: its format is not known; " in message
    assert f"{path}/{bad[1]}: cannot be read as an image: " in message
    assert f"{path}/{bad[2]}: cannot be read as an image: the file is empty (skip_" in message

    dataset = open_dataset(path, skip_corrupt=True)
    assert dataset.skipped == tuple(f"{path}/{name}" for name in bad)
    assert isinstance(dataset.train.images, ArrayImages)
    for split, part in ((dataset.train, "train/"), (dataset.test, "test/")):
        kept = [name for name in pictures if name.startswith(part) and name not in bad]
        labels = [CLASSES.index(name.split("/")[1]) for name in kept]
        require_same(split, [pictures[name] for name in kept], labels)
        assert [split.images.name(i) for i in range(len(split))] == [f"{path}/{n}" for n in kept]


def test_corrupt_images_of_a_large_data_set_are_found_when_read(rng, tmp_path):
    pictures, files, bad = with_damage(rng, (16, 200, 3))
    files["train/Zebra/0.png"], bad = png(pictures[bad[0]]), bad[1:]
    path = store(files, tmp_path / "data", "folder")
    dataset = open_dataset(path)
    assert len(dataset.train) == 16
    names = [dataset.train.images.name(i) for i in range(16)]
    with pytest.raises(InputError, match=f"{path}/{bad[0]}: cannot be read as an image: "):
        dataset.train.images.picture(names.index(f"{path}/{bad[0]}"))
    (path / "train/Zebra/1.png").unlink()
    with pytest.raises(InputError, match=r"/train/Zebra/1\.png: cannot be read: No such file"):
        dataset.train.images.picture(1)

    dataset = open_dataset(path, skip_corrupt=True)
    assert isinstance(dataset.train.images, FileImages)
    assert dataset.skipped == tuple(f"{path}/{name}" for name in bad)
    kept = [n for n in pictures if n.startswith("train/") and n not in {*bad, "train/Zebra/1.png"}]
    require_same(dataset.train, [pictures[n] for n in kept],
                 [CLASSES.index(n.split("/")[1]) for n in kept])  # fmt: skip


def test_many_corrupt_images_are_counted(tmp_path, rng):
    files = {f"{name}/{i}.png": b"x" for name in "ab" for i in range(6)}
    path = store(files, tmp_path / "data", "folder")
    message = refusal(path)
    assert message.startswith(f"{path}: 12 of 12 images cannot be read: {path}/a/0.png: ")
    assert message.endswith("/b/3.png: cannot be read as an image: its format is not known; and 2 "
                            "more (skip_corrupt leaves them out)")  # fmt: skip
    good = {"b/0.png": png(noise(rng, 3, 3, 3))}
    path = store(files | good, tmp_path / "half", "folder")
    assert refusal(path, skip_corrupt=True) == f"{path}: no image can be read of the classes a"


def test_a_damaged_member_of_a_zip_is_named(rng, tmp_path):
    pictures = scenes(rng, "")
    path = store(as_files(pictures), tmp_path / "data.zip", "zip stored")
    data = bytearray(path.read_bytes())
    data[data.index(png(pictures["ant/1.png"])) + 60] ^= 1
    path.write_bytes(data)
    told = f"{path}/ant/1.png: the archive is damaged here or cut off"
    assert refusal(path) == (
        f"{path}: 1 of 12 images cannot be read: {told} (skip_corrupt leaves them out)"
    )
    assert open_dataset(path, skip_corrupt=True).skipped == (f"{path}/ant/1.png",)


# ── What is refused ──────────────────────────────────────────────────────────────────────────────

ONE = png(np.full((3, 3, 3), 7, np.uint8))
SOUGHT = (
    "is no data set; looked for folders of images (train/<class>/ and test/<class>/, or <class>/ "
    "alone, at least two classes), CIFAR's batches (data_batch_1 or data_batch_1.bin; meta and "
    "train, or train.bin), Tiny ImageNet's wnids.txt beside train/ or val/, arrays (.npz); found "
)


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a.txt", "b/c.txt"], f": {SOUGHT}b/, a.txt"),
        (["a/1.png"], f": {SOUGHT}a/"),
        (["1.png", "2.png"], f": {SOUGHT}1.png, 2.png"),
        ([f"{i:02}.txt" for i in range(12)],
         f": {SOUGHT}{', '.join(f'{i:02}.txt' for i in range(10))}, and 2 more"),
        (["train/a/1.png", "train/b/1.png", "train/c/", "test/a/1.png"],
         "/train: no images in the folders of the classes c"),
        (["a/1.png", "b/1.png", "c/note.txt", "d/"],
         ": no images in the folders of the classes c, d"),
        (["train/a/1.png", "train/b/1.png", "val/a/1.png", "val/c/1.png"],
         ": train and val must have the same classes; only in train: b; only in val: c"),
        (["train/a/1.png", "train/b/1.png", *(f"test/{i}/1.png" for i in range(12))],
         ": train and test must have the same classes; only in train: a, b; only in test: "
         "0, 1, 10, 11, 2, 3, 4, 5, 6, 7, and 2 more"),
        (["train/a/1.png"], "/train: has one class (a), must have two"),
        (["train/1.png", "test/1.png"],
         ": the images in test, train are in no folders that tell their classes"),
    ],
)  # fmt: skip
def test_wrong_layouts(tmp_path, names, told, kind):
    path = store(dict.fromkeys(names, ONE), tmp_path / "data", kind)
    message = refusal(path)
    assert message == f"{path}{told}"


def test_wrong_paths(tmp_path, rng):
    assert refusal(tmp_path / "none") == f"{tmp_path / 'none'}: no such file or folder"
    text = tmp_path / "text.zip"
    text.write_text("not an archive, whatever it is called")
    assert refusal(text) == f"{text}: is neither a folder nor a zip or tar archive"
    assert refusal(text, labels="all") == "labels (=all) must be fine or coarse"
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty").endswith("; found nothing")
    for kind in ("zip", "tar", "tar.gz", "tar.xz"):
        path = store(as_files(scenes(rng, "")), tmp_path / kind, kind)
        path.write_bytes(path.read_bytes()[:-2000] if kind == "tar" else path.read_bytes()[:-60])
        if kind == "tar":  # its end is zeros
            path.write_bytes(path.read_bytes()[: 512 * 3 + 100])
        assert refusal(path).startswith(f"{path}: is damaged or cannot be read: ")


def test_odd_members_of_archives(tmp_path):
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("a/1.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    assert refusal(path) == (f"{path}/a/1.png: is a link; unpack the archive, and give the folder")
    path = tmp_path / "up.zip"
    files = {"../x/1.png": b"bad", "a/../../1.png": b"bad", "a/1.png": ONE, "b/1.png": ONE}
    assert len(open_dataset(store(files, path, "zip")).train) == 2
    path = tmp_path / "bzip2.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a/1.png", ONE)
    assert refusal(path) == (
        f"{path}/a/1.png: compression method (=12) must be 0 (stored) or 8 (deflate)"
    )


def test_links_of_folders(rng, tmp_path):
    pictures = scenes(rng, "")
    path = store(as_files(pictures), tmp_path / "data", "folder")
    (path / "ant").rename(tmp_path / "elsewhere")
    (path / "ant").symlink_to(tmp_path / "elsewhere")
    (path / "b9" / "loop").symlink_to(path)
    require_same(open_dataset(path).train, pictures.values(), NUMBERS)


# ── Mean and deviation ───────────────────────────────────────────────────────────────────────────


def split_of(pictures: np.ndarray) -> Split:
    return Split(ArrayImages(pictures), np.zeros(len(pictures), np.int64), ("a",))


def test_mean_and_std(rng, tmp_path, monkeypatch):
    pictures = rng.integers(0, 256, (50, 6, 7, 3), np.uint8) // np.array([1, 2, 3], np.uint8)
    scaled = pictures / 255

    def expected(chosen: np.ndarray):
        return pytest.approx(chosen.mean((0, 1, 2)), abs=1e-14), pytest.approx(
            chosen.std((0, 1, 2)), abs=1e-14
        )

    split = split_of(pictures)
    assert mean_and_std(split) == expected(scaled)
    assert mean_and_std(split, most=50) == mean_and_std(split, most=1000) == mean_and_std(split)
    assert mean_and_std(split, most=3) == expected(scaled[[0, 16, 33]])
    assert mean_and_std(split, most=3) != expected(scaled)
    whole = mean_and_std(split)
    monkeypatch.setattr("zoo.data.statistics._BLOCK", 300)
    assert mean_and_std(split) == whole

    mixed = {f"{i % 2}/{i}.png": noise(rng, 4 + i, 140, 3) for i in range(4)}
    files = open_dataset(store(as_files(mixed), tmp_path / "data", "folder")).train
    assert isinstance(files.images, FileImages)
    assert mean_and_std(files) == expected(np.concatenate(list(mixed.values()))[None] / 255)

    assert mean_and_std(split_of(np.full((2, 3, 3, 3), 51, np.uint8))) == ((0.2,) * 3, (0.0,) * 3)
    with pytest.raises(InputError, match=r"^most \(=0\) must be at least 1$"):
        mean_and_std(split, most=0)
    with pytest.raises(InputError, match=r"^a split without images has no mean$"):
        mean_and_std(split_of(pictures[:0]))


# ── Real data ────────────────────────────────────────────────────────────────────────────────────


def real(name: str) -> Path:
    if not os.environ.get("ZOO_DATA"):
        pytest.skip("not run: ZOO_DATA names no folder with real data sets")
    path = Path(os.environ["ZOO_DATA"]) / name
    if not path.exists():
        pytest.skip(f"not run: ZOO_DATA has no {name}")
    return path


CIFAR10 = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
]  # fmt: skip


@pytest.mark.exhaustive
def test_real_cifar10():
    """The same images twice: as JPEGs in a .tar.xz, and some of them with their own pixels."""
    exact = open_dataset(real("cifar10_exact_subset.npz"))
    assert (len(exact.train), len(exact.test)) == (5085, 1017)
    dataset = open_dataset(real("cifar10_jpg.tar.xz"))
    assert list(dataset.classes) == CIFAR10
    for split, each in ((dataset.train, 5000), (dataset.test, 1000)):
        assert isinstance(split.images, ArrayImages)
        assert split.images.pixels.shape == (10 * each, 32, 32, 3)
        assert np.bincount(split.labels).tolist() == [each] * 10
    # The means of published recipes; the deviations are smaller, as JPEG smooths.
    mean, std = mean_and_std(dataset.train)
    assert mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=5e-4)
    assert std == pytest.approx((0.2470, 0.2435, 0.2616), abs=3e-3)
    assert mean_and_std(exact.train)[1] == pytest.approx((0.2470, 0.2435, 0.2616), abs=2e-3)
    # Each of these test images is nearest to the JPEG of itself, which has the same label.
    jpeg = dataset.test.images.pixels.reshape(10000, -1).astype(np.float32)
    some = exact.test.images.pixels[:200].reshape(200, -1).astype(np.float32)
    nearest = np.argmin((jpeg**2).sum(1) - 2 * some @ jpeg.T, 1)
    assert len(set(nearest.tolist())) == 200
    np.testing.assert_array_equal(dataset.test.labels[nearest], exact.test.labels[:200])


@pytest.mark.exhaustive
def test_real_tiny_imagenet():
    path = real("tiny_imagenet_200.zip")
    dataset = open_dataset(path)
    assert len(dataset.classes) == len(set(dataset.classes)) == 100
    assert dataset.classes[:3] == ("goldfish", "bullfrog", "American alligator")
    assert dataset.train.images.pixels.shape == (30000, 64, 64, 3)
    assert dataset.test.images.pixels.shape == (5000, 64, 64, 3)
    assert np.bincount(dataset.train.labels).tolist() == [300] * 100
    assert np.bincount(dataset.test.labels).tolist() == [50] * 100
    with zipfile.ZipFile(path) as archive:
        for split, index in ((dataset.train, 12345), (dataset.test, 678)):
            name = split.images.name(index).removeprefix(f"{path}/")
            expected = np.asarray(Image.open(archive.open(name)).convert("RGB"))
            np.testing.assert_array_equal(split.images.pixels[index], expected)
