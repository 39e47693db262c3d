"""What a module must be to be read: float32 arrays of its own on the CPU, and no code of others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize
from torch.utils import _pytree as pytree

from zoo.adoption.program import refuse
from zoo.errors import AdoptionError

COMPUTED = {
    "WeightNorm": "torch.nn.utils.remove_weight_norm(module)",
    "SpectralNorm": "torch.nn.utils.remove_spectral_norm(module)",
}
"""Older hooks that compute a weight before each call → what ends that."""


def require_plain(module: nn.Module) -> None:
    """Raise `AdoptionError` unless a module can be read; all that stands in the way is told."""
    if isinstance(module, torch.jit.ScriptModule):
        raise AdoptionError("a TorchScript module is code of its own: adopt what it was made from")
    refuse([*_of_parts(module), *_of_arrays(module)])


def _of_parts(module: nn.Module) -> Iterator[str]:
    for path, part in module.named_modules():
        at, kind = path or "the network itself", type(part)
        if "quantized" in kind.__module__.split("."):
            yield f"{at}: {kind.__name__} is quantized: adopt what it was made from"
        if parametrize.is_parametrized(part):
            names = ", ".join(part.parametrizations)
            yield (
                f"{at}: {names} is computed of other arrays: "
                "torch.nn.utils.parametrize.remove_parametrizations(module, name) makes it one"
            )
        for hook in part._forward_pre_hooks.values():
            what, home = type(hook).__name__, type(hook).__module__
            if what in COMPUTED or home == "torch.nn.utils.prune":
                remedy = COMPUTED.get(what, "torch.nn.utils.prune.remove(module, name)")
                yield f"{at}: a weight is computed of other arrays: {remedy} makes it one"


def _of_arrays(module: nn.Module) -> Iterator[str]:
    wrong: dict[str, list[str]] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if isinstance(tensor, UninitializedParameter):
            yield f"{name}: has no shape yet: call the module once"
        elif tensor.device.type != "cpu":
            wrong.setdefault(f"device (={tensor.device.type}) must be cpu", []).append(name)
        elif tensor.is_floating_point() and tensor.dtype != torch.float32:
            wrong.setdefault(f"dtype (={tensor.dtype}) must be torch.float32", []).append(name)
    for what, names in wrong.items():
        more = f", and of {len(names) - 1} more arrays" if len(names) > 1 else ""
        yield f"{names[0]}: {what}{more}"


@contextmanager
def own_gradients() -> Iterator[None]:
    """Refuse functions that state their own gradients: what is recorded does not tell them.

    Raises:
        AdoptionError: when the body is done; the functions are named. PyTorch's own are no others.
    """
    found: list[str] = []
    function: Any = torch.autograd.Function
    apply = vars(function)["apply"]

    def seen(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if not cls.__module__.startswith("torch."):
            found.append(f"{cls.__qualname__}: a torch.autograd.Function has a gradient of its own")
        return apply.__get__(None, cls)(*args, **kwargs)

    function.apply = classmethod(seen)
    try:
        yield
    finally:
        function.apply = apply
    refuse(found)


def named_leaves(spec: Any) -> list[str]:
    """Return what the values that a module returns are called: ``features``, ``aux.0``."""
    if spec is None or spec.is_leaf():
        return [""]
    numbers = pytree.tree_unflatten(range(spec.num_leaves), spec)
    paths, _ = pytree.tree_flatten_with_path(numbers)
    return [".".join(_key(key) for key in path) for path, _ in paths]


def _key(key: Any) -> str:
    """Return a step into what is returned, whatever it is called: an index, a key, a field."""
    for name in ("key", "idx", "name"):
        if hasattr(key, name):
            return str(getattr(key, name))
    return str(key)


def tensors(output: Any) -> tuple[torch.Tensor, ...]:
    """Return the tensors in what a module returns, in the order of `named_leaves`."""
    return tuple(leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor))


def first_names(module: nn.Module) -> dict[str, str]:
    """Return for each name of an array the first that this array has: several may share it."""
    every = (
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    )
    owner: dict[int, str] = {}
    return {name: owner.setdefault(id(tensor), name) for name, tensor in every}
