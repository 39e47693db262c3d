"""The way in for PyTorch modules: `torch.export`, whose ATen calls become a program.

The module is exported in evaluation mode with a batch of two that stays open, not decomposed:
parameters keep their names, and each call knows the module that it was made in. What training does
beside (dropout, batch norm's statistics) is said by our operators.
"""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import Dim, ExportedProgram, export
from torch.export.graph_signature import InputKind

from backends.torch.adopt_call import Node, Options, UnknownError, arguments, value_of
from backends.torch.adopt_calls import READ, SIZES
from backends.torch.original import Original
from zoo.adoption.program import Call, Program, refuse
from zoo.errors import AdoptionError


def program(source: nn.Module, images: np.ndarray) -> Program:
    """Return what a module computes.

    Args:
        source: it; left as it was found.
        images: float32 (N, C, H, W), N of at least 2.

    Raises:
        AdoptionError: `torch.export` cannot take it, or it computes with what is no float32 image
            batch.
    """
    _require_plain(source)
    example = torch.from_numpy(images)
    with _undisturbed(source):
        try:
            exported = export(source, (example,), dynamic_shapes=({0: Dim.AUTO},), strict=False)
        except Exception as error:  # whatever a user's forward raises, or torch.export refuses
            raise AdoptionError(
                f"{type(source).__name__}: torch.export cannot take it: {_first_line(error)}"
            ) from error
    return _Reader(source, exported, images.shape).program()


def original(source: nn.Module, theirs: Mapping[str, str]) -> Any:
    """Return what runs a module as if it were a backend; see `Original`."""
    return Original(source, theirs)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _require_plain(module: nn.Module) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise AdoptionError("a TorchScript module is code of its own: adopt what it was made from")
    wrong = [
        f"{name}: {what} (={found}) must be {wanted}"
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
        for what, found, wanted in (
            ("dtype", tensor.dtype, torch.float32),
            ("device", tensor.device.type, "cpu"),
        )
        if found != wanted and (what == "device" or tensor.is_floating_point())
    ]
    refuse(wrong)


@torch.library.custom_op("parity_zoo::stochastic_depth", mutates_args=())
def _stochastic_depth(x: torch.Tensor, p: float) -> torch.Tensor:
    """Mark where a branch is dropped in training: nothing of it is left in what is recorded."""
    return x.clone()


@_stochastic_depth.register_fake
def _(x: torch.Tensor, p: float) -> torch.Tensor:
    return torch.empty_like(x)


def _marked(module: Any) -> float:
    """Return with which probability a module drops whole images in training; 0 for all others."""
    kind = type(module).__name__
    if kind == "StochasticDepth" and module.mode == "row":  # torchvision
        return float(module.p)
    if kind == "DropPath":  # timm, and many who took it from there
        return float(getattr(module, "drop_prob", 0.0) or 0.0)
    return 0.0


