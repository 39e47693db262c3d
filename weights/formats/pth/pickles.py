"""Pickles read as data: an interpreter of the opcodes that builds plain containers, runs nothing.

Python's own unpickler imports and calls whatever the file names. This one has no import and no call
of a named thing in it: `pickletools.genops` only parses, a name is looked up in a table of *our*
builders, and a name outside that table ends the reading. Values are kept as they come: what is
shared stays shared, and nothing here prints, compares, hashes or descends into what a file nests.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from weights.formats.pth.inert import (
    ForbiddenNameError,
    Global,
    Marker,
    Opaque,
    Record,
    find,
    printable,
)
from zoo.errors import WeightsError

MAX_STEPS = 500_000
"""Opcodes in one file; a checkpoint of a thousand tensors has some fifty thousand."""
MAX_BITS = 1024
"""Bits in an integer: the widest that a checkpoint has any use for are states of generators."""


def load(
    stream: io.BytesIO,
    names: Mapping[str, object],
    persistent: Callable[[object], object] | None = None,
) -> object:
    """Return what one pickle holds, and leave the stream behind its last byte.

    Args:
        stream: the bytes; several pickles may follow each other.
        names: "module.name" → what stands for it: a `Global` to be called, or a value.
        persistent: makes something of a persistent id.

    Raises:
        WeightsError: the pickle is damaged, or asks for anything but plain data.
    """
    return _Machine(names, persistent).run(stream)


class _Machine:
    """The stack, the marks and the memo of one pickle."""

    def __init__(
        self, names: Mapping[str, object], persistent: Callable[[object], object] | None
    ) -> None:
        self.names = names
        self.persistent = persistent
        self.stack: list[object] = []
        self.below: list[list[object]] = []  # the stacks under the open marks
        self.memo: dict[int, object] = {}  # not a list: an index may be any number
        self.steps = 0

    def run(self, stream: io.BytesIO) -> object:
        position: int | None = stream.tell()
        try:
            for opcode, argument, position in pickletools.genops(stream):  # noqa: B007
                self.spend(1)
                handler = _HANDLERS.get(opcode.name)
                if handler is None:
                    raise WeightsError(f"opcode {opcode.name} has no place in a file of weights")
                handler(self, argument)
            return self.stack.pop()
        except ForbiddenNameError:
            raise
        except WeightsError as error:
            raise WeightsError(f"pickle, byte {position}: {error}") from None
        except Exception as error:
            # genops reports bad arguments by whatever its codecs raise, warnings included.
            reason = printable(f"{type(error).__name__}: {error}")
            raise WeightsError(f"pickle is damaged near byte {position} ({reason})") from None

    def spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise WeightsError(f"more than {MAX_STEPS} steps")

    # Values

    def push(self, argument: object) -> None:
        self.stack.append(argument)

    def push_integer(self, argument: int) -> None:
        if argument.bit_length() > MAX_BITS:
            raise WeightsError(
                f"an integer of {argument.bit_length()} bits; at most {MAX_BITS} are read"
            )
        self.stack.append(argument)

    def ignore(self, argument: object) -> None:
        pass

    # The stack and the memo

    def mark(self, _: object) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[object]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def pop(self, _: object) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def memoize(self, _: object) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    # Containers

    def new_dict(self, items: list[object]) -> None:
        self.stack.append(Record())
        self.set_items(items)

    def set_items(self, items: list[object]) -> None:
        target = self.stack[-1]
        if len(items) % 2:
            raise WeightsError("a key without a value")
        if isinstance(target, Record):
            for key, value in zip(items[::2], items[1::2], strict=True):
                target.put(key, value)
        elif not isinstance(target, Opaque):
            raise WeightsError(f"items are set on a {type(target).__name__}")

    def add(self, items: list[object]) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target.extend(items)
        elif not isinstance(target, Opaque):
            raise WeightsError(f"items are appended to a {type(target).__name__}")

    def frozen_set(self, _: object) -> None:
        self.pop_mark()
        self.stack.append(Opaque("set"))

    def pop_many(self, count: int) -> list[object]:
        if len(self.stack) < count:
            raise IndexError("the stack is too short")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    # Names, and what they make

    def named(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str:
            raise WeightsError("a name that is not text")
        self.stack.append(find(self.names, module, name))

    def reduce(self, _: object) -> None:
        called, args = self.pop_many(2)
        if not isinstance(called, Global):
            raise WeightsError(f"a {type(called).__name__} is called")
        if type(args) is not tuple:
            raise WeightsError(f"{called.name} is called with a {type(args).__name__}")
        # A list may be named over and over by two bytes: walking it has its price.
        self.spend(len(args[0]) if args and type(args[0]) is list else 0)
        self.stack.append(called.build(args))

    def reduce_with_keywords(self, _: object) -> None:
        _keywords = self.stack.pop()
        self.reduce(None)
        if not isinstance(self.stack[-1], Opaque):
            raise WeightsError("a container is made with keywords")

    def build(self, _: object) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, Marker):
            raise WeightsError(f"a {type(target).__name__} is given a state")
        target.set_state(state)

    def refer(self, _: object) -> None:
        if self.persistent is None:
            raise WeightsError("a persistent id, which has no meaning here")
        self.stack.append(self.persistent(self.stack.pop()))

    def instance(self, argument: str) -> None:
        """INST: a name and a call in one. Python 2's classes alone need it, and no tensor does."""
        module, _, name = argument.partition(" ")
        find(self.names, module, name)  # says what the name is, where it is a forbidden one
        raise WeightsError("opcode INST has no place in a file of weights")


def _each(names: str, handler: Callable[[_Machine, Any], None]) -> dict[str, Any]:
    return dict.fromkeys(names.split(), handler)


# Every opcode that is obeyed. Not here, and so refused: OBJ, EXT1, EXT2, EXT4, PERSID and
# protocol 5's buffers outside the file.
_HANDLERS: dict[str, Callable[[_Machine, Any], None]] = {
    **_each("BININT BININT1 BININT2 FLOAT BINFLOAT", _Machine.push),
    **_each("INT LONG LONG1 LONG4", _Machine.push_integer),
    **_each("STRING BINSTRING SHORT_BINSTRING", _Machine.push),
    **_each("UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8", _Machine.push),
    **_each("BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8", _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    **_each("PROTO FRAME STOP", _Machine.ignore),
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": lambda machine, _: machine.ignore(machine.pop_mark()),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    **_each("PUT BINPUT LONG_BINPUT", _Machine.put),
    "MEMOIZE": _Machine.memoize,
    **_each("GET BINGET LONG_BINGET", _Machine.get),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_mark())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.pop_many(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.pop_many(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.pop_many(3))),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(machine.pop_mark()),
    "APPEND": lambda machine, _: machine.add(machine.pop_many(1)),
    "APPENDS": lambda machine, _: machine.add(machine.pop_mark()),
    "EMPTY_DICT": lambda machine, _: machine.push(Record()),
    "DICT": lambda machine, _: machine.new_dict(machine.pop_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop_many(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "EMPTY_SET": lambda machine, _: machine.push(Opaque("set")),
    "ADDITEMS": lambda machine, _: machine.add(machine.pop_mark()),
    "FROZENSET": _Machine.frozen_set,
    "GLOBAL": lambda machine, argument: machine.named(*argument.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.named(*machine.pop_many(2)),
    **_each("REDUCE NEWOBJ", _Machine.reduce),
    "NEWOBJ_EX": _Machine.reduce_with_keywords,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.refer,
    "INST": _Machine.instance,
}
