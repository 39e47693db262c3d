"""A MINDIR file as graphs of nodes: the messages of mindspore/core/proto/mind_ir.proto.

Names of nodes, values and arrays are the file's; of arrays and scopes the marks that the exporter
puts before and around the paths of Cells are taken off.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import AdoptionError, WeightsError
from zoo.protobuf import BYTES, FIXED32, FIXED64, VARINT, fields, packed, signed

DEPTH = 16
"""Messages within each other: tuples of tuples."""
MAX_BYTES = 1 << 32
DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 17: "float64",
}  # fmt: skip
"""TensorProto.DataType → NumPy's name."""
TEXT, REAL, WHOLE, NESTED = 8, 1, 7, (20, 21)
"""AttributeProto.AttributeType: STRING, FLOAT, INT64, and TUPLE and LIST."""

Message = dict[str, list[Any]]


@dataclass(frozen=True)
class Tensor:
    """An array of a file, or only what it would be.

    Attributes:
        shape: of it.
        dtype: NumPy's name, or "" where it has none.
        data: its bytes.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: memoryview
    elsewhere: bool = False

    def array(self) -> np.ndarray:
        """Return a copy of the array.

        Raises:
            WeightsError: the data are in another file, or do not fit.
        """
        if self.elsewhere:
            raise WeightsError(f"{self.name}: its data are in another file")
        if not self.dtype or any(n < 0 for n in self.shape):
            raise WeightsError(f"{self.name}: shape {list(self.shape)} is not possible")
        size = math.prod(self.shape) * np.dtype(self.dtype).itemsize
        if size != len(self.data):
            raise WeightsError(
                f"{self.name}: data (={len(self.data)} bytes) must be {size} bytes: shape "
                f"{list(self.shape)} of {self.dtype}"
            )
        return np.frombuffer(self.data, self.dtype).reshape(self.shape).copy()


@dataclass(frozen=True)
class Node:
    """A call of a primitive or of a graph of the file.

    Attributes:
        output: name of what it makes.
        kind: name of the primitive, or of the graph.
        inputs: names of what it reads.
        options: what is fixed.
        shape: of what it makes, or a tuple of those; None where it is no tensor.
        scope: path of the Cell that it comes from.
    """

    output: str
    kind: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any]
    shape: Any
    scope: str


@dataclass
class Graph:
    """A function of the file."""

    name: str
    nodes: list[Node]
    inputs: list[str]
    outputs: list[str]


@dataclass
class Model:
    """A whole file.

    Attributes:
        graph: what is called.
        images: what goes into it, as far as it is tensors.
        functions: further graphs, by name.
        constants: name → value.
        parameters: name of a value → the parameter, under the path that its Cell has.
    """

    graph: Graph
    images: list[Tensor]
    functions: dict[str, Graph] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Tensor] = field(default_factory=dict)


def read(path: Path) -> Model:
    """Return what a file holds.

    Raises:
        AdoptionError: it is no MINDIR file.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if not 0 < size <= MAX_BYTES:
                raise AdoptionError(f"{path}: size (={size} bytes) must be from 1 to {MAX_BYTES}")
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise AdoptionError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        return _model(_parsed("Model", data, DEPTH))
    except WeightsError as error:
        raise AdoptionError(f"{path}: is no MINDIR file, or encrypted: {error}") from None


def _text(data: memoryview) -> str:
    return str(data, "utf-8", errors="backslashreplace")


def _float(dtype: str) -> Callable[[memoryview], float]:
    size = np.dtype(dtype).itemsize

    def read(data: memoryview) -> float:
        if len(data) != size:
            raise WeightsError(f"a number of {len(data)} bytes must have {size}")
        return float(np.frombuffer(data, dtype)[0])

    return read


MESSAGES: dict[str, dict[int, tuple[str, Any]]] = {
    "Model": {
        7: ("graph", "Graph"), 8: ("functions", "Graph"), 12: ("primitives", "Primitive"),
        10: ("little_endian", int),
    },
    "Graph": {
        1: ("node", "Node"), 2: ("name", _text), 3: ("parameter", "Tensor"), 5: ("input", "Value"),
        6: ("output", "Value"),
    },
    "Value": {1: ("name", _text), 2: ("tensor", "Tensor")},
    "Node": {
        1: ("input", _text), 2: ("output", _text), 4: ("op_type", _text),
        5: ("attribute", "Attribute"), 7: ("domain", _text), 8: ("node_attr", "Attribute"),
    },
    "Primitive": {1: ("name", _text), 2: ("op_type", _text), 3: ("attribute", "Attribute")},
    "Tensor": {
        1: ("dims", int), 2: ("data_type", int), 7: ("name", _text), 9: ("raw_data", memoryview),
        12: ("external_data", memoryview),
    },
    "Attribute": {
        1: ("name", _text), 2: ("f", _float("<f4")), 3: ("i", int), 4: ("d", _float("<f8")),
        5: ("s", _text), 8: ("f", _float("<f4")), 9: ("d", _float("<f8")), 10: ("i", int),
        11: ("s", _text), 12: ("tensors", "Tensor"), 16: ("type", int), 17: ("values", "Attribute"),
    },
}  # fmt: skip
"""Message → number of a field → what it is called, and what it is."""