@contextmanager
def _undisturbed(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode for a while, and leave all as it was."""
    modes = {part: part.training for part in module.modules()}
    marked: dict[nn.Module, Any] = {part: p for part in modes if (p := _marked(part))}
    module.eval()
    for part, p in marked.items():
        vars(part)["forward"] = functools.partial(_stochastic_depth, p=p)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for part in marked:
            del vars(part)["forward"]
        for part, mode in modes.items():
            part.training = mode


class _Reader:
    def __init__(
        self, module: nn.Module, exported: ExportedProgram, shape: tuple[int, ...]
    ) -> None:
        self.exported, self.batch = exported, shape[0]
        self.shape = (1, *shape[1:])
        self.held: dict[str, str] = {}
        self.images: list[str] = []
        constants = []
        for spec in exported.graph_signature.input_specs:
            name = spec.arg.name
            if spec.kind is InputKind.USER_INPUT:
                self.images.append(name)
            elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
                assert spec.target is not None
                self.held[name] = spec.target
            else:
                constants.append(f"{spec.target or name}: a constant that is no parameter")
        refuse(constants)
        state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self.arrays = {
            name: tensor.detach().numpy().copy()
            for name, tensor in state.items()
            if tensor.is_floating_point()
        }
        self.modules = frozenset(
            name for name, part in module.named_modules() if name and not any(part.children())
        )
        self.parts: dict[str, list[str]] = {}

    def program(self) -> Program:
        calls: list[Call] = []
        problems: list[str] = []
        for node in self.exported.graph.nodes:
            if node.op == "call_function":
                try:
                    calls += self._calls(node)
                except UnknownError as error:
                    problems.append(str(error))
        refuse(problems)
        outputs, as_tuple = self._outputs()
        return Program(
            self.images[0], self.shape, calls, outputs, as_tuple, self.arrays, self.modules
        )

    def _outputs(self) -> tuple[tuple[str, ...], bool]:
        (node,) = (n for n in self.exported.graph.nodes if n.op == "output")
        found = node.args[0]
        spec = self.exported.call_spec.out_spec
        nested = spec is not None and not spec.is_leaf()
        if nested and (spec.type not in (tuple, list) or spec.num_leaves != spec.num_children):
            raise AdoptionError(
                f"it returns a {spec.type.__name__} of {spec.num_leaves} values: it must return a "
                "tensor, or a tuple of tensors"
            )
        if len(self.images) != 1:
            raise AdoptionError(f"it takes {len(self.images)} tensors: it must take one, of images")
        return tuple(n.name for n in found), nested

    def _calls(self, node: Node) -> Iterator[Call]:
        target: Any = node.target
        if target is operator.getitem:
            source, index = node.args
            assert isinstance(source, Node)
            if source.name not in self.parts:
                raise UnknownError(f"{self._place(node)}: {source.target} returns several values")
            parts = self.parts[source.name]
            if not node.users:
                return
            if not isinstance(index, int) or index >= len(parts):
                raise UnknownError(f"{self._place(node)}: {source.target}: where a maximum is")
            yield self._call(node, "identity", [parts[index]], {}, {})
            return
        if target in SIZES or not hasattr(target, "overloadpacket"):
            return
        kind = str(target.overloadpacket).removeprefix("aten.").removeprefix("parity_zoo.")
        if kind.rstrip("_") in READ:
            kind = kind.rstrip("_")
        values = arguments(node)
        if kind in ("chunk", "split", "split_with_sizes"):
            yield from self._parts(node, values)
            return
        if kind not in READ:
            raise UnknownError(f"{self._place(node)}: {kind} is no operator of the zoo")
        name, options = READ[kind](values)
        inputs, held = [], {}
        for role, value in values.items():
            for part in value if isinstance(value, list | tuple) else [value]:
                if isinstance(part, Node) and part.name in self.held:
                    held[role] = self.held[part.name]
                elif isinstance(part, Node) and isinstance(value_of(part), torch.Tensor):
                    inputs.append(part.name)
        yield self._call(node, name, inputs, options, held)

    def _parts(self, node: Node, values: Options) -> Iterator[Call]:
        sizes = [int(t.shape[values.get("dim", 0)]) for t in value_of(node)]
        start, names = 0, []
        for i, size in enumerate(sizes):
            options = {"dim": values.get("dim", 0), "start": start, "end": start + size, "step": 1}
            call = self._call(node, "slice", [values["self"].name], options, {})
            call.name, call.shape = f"{node.name}_{i}", self._shape(value_of(node)[i])
            names.append(call.name)
            start += size
            yield call
        self.parts[node.name] = names

    def _call(
        self, node: Node, kind: str, inputs: Sequence[str], options: Options, held: dict[str, str]
    ) -> Call:
        value = value_of(node)
        if isinstance(value, tuple | list):  # the first of several: a maximum, and where it is
            self.parts[node.name], value = [node.name], value[0]
        shape = self._shape(value) if isinstance(value, torch.Tensor) else ()
        return Call(
            node.name, kind, tuple(inputs), shape, self._scope(node), options, held, _line(node)
        )

    def _shape(self, value: torch.Tensor) -> tuple[int, ...]:
        """Return the shape for one image; the open axis is that of the images."""
        return tuple(
            1 if isinstance(n, torch.SymInt) or (i == 0 and n == self.batch) else int(n)
            for i, n in enumerate(value.shape)
        )

    def _scope(self, node: Node) -> str:
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path = stack[-1][0] if stack else ""
        return path.split("@")[0]  # a module that is called again has a number behind it

    def _place(self, node: Node) -> str:
        at, line = self._scope(node) or "the network itself", _line(node)
        return f"{at} ({line})" if line else at


def _line(node: Node) -> str:
    """Return the last line of the user's code, or of a library's, that a call was made in."""
    trace = [line.strip() for line in (node.stack_trace or "").splitlines() if "File " in line]
    if not trace:
        return ""
    parts = trace[-1].split('"')
    return f"{parts[1].rpartition('/')[2]}:{parts[2].split('line ')[1].split(',')[0]}"
