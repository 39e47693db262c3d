"""Pictures out of files that others made: few formats, bounded sizes, RGB.

The one place that decodes them, for training, evaluation and calibration.
"""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats that are decoded, whatever a file's name says. Others may start
programs: for an EPS, Pillow runs Ghostscript on the code in it."""

MAX_PIXELS = 1 << 26
"""Of one picture, as many as 8192x8192: a file of some kilobytes can ask for any number."""
MAX_SMALL, MAX_PER_BYTE = 1 << 23, 1 << 12
"""Of a picture in few bytes, and what a byte may stand for in a larger one. Decoders take up to 16
bytes a pixel; a byte of photographs stands for ten pixels, of white paper for some thousand."""

LONGEST = 50
"""How many times as long as the other a side may be."""


def decode(data: bytes) -> Image:
    """Return a picture, RGB, 8 bits a channel.

    Raises:
        InputError: it cannot be decoded, has more than 8 bits a channel, or too many pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            most = max(MAX_SMALL, MAX_PER_BYTE * len(data))
            if most < width * height <= MAX_PIXELS:
                raise InputError(
                    f"pixels (={width}x{height}) of {len(data)} bytes must be at most {most}"
                )
            return rgb(picture)
    except InputError as error:
        reason = str(error)
    except UnidentifiedImageError:  # its own message tells an address in memory
        reason = "its format is not known" if data else "the file is empty"
    except Exception as error:  # Pillow's decoders raise errors of all kinds
        reason = str(error) or type(error).__name__
    raise InputError(f"cannot be read as an image: {reason}")


def rgb(picture: Image) -> Image:
    """Return an opened picture, RGB, 8 bits a channel.

    Raises:
        InputError: it has more than 8 bits a channel, or too many pixels.
    """
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise InputError(f"pixels (={width}x{height}) must be at most {MAX_PIXELS}")
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"mode (={picture.mode}) must have 8 bits a channel")
    if picture.mode == "P" and "transparency" in picture.info:
        # The same colors, without a warning from Pillow. It could not be silenced here: Python's
        # filters of warnings belong to all threads.
        picture = picture.convert("RGBA")
    return picture.convert("RGB")


def require_no_strip(size: tuple[int, int]) -> None:
    """Raise `InputError` where one side is so much longer that, scaled up, it fills the memory."""
    short, long = sorted(size)
    if long > LONGEST * short:
        raise InputError(f"sides (={long} and {short} pixels) must be at most {LONGEST} to 1")


def read_file(path: Path) -> bytes:
    """Return the bytes of a regular file; a pipe or a device may never end.

    Raises:
        InputError: it is none, or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: is no regular file")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
