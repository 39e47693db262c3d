"""NumPy's own values inside a pickle: scalars, such as a best accuracy, and arrays."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from weights.formats.arrays import MAX_DIM, MAX_RANK, quoted
from weights.formats.pth.inert import Global, Marker, Opaque
from zoo.errors import WeightsError

# The dtypes that are plain numbers, as numpy.dtype is called: no objects, no records, no text.
_CODES = {
    *("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"),
}  # fmt: skip


class PickledDtype(Marker):
    """A dtype; its byte order follows as a state."""

    __slots__ = ("numpy",)

    def __init__(self, code: object) -> None:
        known = type(code) is str and code in _CODES
        self.numpy = np.dtype(f"<{code}") if known else None

    def set_state(self, state: object) -> None:
        """Take (version, byte order, …): what is not little-endian is not read."""
        if type(state) is tuple and len(state) > 1 and state[1] == ">":
            self.numpy = None


class PickledArray(Marker):
    """An array; shape, dtype and bytes follow as a state."""

    __slots__ = ("state",)

    def __init__(self, state: object = None) -> None:
        self.state = state

    def set_state(self, state: object) -> None:
        """Take (version, shape, dtype, whether Fortran's order, bytes)."""
        self.state = state[1:] if type(state) is tuple else None

    def array(self, name: str) -> np.ndarray | None:
        """Return the array, which shares the pickle's bytes, or None if it is not of plain numbers.

        Raises:
            WeightsError: shape and bytes do not fit.
        """
        if type(self.state) is not tuple or len(self.state) != 4:
            raise WeightsError(f"{quoted(name)}: a NumPy array without shape and data")
        shape, dtype, fortran, data = self.state
        if not isinstance(dtype, PickledDtype) or dtype.numpy is None:
            return None
        if not is_shape(shape) or not isinstance(data, bytes | bytearray):
            raise WeightsError(f"{quoted(name)}: a NumPy array without shape and data")
        size = math.prod(shape) * dtype.numpy.itemsize
        if len(data) != size:
            raise WeightsError(
                f"{quoted(name)}: data (={len(data)} bytes) must be {size} bytes: shape "
                f"{list(shape)} of {dtype.numpy.name}"
            )
        flat = np.frombuffer(data, dtype.numpy) if data else np.empty(0, dtype.numpy)
        return flat.reshape(shape, order="F" if fortran is True or fortran == "F" else "C")


def is_shape(value: object) -> bool:
    """Tell whether something is a tuple of sizes that arrays may have."""
    return (
        type(value) is tuple
        and len(value) <= MAX_RANK
        and all(type(dim) is int and 0 <= dim <= MAX_DIM for dim in value)
        and math.prod(dim or 1 for dim in value) < 1 << 48  # beside a 0, NumPy minds the others
    )


def numpy_names() -> dict[str, object]:
    """Return the table of NumPy's names for one file."""
    made = (
        Global("numpy.dtype", lambda args: PickledDtype(args[0])),
        Global("numpy.core.multiarray._reconstruct", lambda args: PickledArray()),
        Global("numpy.core.multiarray.scalar", _scalar),
        Global("numpy.core.numeric._frombuffer", _from_buffer),
        Global("_codecs.encode", _encoder()),
    )
    types = ("ndarray", "bool_", "int32", "int64", "float16", "float32", "float64")
    return {
        **{one.name: one for one in made},
        **{f"numpy.{name}": Opaque(f"numpy.{name}") for name in types},
    }


def _scalar(args: tuple[object, ...]) -> object:
    dtype, data = args
    if not isinstance(dtype, PickledDtype) or dtype.numpy is None:
        return Opaque("a NumPy scalar")
    if type(data) is str and len(data) <= 16:
        data = data.encode("latin-1")
    if not isinstance(data, bytes) or len(data) != dtype.numpy.itemsize:
        raise WeightsError(f"a NumPy scalar of {dtype.numpy.name} without its bytes")
    return np.frombuffer(data, dtype.numpy)[0].item()


def _from_buffer(args: tuple[object, ...]) -> PickledArray:
    """Make an array as protocol 5 writes it: (bytes, dtype, shape, order)."""
    data, dtype, shape, order = args
    return PickledArray((shape, dtype, order, data))


def _encoder() -> Callable[[tuple[object, ...]], object]:
    """Return codecs.encode(text, "latin1"), which is how protocol 2 writes bytes.

    Every text is encoded once: two bytes of a file can ask for it, and it may be long.
    """
    done: dict[int, tuple[str, bytes]] = {}

    def encode(args: tuple[object, ...]) -> object:
        text = args[0]
        if type(text) is not str:
            raise WeightsError(f"_codecs.encode of a {type(text).__name__}")
        if id(text) not in done:
            done[id(text)] = (text, text.encode("latin-1"))  # the text is kept, so is its id
        return done[id(text)][1]

    return encode
