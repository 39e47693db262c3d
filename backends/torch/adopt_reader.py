"""From what `torch.export` recorded to a program."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from backends.torch import adopt_written
from backends.torch.adopt_call import Node, Options, UnknownError, arguments, line_of, value_of
from backends.torch.adopt_calls import READ, SIZES
from backends.torch.adopt_computed import ROLES, computed
from backends.torch.adopt_constants import Constants
from backends.torch.adopt_module import first_names, named_leaves
from zoo.adoption.program import UNREAD, Call, Program, refuse
from zoo.errors import AdoptionError


class Reader:
    """What `torch.export` recorded, as it becomes a program."""

    def __init__(
        self, module: nn.Module, exported: ExportedProgram, shape: tuple[int, ...]
    ) -> None:
        self.exported, self.batch = exported, shape[0]
        self.shape = (1, *shape[1:])
        self.held: dict[str, str] = {}
        self.images: list[str] = []
        state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self.trained = {name for name, _ in module.named_parameters()}
        first = first_names(module)
        known, given = {}, {}
        for spec in exported.graph_signature.input_specs:
            name, target = spec.arg.name, first.get(spec.target or "", spec.target)
            if spec.kind is InputKind.USER_INPUT:
                self.images.append(name)
                continue
            if target is None or target not in (held := state | dict(exported.constants)):
                raise AdoptionError(f"{target or name}: a constant that is no tensor")
            given[name] = held[target]
            own = target in state and held[target].is_floating_point()
            if own:
                self.held[name] = target
            if not own or spec.persistent is False:  # what no file has, nothing else can be
                known[name] = held[target].detach()
        self.constants = Constants(known)
        inputs = [n for n in exported.graph.nodes if n.name in self.images]
        self.open = any(isinstance(n.meta["val"].shape[0], torch.SymInt) for n in inputs)
        self.arrays = {
            name: tensor.detach().numpy().copy()
            for name, tensor in state.items()
            if tensor.is_floating_point()
        }
        self.modules = frozenset(
            name for name, part in module.named_modules() if name and not any(part.children())
        )
        self.several: dict[str, list[str]] = {}
        self.weights: set[str] = set()
        self.made: set[str] = set()
        self.same: dict[str, str] = {}
        self.unread: set[str] = set()
        self.computed = computed(exported.graph, given, self.held.keys() - known.keys())

    def program(self) -> Program:
        """Return the program."""
        calls: list[Call] = []
        problems: list[str] = []
        for node in self.exported.graph.nodes:
            if node.op == "call_function" and node.name not in self.computed.left:
                try:
                    calls += self._calls(node)
                except UnknownError as error:
                    self.unread.add(node.name)
                    problems.append(f"{self.place(node)}: {error}")
                    calls.append(self._hole(node))
        found, as_tuple, notes = self._outputs()
        notes += self._once()
        return Program(
            self.images[0], self.shape, calls, tuple(value for _, value in found), as_tuple,
            self.arrays, self.modules, notes, frozenset(self.made),
            tuple(name for name, _ in found), tuple(problems),
        )  # fmt: skip

    def _once(self) -> list[str]:
        """Return what is said of weights that were computed of others; these are no arrays here."""
        left = [self.held[name] for name in self.computed.left if name in self.held]
        for name in left:
            del self.arrays[name]
        layers = sorted({self._scope(node) for node in self.computed.layers.values()})
        more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
        return [
            f"{', '.join(layers[:3])}{more}: weights are computed of others: they are kept as they "
            "are now, for inference; training does not compute them again"
        ] * bool(layers)

    def _outputs(self) -> tuple[list[tuple[str, str]], bool, list[str]]:
        """Return what is returned (how it is called, the value), if in a tuple, and notes."""
        if len(self.images) != 1:
            raise AdoptionError(f"it takes {len(self.images)} tensors: it must take one, of images")
        (node,) = (n for n in self.exported.graph.nodes if n.op == "output")
        spec = self.exported.call_spec.out_spec
        leaves = list(zip(named_leaves(spec), node.args[0], strict=True))
        left = [name for name, value in leaves if value is None]
        refuse(
            f"it returns {name or 'a value'} (={value!r}), which must be a tensor"
            for name, value in leaves
            if value is not None and not isinstance(value, Node)
        )
        notes = [f"it returns None as {name}: left out" for name in left]
        found = [(name, value.name) for name, value in leaves if value is not None]
        if any(not name.isdigit() for name, _ in found if name):
            told = ", ".join(name for name, _ in found)
            notes.append(f"it returns {told}: a tuple of these")
        return found, not spec.is_leaf(), notes

    def _calls(self, node: Node) -> Iterator[Call]:
        target: Any = node.target
        if target is operator.getitem:
            yield from self._one_of_several(node)
            return
        if target in SIZES or not hasattr(target, "overloadpacket"):
            if isinstance(target, HigherOrderOperator):
                raise UnknownError(f"{node.name} is no operator of the zoo")
            return
        kind = str(target.overloadpacket).removeprefix("aten.").removeprefix("parity_zoo.")
        if kind.rstrip("_") in READ:
            kind = kind.rstrip("_")
        if kind.startswith("_assert") or self.constants.compute(node):
            return
        values = arguments(node)
        if kind in adopt_written.SEVERAL:
            yield from adopt_written.SEVERAL[kind](self, node, values)
        elif kind not in READ:
            raise UnknownError(f"{kind} is no operator of the zoo")
        else:
            yield from self.read(node, kind, values)

    def _one_of_several(self, node: Node) -> Iterator[Call]:
        source, index = node.args
        assert isinstance(source, Node)
        if self.constants.compute(node):
            return
        if source.name in self.unread:  # which is told
            yield self._hole(node)
            return
        if source.name not in self.several:
            raise UnknownError(f"{source.target} returns several values")
        parts = self.several[source.name]
        if not node.users:
            return
        if not isinstance(index, int) or index >= len(parts):
            raise UnknownError(f"{source.target}: where a maximum is")
        yield self.call(node, "identity", [parts[index]], {}, {})

    def read(self, node: Node, kind: str, values: Options) -> Iterator[Call]:
        name, options = READ[kind](self.constants.filled(kind, values))
        target: Any = node.target
        inputs, held = [], {}
        # Of what a shape or a type is taken, nothing else is.
        given = {k: v for k, v in values.items() if k != "other" or not kind.endswith("_as")}
        for role, value in given.items():
            for part in value if isinstance(value, list | tuple) else [value]:
                if not isinstance(part, Node) or not isinstance(value_of(part), torch.Tensor):
                    continue
                if self.constants.tells(kind, part):
                    continue  # the options have it
                if role in ROLES and self.is_array(part):
                    held[role] = self._array(part, node)
                elif role in ROLES:
                    raise UnknownError(f"{kind}: its {role} is computed")
                else:
                    yield from self.weight(part, node)
                    inputs.append(self.now(part.name))
        call = self.call(node, name, inputs, options, held)
        yield call
        if kind != str(target.overloadpacket).rpartition(".")[2]:
            self.same[inputs[0]] = node.name  # what it wrote over is what it made

    def is_array(self, part: Node) -> bool:
        """Return whether an argument is an array of the module, a constant, or computed once."""
        held = (self.held, self.constants.known, self.computed.values)
        return any(part.name in them for them in held)

    def now(self, name: str) -> str:
        """Return the value that a name stands for, which was written over."""
        while name in self.same:
            name = self.same[name]
        return name

    def _array(self, part: Node, reader: Node) -> str:
        """Return the full name of an array; a constant gets one of the module that reads it."""
        if part.name in self.held:
            return self.held[part.name]
        if part.name in self.computed.values:  # called like no array that a file of theirs has
            return self._named(self.computed.values[part.name], reader, "computed_weight")
        return self._named(self.constants.of_one(part, self.batch), reader)

    def _named(self, value: torch.Tensor, reader: Node, called: str = "constant") -> str:
        scope = self._scope(reader)
        wanted = name = f"{scope}.{called}" if scope else called
        number = 1
        while name in self.arrays:
            name, number = f"{wanted}_{number}", number + 1
        self.arrays[name] = value.to(torch.float32).numpy().copy()
        self.made.add(name)
        return name

    def weight(self, part: Node, reader: Node) -> Iterator[Call]:
        """Yield an array as a value, unless it is one; a constant of each image is one of all."""
        if part.name in self.weights or not self.is_array(part):
            return
        self.weights.add(part.name)
        held = self._value(part.name, self._array(part, reader), reader)
        if part.name in self.constants.opened:
            yield replace(held, name=f"{part.name}_one")
            inputs, images = (f"{part.name}_one",), self.axis_of(value_of(part))
            held = replace(held, kind="expand", inputs=inputs, options={}, held={}, images=images)
        yield held

    def constant(self, name: str, value: torch.Tensor, reader: Node) -> Call:
        """Return a constant as a value."""
        return self._value(name, self._named(value, reader), reader)

    def _value(self, name: str, full: str, reader: Node) -> Call:
        return Call(
            name, "weight", (), self.arrays[full].shape, self._scope(reader),
            {"trainable": full in self.trained}, {"weight": full}, line_of(reader), -1,
        )  # fmt: skip

    def call(
        self, node: Node, kind: str, inputs: Sequence[str], options: Options, held: dict[str, str]
    ) -> Call:
        value = value_of(node)
        if isinstance(value, tuple | list):  # the first of several: a maximum, and where it is
            self.several[node.name], value = [node.name], value[0]
        shape: tuple[int, ...] = ()
        images = 0
        if isinstance(value, torch.Tensor):
            shape, images = self.shape_of(value, kind), self.axis_of(value)
            if value.dtype != torch.float32:
                raise UnknownError(f"{kind}: makes {value.dtype}")
        place = self._scope(node), options, held, line_of(node)
        return Call(node.name, kind, tuple(inputs), shape, *place, images)

    def _hole(self, node: Node) -> Call:
        """Return what stands for a call that is none of ours, for those around it."""
        read = [p for p in node.all_input_nodes if isinstance(value_of(p), torch.Tensor | tuple)]
        inputs = tuple(self.now(part.name) for part in read if not self.is_array(part))
        value, images = value_of(node), 0
        shape: tuple[int, ...] = ()
        if isinstance(value, torch.Tensor):
            with suppress(UnknownError):
                shape, images = self.shape_of(value), self.axis_of(value)
        return Call(node.name, UNREAD, inputs, shape, images=images)

    def axis_of(self, value: torch.Tensor) -> int:
        """Return the axis that is open, which the images are on; -1 if there is none."""
        found = [i for i, n in enumerate(value.shape) if isinstance(n, torch.SymInt)]
        frozen = not self.open and value.shape[:1] == (self.batch,)
        return found[0] if found else 0 if frozen else -1

    def shape_of(self, value: torch.Tensor, kind: str = "") -> tuple[int, ...]:
        """Return the shape for one image."""
        axis = self.axis_of(value)
        shape = [n.node.hint if isinstance(n, torch.SymInt) else int(n) for n in value.shape]
        if axis >= 0:
            if (
                shape[axis] % self.batch
                or sum(isinstance(n, torch.SymInt) for n in value.shape) > 1
            ):
                raise UnknownError(
                    f"{kind or 'it'} makes {tuple(value.shape)}: several axes depend on the images"
                )
            shape[axis] //= self.batch
        return tuple(shape)

    def _scope(self, node: Node) -> str:
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path = stack[-1][0] if stack else ""
        return path.split("@")[0]  # a module that is called again has a number behind it

    def place(self, node: Node) -> str:
        at, line = self._scope(node) or "the network itself", line_of(node)
        return f"{at} ({line})" if line else at
