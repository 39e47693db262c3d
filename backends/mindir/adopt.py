"""The way in for MINDIR files: what their nodes mean, in PyTorch's terms.

Nothing in a file is executed, and MindSpore is not needed. The file tells the shape of every value,
so what remains is to follow the graph: constants, tuples and states go through it as they are,
further graphs are read in the place of their calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backends.mindir.nodes import READ
from backends.mindir.place import LOST, At, Held, LostError, UnknownError, Value
from backends.mindir.proto import Graph, Model, Node, read
from zoo.adoption.program import Call, Program, refuse, require_images
from zoo.errors import AdoptionError, InputError, WeightsError

MOST = 1 << 16
"""Calls of a network, those in further graphs at each of theirs."""
DEEPEST = 32
"""Graphs that call each other."""

Marks = Mapping[str, tuple[str, float, str]]
"""Name of a parameter → what a product with it stands for, with which probability, in which Cell.

``"scope"`` stands for nothing: what follows is in that Cell.
"""


def program(source: Any, images: np.ndarray | None) -> Program:
    """Return what a file computes; see `backends.protocols.WayIn`.

    Args:
        source: its path.
        images: of the size that it takes, or None.

    Raises:
        AdoptionError: it is no MINDIR file, or has what no operator of ours is.
        InputError: the images are not what it takes.
    """
    return Reader(Path(source), None if images is None else images.shape).program()


def inner(source: Any) -> Any:
    """Return the file."""
    return source


def original(source: Any, theirs: Any) -> Any:
    """There is no module that could be judged."""
    raise AdoptionError(f"{source}: a file has no module that could be judged")


class Reader:
    """One file.

    Args:
        path: of it.
        size: of the images, (N, C, H, W); None for that of the file.
        marks: products that are something else.
        momenta: of batch norms, by the names of their running means; no file has them.
        modules: the Cells that hold no others; those that look so by default.
        fixed: parameters that training leaves alone.
    """

    def __init__(
        self,
        path: Path,
        size: Sequence[int] | None,
        marks: Marks | None = None,
        momenta: Mapping[str, float] | None = None,
        modules: frozenset[str] | None = None,
        fixed: frozenset[str] = frozenset(),
    ) -> None:
        self.path, self.model = path, read(path)
        self.marks, self.momenta = marks or {}, momenta or {}
        self.live = marks is not None
        self.rows, *one = self._images(size)
        self.shape = (1, *one)
        self.modules, self.fixed = modules, fixed
        self.calls: list[Call] = []
        self.made: dict[str, Call] = {}
        self.arrays: dict[str, np.ndarray] = {}
        self.weights: dict[str, Value] = {}
        self.places: set[tuple[str, str]] = set()
        self.problems: list[str] = []
        self.visited = 0

    def program(self) -> Program:
        """Return what it computes."""
        model: Model = self.model
        image = Value("images", self.shape, scope="" if self.live else None)
        held = {
            name: Held(tensor.name, tensor.shape)
            if tensor.dtype.startswith("float")
            else self._array(tensor)
            for name, tensor in model.parameters.items()
        }
        self.known: dict[str, Any] = {**model.constants, **held}
        result = self._run(model.graph, [image], self.known, "", 0)
        refuse(self.problems)
        as_tuple = isinstance(result, tuple)
        outputs = result if as_tuple else (result,)
        wrong = [v for v in outputs if not isinstance(v, Value)]
        if wrong or not outputs:
            told = " and ".join(sorted({_kind(v) for v in wrong})) or "nothing"
            raise AdoptionError(
                f"it returns {told}: it must return a tensor, or a tuple of tensors"
            )
        names = {h.name for h in held.values() if isinstance(h, Held)} - set(self.marks)
        tensors = {t.name: t for t in model.parameters.values()}
        used = {name for call in self.calls for name in call.held.values()} - set(self.arrays)
        refuse([
            f"{name}: dtype (={tensors[name].dtype}) must be float32"
            for name in sorted(used) if tensors[name].dtype != "float32"
        ])  # fmt: skip
        # Parameters may be called otherwise than the Cells that hold them.
        owners = {held.rpartition(".")[0] for call in self.calls for held in call.held.values()}
        scopes = {call.scope for call in self.calls if call.scope}
        around = {prefix for path in (*scopes, *owners) for prefix in _around(path)}
        leaves = frozenset(scopes if self.modules is None else self.modules) - around
        return Program(
            image.name, self.shape, self.calls, tuple(v.name for v in outputs), as_tuple,
            {name: self._array(tensors[name]) for name in sorted(names)} | self.arrays,
            leaves,
            constants=frozenset(self.arrays),
        )  # fmt: skip

    def _images(self, size: Sequence[int] | None) -> tuple[int, ...]:
        """Return the shape of the images that the file was written for."""
        images = self.model.images
        if len(images) != 1:
            raise AdoptionError(f"it takes {len(images)} inputs: it must take one, of images")
        shape, dtype = images[0].shape, images[0].dtype
        if len(shape) != 4 or dtype != "float32":
            raise AdoptionError(
                f"its input (={dtype or 'unknown'} {list(shape)}) must be float32 images "
                "(N, C, H, W)"
            )
        if min(shape[1:]) < 1:
            raise AdoptionError(f"its input (={list(shape)}) must have a size: export it with one")
        if size and tuple(shape[1:]) != tuple(size[1:]):
            raise InputError(
                f"example: shape {tuple(size)} must be that of the file's input, {tuple(shape)}"
            )
        require_images(shape)
        return tuple(shape)

    def _array(self, tensor: Any) -> np.ndarray:
        try:
            found: np.ndarray = tensor.array()
        except WeightsError as error:
            raise AdoptionError(f"{self.path}: {error}") from None
        return found

    def _run(
        self, graph: Graph, inputs: Sequence[Any], known: Mapping[str, Any], where: str, depth: int
    ) -> Any:
        """Read a graph in the place of a call; return what it returns."""
        if depth > DEEPEST:
            raise AdoptionError(f"{self.path}: graphs call each other more than {DEEPEST} deep")
        if len(graph.outputs) != 1:
            raise AdoptionError(f"{self.path}: {graph.name}: it must have one output")
        env: dict[str, Any] = {**known, **dict(zip(graph.inputs, inputs, strict=False))}
        moved = _moved(graph, inputs)
        for node in graph.nodes:
            self.visited += 1
            if self.visited > MOST:
                raise AdoptionError(f"{self.path}: it makes more than {MOST} calls")
            env[node.output] = self._value(node, env, where, moved, depth)
        (output,) = graph.outputs
        if output not in env:
            raise AdoptionError(f"{self.path}: {output}: is made by nothing")
        return env[output]

    def _value(
        self, node: Node, env: Mapping[str, Any], where: str, moved: tuple[str, str], depth: int
    ) -> Any:
        scope = node.scope
        if moved[0] and f"{scope}.".startswith(f"{moved[0]}."):
            scope = moved[1] + scope.removeprefix(moved[0])
        try:
            missing = [name for name in node.inputs if name not in env]
            if missing and not all(name in self.model.functions for name in missing):
                raise UnknownError(f"{node.kind}: reads {missing[0]}, which nothing before makes")
            args = [env.get(name, name) for name in node.inputs]
            several = [v for arg in args for v in (arg if isinstance(arg, tuple) else (arg,))]
            known = [v.scope for v in several if isinstance(v, Value) and v.scope is not None]
            scope = known[0] if known else scope
            if node.kind in self.model.functions:
                graph = self.model.functions[node.kind]
                # What it reads from outside is what the graph around it has.
                return self._run(graph, args, env, f"{where}{node.output}/", depth + 1)
            if env.get(node.kind) is LOST:  # a function that was chosen by the data
                return LOST
            if node.kind not in READ:
                raise UnknownError(f"{node.kind} is no operator of the zoo")
            return READ[node.kind](At(self, node, args, f"{where}{node.output}", scope))
        except LostError:
            return LOST
        except UnknownError as error:
            problem = str(error)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            problem = f"{node.kind}: its arguments contradict: {error}"  # in files that are made up
        self.problems.append(f"{scope or 'the network itself'}: {problem}")
        return LOST

    def constant(self, value: np.ndarray, scope: str) -> Held:
        """Return a constant as an array that is called after the Cell that reads it."""
        wanted = name = f"{scope}.constant" if scope else "constant"
        number = 1
        while name in self.arrays:
            name, number = f"{wanted}_{number}", number + 1
        self.arrays[name] = value.astype(np.float32)
        return Held(name, value.shape)

    def is_trained(self, name: str) -> bool:
        """Return whether an array is a parameter that training changes."""
        return name not in self.arrays and name not in self.fixed

    def add(self, call: Call) -> Value:
        """Note a call; return what it makes."""
        while call.name in self.made:
            call.name += "'"
        self.calls.append(call)
        self.made[call.name] = call
        return Value(call.name, call.shape, images=call.images)


def _moved(graph: Graph, inputs: Sequence[Any]) -> tuple[str, str]:
    """Return the path of the Cell that a graph was made of, and that of the one it is called for.

    A graph that serves several Cells is written once; its parameters are called like those of one.
    """
    for formal, given in zip(graph.inputs, inputs, strict=False):
        name = formal.removeprefix(f"{graph.name}:").removeprefix("CR_")
        if isinstance(given, Held) and name != given.name:
            theirs, ours = name.split("."), given.name.split(".")
            while theirs and ours and theirs[-1] == ours[-1]:
                theirs.pop(), ours.pop()
            return ".".join(theirs), ".".join(ours)
    return "", ""


def _around(path: str) -> Iterator[str]:
    while path := path.rpartition(".")[0]:
        yield path


def _kind(value: Any) -> str:
    if isinstance(value, Held):
        return "a parameter"
    return "a tuple in a tuple" if isinstance(value, tuple) else "what is no tensor"
