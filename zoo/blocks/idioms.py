"""What a backend tells of its framework: how an operator, a chain and a class are spelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from zoo.arch import Operator, Shape

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


Entry = Callable[[Any, Shape], Any]
"""From an operator and the shape of its first input to a `Layer`, an `Inline`, or a live layer."""


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
