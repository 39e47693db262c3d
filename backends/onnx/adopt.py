"""The way in for ONNX files: what their nodes mean, in PyTorch's terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from backends.onnx.adopt_file import IMAGES, MADE_UP, UNFIT, File
from backends.onnx.adopt_images import Images, followed
from backends.onnx.adopt_node import At, Step
from backends.onnx.adopt_nodes import READ
from zoo.adoption.joined import joined
from zoo.adoption.program import Call, Program, UnknownError, refuse
from zoo.errors import AdoptionError

SUFFIXES = (".onnx",)


def program(source: Any, images: np.ndarray | None) -> Program:
    """Return what a file computes; see `backends.protocols.WayIn`.

    Args:
        source: its path.
        images: of the size that is taken where the file leaves it open, by default `UNSTATED`.

    Raises:
        AdoptionError: it is no ONNX model, or has what no operator of ours is.
        InputError: the images are not what it takes.
    """
    return _Reader(File(Path(source), None if images is None else images.shape)).program()


class _Reader:
    def __init__(self, file: File) -> None:
        self.file, self.known = file, file.known
        self.modules: set[str] = set()
        self.scopes: set[str] = set()
        self.held: dict[str, str] = {}
        self.constants: set[str] = set()
        self.images = {file.input: Images((file.rows, *file.shape[1:]), 0)}

    def program(self) -> Program:
        calls: list[Call] = []
        problems: list[str] = []
        lost: set[str] = set()
        for node in self.file.nodes:
            told = ""
            try:
                calls.extend(self._calls(node))  # those before one that fails are there
            except UnknownError as error:
                told = str(error)
            except UNFIT as error:
                told = f"{node.op_type} is not what it should be ({type(error).__name__}: {error})"
            if told and node.output[0] not in self.known.constants:
                if lost.isdisjoint(node.input):  # otherwise it is the other's fault
                    problems.append(f"{node.name or node.output[0]}: {told}")
                lost.update(node.output)
        refuse(problems)
        outputs = self.file.outputs
        leaves = {s for s in self.scopes if not any(o.startswith(f"{s}.") for o in self.scopes)}
        arrays = {full: self.known.constants[name] for full, name in self.held.items()}
        found = joined(
            Program(
                self.file.input, self.file.shape, calls, outputs, len(outputs) > 1, arrays,
                frozenset(self.modules | leaves), [], frozenset(self.constants), outputs,
            )
        )  # fmt: skip
        used = {name for call in found.calls for name in call.held.values()}
        found.arrays = {name: np.asarray(arrays[name], np.float32) for name in used}
        found.notes.extend(self.file.notes)
        kinds = {call.kind for call in found.calls}
        if "conv2d" in kinds and "batch_norm" not in kinds:
            found.notes.append(
                "there are no batch norms: if they were folded into the convolutions, this is a "
                "network for inference"
            )
        return found

    def _calls(self, node: NodeProto) -> Iterator[Call]:
        if node.domain not in ("", "ai.onnx") or node.op_type not in READ:
            kind = f"{node.domain}.{node.op_type}".lstrip(".")
            raise UnknownError(f"{kind} is no operator of the zoo")
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        at, scope = At(node, values, self.known, self.file.opset), self._scope(node)
        for step in READ[node.op_type](at):
            if len(node.output) > 1:
                scope = self._leaf(_plain(step.output))
            own = step.kind == "identity" and step.inputs[0] in self.known.learned
            if own and step.inputs[0] not in self.images:
                yield self._weight(step.output, step.inputs[0], scope)
                continue
            for name in step.inputs:
                if name in self.known.constants and name not in self.images:
                    yield self._weight(name, name, scope)
                if name not in self.images:
                    raise UnknownError(f"{node.op_type} reads {name}, which no node before makes")
            held = self._held(step, scope)
            shape, images = self._placed(step)
            inputs = step.inputs
            if step.kind == "cat" and images >= 0 and step.options["dim"] % len(shape) != images:
                yield from self._each(step, images, scope)
                inputs = tuple(n if self.images[n].axis >= 0 else f"{n}:each" for n in inputs)
            yield Call(step.output, step.kind, inputs, shape, scope, step.options, held, "", images)

    def _placed(self, step: Step) -> tuple[tuple[int, ...], int]:
        """Return the shape of a result for one image, and the axis that the images are on."""
        shape = step.shape or self.known.shapes.get(step.output)
        if shape is None:
            raise UnknownError(f"{step.kind}: the shape of {step.output} is not known")
        if any(n < 1 for n in shape):
            raise UnknownError(f"{step.kind}: shape {list(shape)} is not possible")
        rows = self.file.rows
        if rows == IMAGES:
            found = [i for i, n in enumerate(shape) if n % rows == 0]
            if len(found) > 1:
                raise UnknownError(f"{step.kind}: {shape}: several axes depend on the images")
            made = Images(shape, (*found, -1)[0])
        else:
            made = followed(step, shape, [self.images[name] for name in step.inputs], rows)
        self.images[step.output] = made
        return tuple(n // rows if i == made.axis else n for i, n in enumerate(shape)), made.axis

    def _each(self, step: Step, images: int, scope: str) -> Iterator[Call]:
        """Let what is joined be there of each image, where a file for one does not say so."""
        for source in dict.fromkeys(name for name in step.inputs if self.images[name].axis < 0):
            if f"{source}:each" not in self.images:
                name, shape = source, self.images[source].shape
                self.images[f"{name}:each"] = Images(shape, images)
                array = self.known.constants.get(name)
                if array is not None and shape[0] == self.file.rows and (array == array[:1]).all():
                    self.known.constants[f"{name}:one"] = array[:1]
                    yield self._weight(f"{name}:one", f"{name}:one", scope)
                    name, shape = f"{name}:one", (1, *shape[1:])
                yield Call(f"{source}:each", "expand", (name,), shape, images=images)

    def _weight(self, name: str, array: str, scope: str) -> Call:
        """Return an array as a value."""
        if array not in self.known.learned or MADE_UP.fullmatch(array):
            (full,) = self._own({"constant": array}, scope).values()
            self.constants.add(full)
        else:
            full = name
            self.held[full] = array
        shape = self.known.constants[array].shape
        self.images[name] = Images(shape, -1)
        options = {"trainable": full not in self.constants}
        return Call(name, "weight", (), shape, scope, options, {"weight": full}, "", -1)

    def _held(self, step: Step, scope: str) -> dict[str, str]:
        """Return the full names of the arrays of a layer by their roles."""
        found = {}
        for role, name in step.held.items():
            last = name.rpartition(".")[2]
            if "." in name and (last == role or last.endswith(f"_{role}")):
                found[role] = name
        self.held |= {name: name for name in found.values()}
        rest = {role: name for role, name in step.held.items() if role not in found}
        found |= self._own(rest, scope)
        return {role: found[role] for role in step.held}

    def _own(self, arrays: Mapping[str, str], scope: str) -> dict[str, str]:
        """Give names to arrays that have none, by their roles in the module that they are of."""
        owner, number = scope or "layer", 1
        while any(self.held.get(f"{owner}.{role}", a) != a for role, a in arrays.items()):
            number += 1
            owner = f"{scope or 'layer'}_{number}"
        self.held |= {f"{owner}.{role}": name for role, name in arrays.items()}
        return {role: f"{owner}.{role}" for role in arrays}

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