def _parsed(kind: str, data: memoryview, depth: int) -> Message:
    if not depth:
        raise WeightsError(f"messages (={DEPTH}) are too deep within each other")
    known = MESSAGES[kind]
    found: Message = {}
    for key, number, payload in fields(data):
        name, what = known.get(key >> 3, ("", None))
        values: list[Any] = found.setdefault(name, []) if name else []
        wire = key & 7
        if what is int:
            if wire not in (VARINT, BYTES):
                raise WeightsError(f"{name} of {kind} must be an integer")
            many = packed(payload).view(np.int64).tolist() if wire == BYTES else [signed(number)]
            values += many
        elif isinstance(what, str) or what in (_text, memoryview):
            if wire != BYTES:
                raise WeightsError(f"{name} of {kind} must be bytes")
            values.append(
                _parsed(what, payload, depth - 1) if isinstance(what, str) else what(payload)
            )
        elif what is not None:
            if wire not in (FIXED32, FIXED64):
                raise WeightsError(f"{name} of {kind} must be one number")
            values.append(what(payload))
    return found


def _one(message: Message, name: str, default: Any = "") -> Any:
    values = message.get(name)
    return values[-1] if values else default


def _tensor(message: Message, prefix: str = "") -> Tensor:
    return Tensor(
        _one(message, "name").removeprefix(prefix),
        tuple(message.get("dims", ())),
        DTYPES.get(_one(message, "data_type", 0), ""),
        _one(message, "raw_data", memoryview(b"")),
        "external_data" in message,
    )


def _value(message: Message) -> Any:
    """Return the value of an attribute, None where it is of no kind that matters."""
    kind = _one(message, "type", 0)
    if "tensors" in message:
        tensors = [_tensor(m) for m in message["tensors"]]
        return tensors[0] if len(tensors) == 1 else tuple(tensors)
    if kind in NESTED:
        return tuple(_value(m) for m in message.get("values", ()))
    found = next((message[name] for name in ("s", "f", "d", "i") if name in message), None)
    if found is None:
        return "" if kind == TEXT else None
    if kind == 9:
        return bool(found[-1])
    return found[0] if len(found) == 1 else tuple(found)


def _options(*messages: list[Message]) -> dict[str, Any]:
    return {_one(m, "name"): _value(m) for several in messages for m in several}


def _shape(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape
    return tuple(map(_shape, value)) if isinstance(value, tuple) else None


def _scope(domain: str) -> str:
    """Return the path of Cells in ``Default/features-SequentialCell/0-Conv2d/Conv2D-op0``."""
    return ".".join(part.rpartition("-")[0] or part for part in domain.split("/")[1:-1])


def _model(message: Message) -> Model:
    if len(message.get("graph", ())) != 1:
        raise WeightsError("it must hold one graph")
    if not _one(message, "little_endian", 1):
        raise WeightsError("its numbers must be little-endian")
    primitives = {
        _one(m, "name"): (_one(m, "op_type"), _options(m.get("attribute", [])))
        for m in message.get("primitives", ())
    }
    (main,) = message["graph"]
    model = Model(Graph("", [], [], []), [])
    for graph in (main, *message.get("functions", ())):
        prefix = f"{_one(graph, 'name')}:"
        for m in graph.get("parameter", ()):
            model.parameters[_one(m, "name")] = _tensor(m, prefix)
        made = Graph(
            prefix[:-1],
            _nodes(graph, primitives, model.constants),
            [_one(m, "name") for m in graph.get("input", ())],
            [_one(m, "name") for m in graph.get("output", ())],
        )
        model.functions[made.name] = made
    model.graph = model.functions[_one(main, "name")]
    model.images = [
        _tensor(t[0]) if (t := m.get("tensor")) else Tensor("", (), "", memoryview(b""))
        for m in main.get("input", ())
    ]
    return model


def _nodes(
    graph: Message, primitives: dict[str, tuple[str, dict[str, Any]]], constants: dict[str, Any]
) -> list[Node]:
    nodes = []
    for m in graph.get("node", ()):
        output, kind = _one(m, "output"), _one(m, "op_type")
        options = _options(m.get("attribute", []), m.get("node_attr", []))
        if kind == "Constant":
            value = options.get("value")
            constants[output] = value.array() if isinstance(value, Tensor) else value
            continue
        shape = _shape(options.pop("shape", None))
        # What a node calls: a primitive of the file's list, or a graph, or a value of the kind.
        called = kind.removeprefix("REF::")
        kind, fixed = primitives.get(called, (called, {}))
        scope = _scope(_one(m, "domain"))
        nodes.append(Node(output, kind, tuple(m.get("input", ())), fixed | options, shape, scope))
    return nodes
