"""What a backend tells of its framework: how an operator, a chain and a class are spelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any

from zoo.arch import Operator, Shape
from zoo.arch.operators import GroupNorm, Narrow, Pad2d, Slice, Weight, Window
from zoo.blocks.layout import Name

REQUIRED = object()
"""The default of an argument that has none."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A value in the call that makes a layer.

    Attributes:
        label: what the value is, in the operators' words (``groups``); an argument of a class that
            stands for it has this name.
        value: an int, float, bool, str or a tuple of them.
        keyword: the framework's name for it; None for a positional one.
        default: the framework's; it is left out where it is the value.
    """

    label: str
    value: Any
    keyword: str | None = None
    default: Any = REQUIRED


@dataclass(frozen=True, slots=True)
class Layer:
    """An operator that is a child: ``self.conv = nn.Conv2d(…)``, called with the node's inputs.

    Attributes:
        name: of the class, as the code has it.
        arguments: of its constructor.
        in_place: the argument that lets it write over its input; its value is set here.
    """

    name: str
    arguments: tuple[Argument, ...] = ()
    in_place: str | None = None

    def made(self, find: Callable[[str], Any]) -> Any:
        """Return the live layer; ``find`` returns the class of a name in the code."""
        values = [
            (a.keyword, find(a.value) if isinstance(a.value, Name) else a.value)
            for a in self.arguments
        ]
        keywords = {keyword: value for keyword, value in values if keyword}
        return find(self.name)(*(v for keyword, v in values if not keyword), **keywords)


@dataclass(frozen=True, slots=True)
class Inline:
    """An operator that is an expression in the code.

    Attributes:
        form: the expression; ``{0}``, ``{1}`` are its inputs, ``{all}`` all of them, names are
            arguments.
        arguments: numbers in it.
        in_place: the statement that writes the result over ``{1}`` instead.
        atom: whether the expression keeps together next to an operator of Python.
    """

    form: str
    arguments: tuple[Argument, ...] = ()
    in_place: str | None = None
    atom: bool = True

    def value(self, inputs: Sequence[Any], names: Mapping[str, Any]) -> Any:
        """Return what it makes of inputs, where the code has these names."""
        given = {f"x{i}": value for i, value in enumerate(inputs)}
        numbers = {a.label: a.value for a in self.arguments}
        every = ", ".join(given) + ("," if len(given) == 1 else "")
        text = self.form.format(*given, all=every, **numbers)
        return eval(text, {**names, **given})


Entry = Callable[[Any, Shape], Any]
"""From an operator and the shape of its first input to a `Layer`, an `Inline`, or a live layer."""


def one(value: tuple[int, ...]) -> Any:
    """Return one number for several that are alike."""
    return value[0] if len(set(value)) == 1 else value


def window(op: Window) -> tuple[Argument, Argument]:
    """Return the first two arguments of a pool."""
    return Argument("kernel_size", one(op.kernel_size)), Argument("stride", one(op.stride))


def numbers(op: Operator) -> tuple[Argument, ...]:
    """Return all values of an operator as numbers in an expression."""
    return tuple(Argument(field.name, getattr(op, field.name)) for field in fields(op))


def padded(op: Pad2d, shape: Shape) -> Layer:
    """Return how padding is spelled, by both frameworks alike."""
    top, left, bottom, right = op.sides
    names = {"constant": "Constant", "reflect": "Reflection", "replicate": "Replication"}
    value = (Argument("value", op.value),) if op.mode == "constant" else ()
    sides = Argument("padding", (left, right, top, bottom))
    return Layer(f"nn.{names[op.mode]}Pad2d", (sides, *value))


def sliced(op: Slice, shape: Shape) -> Inline:
    """Return how a slice is spelled."""
    return Inline(
        "{0}[:, {start}:{stop}]", (Argument("start", op.start), Argument("stop", op.stop))
    )


def narrowed(op: Narrow, shape: Shape) -> Inline:
    """Return how a part of an axis is spelled."""
    bounds = (Argument("start", op.start), Argument("stop", op.stop), Argument("step", op.step))
    every = ":{step}" if op.step > 1 else ""
    form = "{0}[" + ":, " * op.dim + "{start}:{stop}" + every + "]"
    return Inline(form, bounds if op.step > 1 else bounds[:2])


def group_norm(op: GroupNorm, shape: Shape) -> Layer:
    """Return a group norm, which both frameworks spell alike."""
    return Layer(
        "nn.GroupNorm",
        (
            Argument("num_groups", op.num_groups),
            Argument("channels", op.num_channels),
            Argument("eps", op.eps, "eps", 1e-5),
        ),
    )


def held(op: Weight, shape: Shape) -> Layer:
    """Return what holds an array that is a value, a helper of each framework."""
    trainable = Argument("trainable", op.trainable, "trainable", True)
    return Layer("Weight", (Argument("shape", op.shape), trainable))


@dataclass(frozen=True)
class Idioms:
    """A framework's way to write modules.

    Attributes:
        operators: type of operator → its entry.
        imports: name that the code uses → the line that imports it, in the order of the lines.
        helpers: a module of layers that the framework does not have; it imports nothing of ours,
            so that its text can be copied.
        module: the base class.
        forward: the name of the method.
        tensor: the type of what it takes.
        numbered: the class of a chain whose children are numbers; it takes them one by one.
        named: the class of a chain whose children have names; it takes an `OrderedDict`. None where
            such a chain is a class with a method like any other.
        listed: the class of independent children that are numbers; it takes a list.
        chunk: equal runs of channels of ``{0}``, ``{count}`` of them.
        placeholder: the class that stands in the code for a live layer.
        check: lines that make ``model`` and run it, for the end of a file; ``{root}``, ``{shape}``,
            ``{count}`` and ``{outputs}`` are filled in.
    """

    operators: Mapping[type[Operator], Entry]
    imports: Mapping[str, str]
    helpers: ModuleType
    module: str
    forward: str
    tensor: str
    numbered: str
    named: str | None
    listed: str
    chunk: str
    placeholder: str
    check: str
