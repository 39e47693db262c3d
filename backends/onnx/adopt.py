"""The way in for ONNX files: what their nodes mean, in PyTorch's terms.

Nothing in a file is executed, by ONNX Runtime or anybody: shapes are inferred, and what only
computes shapes is folded by a few functions of NumPy on small arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from backends.onnx.adopt_bounds import require_plain, rounds
from backends.onnx.adopt_fold import Known, UnknownError, fold, reshaped
from backends.onnx.adopt_nodes import READ
from backends.onnx.bounds import inferred_shapes
from zoo.adoption.program import Call, Program, refuse
from zoo.errors import AdoptionError, InputError

MAX_BYTES = 1 << 31
"""Of a file: what protobuf admits."""
ROUNDS = 100
"""Of folding: as many reshapes may follow each other that each ask for the shape before."""
UNFIT = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
MAX_VALUES = 1 << 29
"""Of an array that a file declares."""
SUFFIXES = (".onnx",)


def program(source: Any, images: np.ndarray) -> Program:
    """Return what a file computes; see `backends.protocols.WayIn`.

    Args:
        source: its path.
        images: of the size that is taken where the file leaves it open.

    Raises:
        AdoptionError: it is no ONNX model, or has what no operator of ours is.
        InputError: the images are not what it takes.
    """
    path = Path(source)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise AdoptionError(f"{path}: must be smaller than {MAX_BYTES} bytes")
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise AdoptionError(f"{path}: cannot be read: {error.strerror or error}") from None
    except AdoptionError:
        raise
    except Exception as error:  # protobuf's DecodeError, which is not public
        raise AdoptionError(f"{path}: is no ONNX model: {error}") from None
    require_plain(path, model)
    return _Reader(path, model, images.shape).program()


class _Reader:
    def __init__(self, path: Path, model: ModelProto, size: tuple[int, ...]) -> None:
        self.path, self.model = path, model
        self.opset = max(
            (o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0
        )
        self.arrays = {t.name: self._array(t) for t in model.graph.initializer}
        self.input, self.shape = self._input(size)
        del model.graph.value_info[:]  # of other sizes, or made up
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        self.known = Known(dict(self.arrays), {})
        self.nodes = self._folded()
        self.modules: set[str] = set()
        self.scopes: set[str] = set()
        self.held: dict[str, str] = {}

    def program(self) -> Program:
        calls: list[Call] = []
        problems: list[str] = []
        for node in self.nodes:
            try:
                calls += self._calls(node)
            except UnknownError as error:
                problems.append(f"{node.name or node.output[0]}: {error}")
            except UNFIT as error:  # attributes and arrays of other kinds than the operator has
                told = f"{node.op_type} is not what it should be ({type(error).__name__}: {error})"
                problems.append(f"{node.name or node.output[0]}: {told}")
        refuse(problems)
        outputs = tuple(value.name for value in self.model.graph.output)
        used = {name for call in calls for name in call.held.values()}
        arrays = {name: self.known.constants[self.held.get(name, name)] for name in used}
        notes = []
        leaves = {s for s in self.scopes if not any(o.startswith(f"{s}.") for o in self.scopes)}
        kinds = {call.kind for call in calls}
        if "conv2d" in kinds and "batch_norm" not in kinds:
            notes.append(
                "there are no batch norms: if they were folded into the convolutions, this is a "
                "network for inference"
            )
        return Program(
            self.input, self.shape, calls, outputs, len(outputs) > 1, arrays,
            frozenset(self.modules | leaves), notes, output_names=outputs,
        )  # fmt: skip

    def _array(self, tensor: TensorProto) -> np.ndarray:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise AdoptionError(f"{self.path}: {tensor.name}: its data are in another file")
        if min(tensor.dims, default=0) < 0 or math.prod(tensor.dims) > MAX_VALUES:
            raise AdoptionError(
                f"{self.path}: {tensor.name}: shape {list(tensor.dims)} is not possible"
            )
        try:
            return np.asarray(numpy_helper.to_array(tensor))
        except Exception as error:  # whatever does not fit together
            raise AdoptionError(f"{self.path}: {tensor.name}: is damaged: {error}") from None

    def _input(self, size: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        inputs = [v for v in self.model.graph.input if v.name not in self.arrays]
        if len(inputs) != 1:
            names = ", ".join(value.name for value in inputs) or "none"
            raise AdoptionError(f"{self.path}: it must take one input, of images, not {names}")
        (value,) = inputs
        kind = value.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
        if kind.elem_type != TensorProto.FLOAT or len(dims) != 4:
            raise AdoptionError(f"{self.path}: {value.name} must be float32 images (N, C, H, W)")
        wrong = [(d, n) for d, n in zip(dims[1:], size[1:], strict=True) if d and d != n]
        if wrong:
            raise InputError(
                f"example: shape {tuple(size)} must be that of the file's input, {tuple(dims)}"
            )
        rows = dims[0] or 1
        # What is open is said, so that all shapes can be inferred.
        for dim, n in zip(kind.shape.dim, (rows, *size[1:]), strict=True):
            dim.dim_value = n
        self.rows = rows
        return value.name, (1, *size[1:])

    def _folded(self) -> list[NodeProto]:
        """Fold what is constant, which tells more shapes, as far as it goes; return the rest."""
        nodes = list(self.model.graph.node)
        for _ in range(rounds(len(nodes), ROUNDS)):
            self.known.shapes = self._shapes()
            left = []
            told = self._reshaped(nodes)
            for node in nodes:
                try:
                    folded = fold(node, self.known)
                except UNFIT:  # UnknownError is one
                    folded = False
                if not folded:
                    left.append(node)
                elif node.output[0] not in self.arrays:
                    found = self.known.constants[node.output[0]]
                    tensor = numpy_helper.from_array(np.ascontiguousarray(found), node.output[0])
                    self.model.graph.initializer.append(tensor)
            if len(left) == len(nodes) and not told:
                break
            nodes = left
            del self.model.graph.node[:]
            self.model.graph.node.extend(nodes)
        return nodes

    def _reshaped(self, nodes: list[NodeProto]) -> int:
        """State the shapes of reshapes that inference leaves open; return how many there were."""
        shapes, count = self.known.shapes, 0
        for node in nodes:
            if node.op_type != "Reshape" or node.output[0] in shapes or len(node.input) < 2:
                continue
            if node.input[0] in shapes and node.input[1] in self.known.constants:
                shape = reshaped(node, shapes[node.input[0]], self.known)
                if not all(0 <= n <= MAX_VALUES for n in shape):
                    continue
                value = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, shape)
                self.model.graph.value_info.append(value)
                count += 1
        return count

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        try:
            inferred = inferred_shapes(self.model)
        except Exception as error:  # InferenceError and what C++ throws
            raise AdoptionError(f"{self.path}: its shapes contradict: {error}") from None
        found = {}
        for value in (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input):
            dims = value.type.tensor_type.shape.dim
            if all(d.HasField("dim_value") for d in dims):
                found[value.name] = tuple(d.dim_value for d in dims)
        return found

    def _calls(self, node: NodeProto) -> Iterator[Call]:
        if node.domain not in ("", "ai.onnx") or node.op_type not in READ:
            kind = f"{node.domain}.{node.op_type}".lstrip(".")
            raise UnknownError(f"{kind} is no operator of the zoo")
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        scope = self._scope(node)
        for step in READ[node.op_type](node, values, self.known, self.opset):
            if len(node.output) > 1:
                scope = self._leaf(_plain(step.output))
            held = {}
            for role, name in step.held.items():
                held[role] = self._own(name, role, scope)
            shape = self.known.shapes.get(step.output)
            if not shape:
                raise UnknownError(f"{node.op_type}: the shape of {step.output} is not known")
            shape = (1 if shape[0] == self.rows else shape[0], *shape[1:])
            yield Call(step.output, step.kind, step.inputs, shape, scope, step.options, held)

    def _own(self, name: str, role: str, scope: str) -> str:
        """Return an array's full name: its own, if it ends in its role, else its node's."""
        if name.rpartition(".")[2] == role and "." in name:
            return name
        full = f"{scope or 'layer'}.{role}"
        self.held[full] = name
        return full

    def _scope(self, node: NodeProto) -> str:
        """Return the path of the module that a node comes from."""
        told = {p.key: p.value for p in node.metadata_props}
        if scopes := told.get("pkg.torch.onnx.name_scopes"):  # PyTorch's exporter
            parts = [part.strip(" '\"") for part in scopes.strip("[]").split(",")]
            return self._module(parts[-2] if len(parts) > 1 else "")
        if node.name.startswith("/"):  # its older one: /layer1/layer1.0/conv1/Conv
            path: list[str] = []
            for part in node.name.split("/")[1:-1]:
                if path and part.startswith(f"{path[-1].rpartition('.')[0] or path[-1]}."):
                    path.pop()
                path.append(part)
            return self._module(".".join(path))
        return self._leaf(_plain(node.name)) if node.name else ""

    def _module(self, path: str) -> str:
        """Note a module of theirs, which is a leaf if there is none inside of it."""
        self.scopes.update([path] if path else ())
        return path

    def _leaf(self, path: str) -> str:
        """Note what is called like the node that it is."""
        self.modules.add(path)
        return path


def _plain(name: str) -> str:
    """Return a node's name as a path of modules."""
    kept = "".join(c if c.isalnum() or c in "_-." else "_" for c in name)
    return ".".join(part for part in kept.split(".") if part)


def inner(source: Any) -> Any:
    """Return the file."""
    return source


def original(source: Any, theirs: Any) -> Any:
    """There is no module that could be judged."""
    raise AdoptionError(f"{source}: a file has no module that could be judged")
