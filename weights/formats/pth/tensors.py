"""What PyTorch's pickles are made of: dtypes, storages, and tensors as strided views of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from weights.formats.arrays import MAX_SHOWN, quoted
from weights.formats.pth.inert import Builder, Global, Marker, Opaque, Record
from weights.formats.pth.numpy_objects import is_shape, numpy_names
from zoo.errors import WeightsError


@dataclass(frozen=True, slots=True)
class Dtype(Marker):
    """An element type.

    Attributes:
        name: PyTorch's, which is NumPy's wherever NumPy has it.
        itemsize: bytes.
        storage: the class of a typed storage; the newest dtypes have none and use an untyped one.
        code: NumPy's for the stored bytes; None where there is nothing to read them as.
    """

    name: str
    itemsize: int
    storage: str | None
    code: str | None


DTYPES = {
    row[0]: Dtype(*row)
    for row in (
        ("float32", 4, "FloatStorage", "f4"), ("float64", 8, "DoubleStorage", "f8"),
        ("float16", 2, "HalfStorage", "f2"), ("bfloat16", 2, "BFloat16Storage", "u2"),
        ("int8", 1, "CharStorage", "i1"), ("int16", 2, "ShortStorage", "i2"),
        ("int32", 4, "IntStorage", "i4"), ("int64", 8, "LongStorage", "i8"),
        ("uint8", 1, "ByteStorage", "u1"), ("uint16", 2, None, "u2"), ("uint32", 4, None, "u4"),
        ("uint64", 8, None, "u8"), ("bool", 1, "BoolStorage", "b1"),
        ("complex64", 8, "ComplexFloatStorage", "c8"),
        ("complex128", 16, "ComplexDoubleStorage", "c16"), ("complex32", 4, None, None),
        ("qint8", 1, "QInt8Storage", None), ("quint8", 1, "QUInt8Storage", None),
        ("qint32", 4, "QInt32Storage", None), ("quint4x2", 1, "QUInt4x2Storage", None),
        ("quint2x4", 1, "QUInt2x4Storage", None), ("float8_e4m3fn", 1, None, None),
        ("float8_e5m2", 1, None, None), ("float8_e4m3fnuz", 1, None, None),
        ("float8_e5m2fnuz", 1, None, None), ("float8_e8m0fnu", 1, None, None),
        ("float4_e2m1fn_x2", 1, None, None),
    )
}  # fmt: skip

UNTYPED = Dtype("uint8", 1, "UntypedStorage", "u1")


@dataclass(frozen=True, slots=True, eq=False)
class Storage(Marker):
    """A run of elements, by the key of its record in the file.

    Attributes:
        key: of the record.
        dtype: of its elements.
        numel: elements in the whole record, as the pickle states it.
        start: first element of the part that is meant; only the oldest files have parts.
        stop: behind the last one.
    """

    key: str
    dtype: Dtype
    numel: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class Tensor(Marker):
    """A view of a storage, as stated and not checked yet: its name is not known at this point."""

    storage: object
    offset: object
    size: object
    stride: object
    dtype: Dtype | None = None
    changed: bool = False  # marked as conjugated or negated: its values are not those stored


class Pickled:
    """The persistent ids of one file: each names a storage.

    Attributes:
        storages: key → its first mention, which says how the oldest files count its bytes.
    """

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}

    def __call__(self, reference: object) -> Storage:
        """Return the storage of ("storage", type, key, location, numel[, part]).

        Raises:
            WeightsError: the id is anything else.
        """
        match reference:
            case ("storage", Dtype() as dtype, str() as key, _, int() as numel):
                part: object = None
            case ("storage", Dtype() as dtype, str() as key, _, int() as numel, part):
                pass
            case _:
                raise WeightsError("a persistent id that is not a storage's")
        if len(key) > MAX_SHOWN:
            raise WeightsError(
                f"storage {quoted(key)}: a key must have at most {MAX_SHOWN} letters"
            )
        if numel < 0:
            raise WeightsError(f"storage {quoted(key)}: numel (={numel}) must be at least 0")
        match part:
            case None:
                start, stop = 0, numel
            case (str(), int() as start, int() as count) if 0 <= start <= start + count <= numel:
                stop = start + count
            case _:
                raise WeightsError(f"storage {quoted(key)}: a part outside of it")
        storage = Storage(key, dtype, numel, start, stop)
        self.storages.setdefault(key, storage)
        return storage


class Records:
    """The bytes of the storages as arrays. Each record is widened, turned or checked once.

    Args:
        record: key → bytes; raises `WeightsError` where there are none.
        big_endian: whether the file was written on such a machine.
    """

    def __init__(self, record: Callable[[str], memoryview], big_endian: bool = False) -> None:
        self._record = record
        self._order = ">" if big_endian else "<"
        self._bytes: dict[str, memoryview] = {}
        self._flat: dict[tuple[str, str], np.ndarray] = {}

    def array(self, tensor: Tensor, name: str) -> np.ndarray | str:
        """Return a tensor as a read-only view of its record, or why it cannot be one.

        Raises:
            WeightsError: it reaches beyond its storage, or the file lacks bytes.
        """
        storage = tensor.storage
        if not isinstance(storage, Storage):
            raise WeightsError(f"{quoted(name)}: a tensor without a storage")
        dtype = tensor.dtype or storage.dtype
        if dtype.code is None:
            return f"dtype torch.{dtype.name}"
        if tensor.changed:
            return "a conjugated or negated view"
        size, stride, offset = tensor.size, tensor.stride, tensor.offset
        if not is_shape(size):
            raise WeightsError(f"{quoted(name)}: a size that no array has")
        assert isinstance(size, tuple)
        if type(stride) is not tuple or len(stride) != len(size):
            raise WeightsError(f"{quoted(name)}: stride must have {len(size)} numbers")
        if any(type(step) is not int or step < 0 for step in (*stride, offset)):
            raise WeightsError(f"{quoted(name)}: stride and offset must be numbers from 0")
        assert type(offset) is int
        room = (storage.stop - storage.start) * storage.dtype.itemsize // dtype.itemsize
        numel = math.prod(size)
        last = offset + sum((dim - 1) * step for dim, step in zip(size, stride, strict=True))
        if numel > room or (last if numel else offset - 1) >= room:
            raise WeightsError(
                f"{quoted(name)}: size {list(size)}, stride {quoted(str(list(stride)))} and offset "
                f"{quoted(str(offset))} reach beyond the storage of {room} elements"
            )
        flat = self._whole(storage, dtype, name)
        if numel == 0:
            return np.empty(size, flat.dtype)
        # Beside a size of 1 any stride may stand, also one that no machine's integer holds.
        steps = [s * flat.itemsize if n > 1 else 0 for n, s in zip(size, stride, strict=True)]
        first = storage.start * storage.dtype.itemsize // dtype.itemsize + offset
        return np.ndarray(size, flat.dtype, flat, first * flat.itemsize, steps)

    def _whole(self, storage: Storage, dtype: Dtype, name: str) -> np.ndarray:
        """Return the whole record as a flat array of the type that the caller gets."""
        key = storage.key
        if key not in self._bytes:
            self._bytes[key] = self._record(key)
        data, size = self._bytes[key], storage.numel * storage.dtype.itemsize
        if len(data) != size:
            raise WeightsError(
                f"{quoted(name)}: storage {quoted(key)} (={len(data)} bytes) must be {size} bytes: "
                f"{storage.numel} elements of {storage.dtype.name}"
            )
        if (key, dtype.name) not in self._flat:
            self._flat[key, dtype.name] = self._flattened(data, dtype, name)
        return self._flat[key, dtype.name]

    def _flattened(self, data: memoryview, dtype: Dtype, name: str) -> np.ndarray:
        assert dtype.code is not None
        data = data[: len(data) - len(data) % dtype.itemsize]
        flat = np.frombuffer(data, self._order + dtype.code) if data else np.empty(0, dtype.code)
        if dtype.name == "bool" and (flat.view(np.uint8) > 1).any():
            raise WeightsError(f"{quoted(name)}: a bool that is neither 0 nor 1")
        if dtype.name == "bfloat16":  # the upper half of a float32
            return (flat.astype(np.uint32) << np.uint32(16)).view(np.float32)
        if not flat.dtype.isnative or not flat.flags.aligned:  # of use to nobody as it stands
            return flat.astype(flat.dtype.newbyteorder("="))
        return flat


# ── The names ────────────────────────────────────────────────────────────────────────────────────


def torch_names() -> dict[str, object]:
    """Return the table of all names that a state dict of one file may use."""
    return _NAMES | numpy_names()


def _tensor(args: tuple[object, ...]) -> Tensor:
    """Make the Tensor of (storage, offset, size, stride[, requires_grad, hooks[, marks]])."""
    storage, offset, size, stride = args[:4]
    return Tensor(storage, offset, size, stride, changed=_changed(args[6:7]))


def _tensor_of_dtype(args: tuple[object, ...]) -> Tensor:
    """Make a Tensor with its own dtype: (…, requires_grad, hooks, dtype[, marks])."""
    storage, offset, size, stride, _, _, dtype = args[:7]
    if not isinstance(dtype, Dtype):
        raise WeightsError("_rebuild_tensor_v3 without a dtype")
    return Tensor(storage, offset, size, stride, dtype, _changed(args[7:8]))


def _changed(marks: tuple[object, ...]) -> bool:
    found = marks[0].items if marks and isinstance(marks[0], Record) else {}
    return found.get("conj") is True or found.get("neg") is True


def _first(args: tuple[object, ...]) -> object:
    return args[0]


def _of_type(args: tuple[object, ...]) -> object:
    """Make what (function, type, its arguments, attributes) makes, without the attributes."""
    function, _, inner = args[:3]
    if (
        not isinstance(function, Global)
        or function.build not in (_tensor, _tensor_of_dtype, _first)
        or type(inner) is not tuple
    ):
        raise WeightsError("_rebuild_from_type_v2 of something that is no tensor")
    return function.build(inner)


def _opaque(name: str) -> Builder:
    return lambda args: Opaque(name)


def _table() -> dict[str, object]:
    table: dict[str, object] = {f"torch.{dtype.name}": dtype for dtype in DTYPES.values()}
    for place in ("torch", "torch.cuda"):
        table |= {f"{place}.{d.storage}": d for d in DTYPES.values() if d.storage is not None}
    for name in ("torch.storage.UntypedStorage", "torch.storage._UntypedStorage"):
        table[name] = UNTYPED
    table["torch.UntypedStorage"] = UNTYPED
    builders: dict[str, Builder] = {
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
        "torch._utils._rebuild_parameter": _first,
        "torch._utils._rebuild_parameter_with_state": _first,
        "torch._utils._rebuild_xla_tensor": _first,
        "torch._utils._rebuild_device_tensor_from_numpy": _first,
        "torch._utils._rebuild_device_tensor_from_cpu_tensor": _first,
        "torch._tensor._rebuild_from_type_v2": _of_type,
        "torch._utils._rebuild_qtensor": _opaque("a quantized tensor"),
        "torch._utils._rebuild_sparse_tensor": _opaque("a sparse tensor"),
        "torch._utils._rebuild_nested_tensor": _opaque("a nested tensor"),
        "torch._utils._rebuild_meta_tensor_no_storage": _opaque("a tensor without data"),
        "torch.serialization._get_layout": _opaque("a layout"),
        "torch.device": _opaque("a device"),
        "torch.Size": _first,
    }
    table |= {name: Global(name, build) for name, build in builders.items()}
    for name in (
        "torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter",
        "torch.nn.parameter.Buffer", "torch.per_tensor_affine", "torch.per_tensor_symmetric",
        "torch.per_channel_affine", "torch.per_channel_symmetric",
        "torch.per_channel_affine_float_qparams",
    ):  # fmt: skip
        table[name] = Opaque(name)
    return table


_NAMES = _table()
