"""Small valid pictures and data sets: folders, archives of them, arrays."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from typing import Any

import numpy as np
from PIL import Image

from fuzzing.samples import Case


def picture(size: int = 12, seed: int = 0) -> Image.Image:
    """Return a picture that is not all of one color."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size + 1, 3), np.uint8)
    return Image.fromarray(pixels)


def encoded(form: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    (image or picture()).save(file, form, **options)
    return file.getvalue()


def pictures() -> dict[str, list[Case]]:
    """Return pictures of all formats that are decoded, in the modes that they have."""
    rgb = picture()
    palette, rgba, gray = rgb.quantize(16), rgb.convert("RGBA"), rgb.convert("L")
    exif = Image.Exif()
    exif[274], exif[270] = 6, "é"
    return {
        "png": [
            encoded("PNG"), encoded("PNG", palette, transparency=3), encoded("PNG", rgba),
            encoded("PNG", gray), encoded("PNG", rgb.convert("1")), encoded("PNG", exif=exif),
            encoded("PNG", gray.convert("LA")),
            encoded("PNG", save_all=True, append_images=[picture(12, 1)]),
        ],
        "jpeg": [
            encoded("JPEG"), encoded("JPEG", progressive=True), encoded("JPEG", gray),
            encoded("JPEG", rgb.convert("CMYK")), encoded("JPEG", exif=exif, comment=b"x"),
            encoded("JPEG", subsampling=0, quality=95, restart_marker_blocks=1),
        ],
        "bmp": [encoded("BMP"), encoded("BMP", palette), encoded("BMP", rgb.convert("1"))],
        "gif": [
            encoded("GIF", palette), encoded("GIF", palette, transparency=1),
            encoded("GIF", palette, save_all=True, append_images=[picture(12, 1).quantize(16)]),
        ],
        "ppm": [encoded("PPM"), encoded("PPM", gray), encoded("PPM", rgb.convert("1")),
                b"P3\n2 2\n255\n1 2 3 4 5 6 7 8 9 10 11 12\n"],
        "tiff": [
            encoded("TIFF"), encoded("TIFF", compression="tiff_lzw"), encoded("TIFF", palette),
            encoded("TIFF", compression="tiff_adobe_deflate"), encoded("TIFF", rgba),
            encoded("TIFF", compression="jpeg"), encoded("TIFF", compression="packbits"),
            encoded("TIFF", rgb.convert("1"), compression="group4"),
        ],
        "webp": [encoded("WEBP"), encoded("WEBP", lossless=True), encoded("WEBP", rgba),
                 encoded("WEBP", save_all=True, append_images=[picture(12, 1)])],
    }  # fmt: skip


def folders() -> list[dict[str, bytes]]:
    """Return data sets as folders, in all layouts."""
    images = [encoded("PNG", picture(6, i)) for i in range(4)]
    classes = {f"{part}/{name}/{i}.png": images[i] for part in ("train", "test")
               for name in ("cat", "dog") for i in range(2)}  # fmt: skip
    tiny = {
        "wnids.txt": b"n01\nn02\n", "words.txt": b"n01\tcat, tabby\nn02\tdog\n",
        "train/n01/images/a.png": images[0], "train/n02/images/b.png": images[1],
        "val/val_annotations.txt": b"v0.png\tn01\t0\t0\t5\t5\nv1.png\tn02\t0\t0\t5\t5\n",
        "val/images/v0.png": images[2], "val/images/v1.png": images[3],
    }  # fmt: skip
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3072), np.uint8)
    names = b"".join(b"class %d\n" % i for i in range(10))
    record = b"".join(bytes([i]) + pixels[i].tobytes() for i in range(2))
    binary = {f"cifar-10-batches-bin/data_batch_{i}.bin": record for i in range(1, 6)}
    binary |= {"cifar-10-batches-bin/batches.meta.txt": names}
    batch = pickle.dumps({"data": pixels, "fine_labels": [1, 2], "coarse_labels": [0, 1]}, 2)
    meta = {"fine_label_names": [str(i) for i in range(100)],
            "coarse_label_names": [str(i) for i in range(20)]}  # fmt: skip
    pickled = {"train": batch, "test": batch, "meta": pickle.dumps(meta, 2)}
    return [classes, tiny, binary, pickled]


def archived(kind: str) -> list[Case]:
    """Return the same in archives."""
    found: list[Case] = []
    for files in folders():
        file = io.BytesIO()
        if kind == "zip":
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in files.items():
                    archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        else:
            long = {"deep/" * 30 + name: data for name, data in files.items()}
            with tarfile.open(fileobj=file, mode="w") as archive:
                for name, data in (long if len(found) == 1 else files).items():
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
        data = file.getvalue()
        packs = {
            "gz": lambda data: gzip.compress(data, 1, mtime=0), "bz2": lambda d: bz2.compress(d, 1),
            "xz": lambda data: lzma.compress(data, preset=0),
        }  # fmt: skip
        found.append(packs[kind](data) if kind in packs else data)
    return found


def arrays() -> list[Case]:
    """Return data sets in one .npz."""
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), np.uint8)
    labels = np.array([0, 1, 2, 0])
    found: list[Case] = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, x_train=images, y_train=labels[:, None], x_test=images, y_test=labels)
        found.append(file.getvalue())
    return found
