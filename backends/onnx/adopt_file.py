"""An ONNX file, as far as it can be understood without running it: arrays, shapes, constants.

Nothing in a file is executed, by ONNX Runtime or anybody: shapes are inferred, and what only
computes shapes is folded by a few functions of NumPy on small arrays.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from backends.onnx.adopt_bounds import require_plain, rounds
from backends.onnx.adopt_fold import Known, fold, reshaped
from backends.onnx.bounds import inferred_shapes
from zoo.adoption.program import UNSTATED, require_images
from zoo.errors import AdoptionError, InputError

IMAGES = 1021
"""As many images as shapes are inferred for: a prime, so that the axis that they are on shows."""
CHANNELS_FIRST = (0, 3, 1, 2)
"""What moves the axes of (N, H, W, C) to (N, C, H, W)."""
MAX_BYTES = 1 << 31
"""Of a file: what protobuf admits."""
MAX_VALUES = 1 << 29
"""Of an array that a file declares."""
SHORT = 1 << 12
"""Values of a constant that shapes are inferred by."""
MADE_UP = re.compile(r"val_\d+|.*[^\w.-].*", re.DOTALL)
"""Names that exporters give to arrays that have none."""
ROUNDS = 100
"""Of folding: as many reshapes may follow each other that each ask for the shape before."""
UNFIT = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError)
"""What is raised of attributes and arrays of other kinds than an operator has."""


class File:
    """A file that was read.

    Args:
        path: of it.
        size: of the images, taken where the file leaves it open; `UNSTATED` if it is None.

    Attributes:
        opset: the version of its operators.
        input: the value that holds the images.
        shape: of it, for one image.
        rows: the number of images that shapes are inferred for.
        known: what is known of its values.
        nodes: those that are left, and those that compute with its own arrays.
        notes: what is to be known of it.
        outputs: the values that it returns.
    """

    def __init__(self, path: Path, size: tuple[int, ...] | None) -> None:
        self.path, self.model = path, _read(path)
        self.notes: list[str] = []
        require_plain(path, self.model)
        graph = self.model.graph
        self.opset = max(
            (o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")), default=0
        )
        arrays = {t.name: self._array(t) for t in graph.initializer}
        self.input, self.shape, self.rows = self._images(size, arrays)
        del graph.value_info[:]  # of other sizes, or made up
        for value in graph.output:
            value.type.tensor_type.ClearField("shape")
        del graph.initializer[:]
        for name, array in arrays.items():
            self._state(name, array)
        learned = {
            name for name, array in arrays.items()
            if array.dtype == np.float32 and not MADE_UP.fullmatch(name)
        }  # fmt: skip
        self.known = Known(arrays, learned=learned)
        self.nodes = self._folded()
        self.outputs = tuple(value.name for value in graph.output)

    def _array(self, tensor: TensorProto) -> np.ndarray:
        if min(tensor.dims, default=0) < 0 or math.prod(tensor.dims) > MAX_VALUES:
            raise AdoptionError(
                f"{self.path}: {tensor.name}: shape {list(tensor.dims)} is not possible"
            )
        try:
            if tensor.data_location == TensorProto.EXTERNAL:
                return self._external(tensor)
            return np.asarray(numpy_helper.to_array(tensor))
        except AdoptionError:
            raise
        except Exception as error:  # whatever does not fit together
            raise AdoptionError(f"{self.path}: {tensor.name}: is damaged: {error}") from None

    def _external(self, tensor: TensorProto) -> np.ndarray:
        """Return an array that is in a file beside, as PyTorch's exporter writes them."""
        told, folder = {e.key: e.value for e in tensor.external_data}, self.path.resolve().parent
        beside = (folder / told["location"]).resolve()
        if beside.parent != folder:
            raise AdoptionError(
                f"{self.path}: {tensor.name}: its data are in another file (={told['location']}), "
                "which must be beside it"
            )
        kind, count = helper.tensor_dtype_to_np_dtype(tensor.data_type), math.prod(tensor.dims)
        offset = int(told.get("offset", 0))
        if offset < 0 or offset + count * kind.itemsize > beside.stat().st_size:
            raise ValueError(f"{beside.name} is too short")
        return np.fromfile(beside, kind, count, offset=offset).reshape(tensor.dims)

    def _images(
        self, size: tuple[int, ...] | None, arrays: dict[str, np.ndarray]
    ) -> tuple[str, tuple[int, ...], int]:
        inputs = [v for v in self.model.graph.input if v.name not in arrays]
        if len(inputs) != 1:
            names = ", ".join(value.name for value in inputs) or "none"
            raise AdoptionError(f"{self.path}: it must take one input, of images, not {names}")
        (value,) = inputs
        kind = value.type.tensor_type
        name, dims = self._first(value.name, [max(d.dim_value, 0) for d in kind.shape.dim])
        if kind.elem_type != TensorProto.FLOAT or len(dims) != 4:
            raise AdoptionError(f"{self.path}: {value.name} must be float32 images (N, C, H, W)")
        size = size or (2, *(d or n for d, n in zip(dims[1:], UNSTATED[1:], strict=True)))
        require_images(size)
        if any(d and d != n for d, n in zip(dims[1:], size[1:], strict=True)):
            raise InputError(
                f"example: shape {tuple(size)} must be that of the file's input, {tuple(dims)}"
            )
        del self.model.graph.input[:]
        # What is open is said, so that all shapes can be inferred.
        rows = dims[0] if dims[0] > 0 else IMAGES
        self.model.graph.input.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (rows, *size[1:]))
        )
        return name, (1, *size[1:]), rows

    def _first(self, name: str, dims: list[int]) -> tuple[str, list[int]]:
        """Return the images, of a network that has them with channels last behind what moves them.

        So TensorFlow's networks are written.
        """
        readers = [node for node in self.model.graph.node if name in node.input]
        moves = [n for n in readers if n.op_type == "Transpose" and len(n.output) == 1]
        perm = [[*a.ints] for node in moves for a in node.attribute]
        if len(readers) != 1 or perm != [[*CHANNELS_FIRST]] or len(dims) != 4:
            return name, dims
        self.model.graph.node.remove(readers[0])
        self.notes.append("the file takes images (N, H, W, C); here they are (N, C, H, W)")
        return readers[0].output[0], [dims[i] for i in CHANNELS_FIRST]

    def _state(self, name: str, array: np.ndarray) -> None:
        """State a constant: its values where shapes may depend on them, else its shape."""
        graph = self.model.graph
        if array.dtype.kind in "iubf" and array.size <= SHORT:
            graph.initializer.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
            return
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))

    def _folded(self) -> list[NodeProto]:
        """Fold what is constant, which tells more shapes, as far as it goes; return the rest."""
        every = nodes = list(self.model.graph.node)
        known, made = self.known, set[str]()
        for _ in range(rounds(len(nodes), ROUNDS)):
            known.shapes = self._shapes()
            left, told = [], self._reshaped(nodes)
            for node in nodes:
                try:
                    folded = fold(node, known)
                except UNFIT:  # UnknownError is one
                    folded = False
                if not folded:
                    left.append(node)
                    continue
                made.add(node.output[0])
                self._state(node.output[0], known.constants[node.output[0]])
            if len(left) == len(nodes) and not told:
                break
            nodes = left
            del self.model.graph.node[:]
            self.model.graph.node.extend(nodes)
        return [n for n in every if n.output[0] not in made or n.output[0] in known.makers]

    def _reshaped(self, nodes: list[NodeProto]) -> int:
        """State the shapes that inference leaves open; return how many there were."""
        shapes, count = self.known.shapes, 0
        for node in nodes:
            source = shapes.get((*node.input, "")[0])
            if source is None or node.output[0] in shapes:
                continue
            shape: tuple[int, ...] = (-1,)
            if node.op_type == "GroupNormalization":
                shape = source
            elif node.op_type == "Reshape" and (*node.input, "")[1] in self.known.constants:
                shape = reshaped(node, source, self.known)
            if all(0 <= n <= MAX_VALUES for n in shape):
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
            kind = value.type.tensor_type
            dims = kind.shape.dim
            if kind.HasField("shape") and all(d.HasField("dim_value") for d in dims):
                found[value.name] = tuple(d.dim_value for d in dims)
        return found | {name: array.shape for name, array in self.known.constants.items()}


def _read(path: Path) -> ModelProto:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise AdoptionError(f"{path}: must be smaller than {MAX_BYTES} bytes")
        return onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise AdoptionError(f"{path}: cannot be read: {error.strerror or error}") from None
    except AdoptionError:
        raise
    except Exception as error:  # protobuf's DecodeError, which is not public
        raise AdoptionError(f"{path}: is no ONNX model: {error}") from None
