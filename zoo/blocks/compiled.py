"""Generated text as classes that inspect, pickle and the frameworks' parsers find."""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from zoo.errors import ZooError


def class_of(text: str, name: str, change: Callable[[type], None] = lambda made: None) -> Any:
    """Return a class of a generated module, which is compiled once for each text.

    Args:
        text: the module.
        name: of the class.
        change: what is done to each class of the module when it is made.
    """
    module = _module(text)
    if "__zoo__" not in vars(module):
        for made in [v for v in vars(module).values() if isinstance(v, type)]:
            if made.__module__ == module.__name__:
                change(made)
        vars(module)["__zoo__"] = text
    return getattr(module, name)


def counterpart(made: type, other: type) -> type:
    """Return the class that is in another generated class's module what this one is in its own.

    A class that is not of a generated module is its own.
    """
    own, there = (vars(sys.modules[kind.__module__]) for kind in (made, other))
    found: type = there[made.__name__] if "__zoo__" in own else made
    return found


def source_of(made: type) -> str:
    """Return the text of the module that a generated class is from."""
    found: str = vars(sys.modules[made.__module__])["__zoo__"]
    return found


@functools.cache
def _directory() -> Path:
    """Return a folder for generated code that goes when the process ends.

    It has to be files: TorchScript's and MindSpore's compilers read the source of what they run.
    """
    # A name that Python could import: MindSpore's amp O1 writes "from folder.module import …".
    folder = tempfile.mkdtemp(prefix="zoo_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def _module(text: str) -> ModuleType:
    name = f"zoo_network_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    file = _directory() / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    exec(compile(text, str(file), "exec"), vars(module))
    return module


def require_own(kind: type) -> None:
    """Raise `ZooError` unless a class is that of a network as `zoo.create` makes it."""
    if "admitted" not in vars(kind):
        raise ZooError(
            f"reset_classifier: the class (={kind.__name__}) must be the one that zoo.create made; "
            "reset the classifier before the model is wrapped or changed"
        )
