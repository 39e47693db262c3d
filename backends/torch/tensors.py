"""A layer's parameters as plain tensors, whatever tools have put in their place."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from backends.torch.live import evaluating
from zoo.errors import WeightsError

PLAIN = (torch.Tensor, nn.Parameter)


def read(layer: nn.Module, name: str, role: str) -> torch.Tensor:
    """Return a parameter or buffer as the layer uses it for inference.

    Pruned and parametrized ones are what their layer makes of them. One that is spread over
    processes is gathered: all of them have to call this.

    Args:
        layer: the layer.
        name: of the value, for messages.
        role: the layer's attribute.

    Raises:
        WeightsError: it holds no plain numbers (quantized, on the meta device).
    """
    hook = _hook(layer, role)
    if isinstance(hook, prune.BasePruningMethod):
        found = hook.apply_mask(layer)
    elif isinstance(hook, SpectralNorm):
        found = hook.compute_weight(layer, do_power_iteration=False)
    elif isinstance(hook, WeightNorm):
        found = hook.compute_weight(layer)
    elif parametrize.is_parametrized(layer, role):
        found = _made_of(_parametrization(layer, role))
    else:
        found = getattr(layer, role)
    if isinstance(found, DTensor):
        found = found.full_tensor()
    return _plain(found.detach(), name)


def writer(layer: nn.Module, name: str, role: str, array: Any) -> Callable[[], object]:
    """Return what writes an array into a layer, once it is known that it can hold it exactly.

    Args:
        layer: as for `read`.
        name: likewise.
        role: likewise.
        array: of the parameter's shape.

    Raises:
        WeightsError: the layer cannot hold these values; nothing has been changed.
    """
    hook = _hook(layer, role)
    if isinstance(hook, prune.BasePruningMethod):
        mask, origin = getattr(layer, f"{role}_mask"), getattr(layer, f"{role}_orig")
        new = _like(origin, array)
        lost = int(((mask == 0) & (new != 0)).sum())
        if lost:
            raise WeightsError(
                f"{name}: {lost} of {new.numel()} values are not 0 where the layer is pruned; "
                "torch.nn.utils.prune.remove makes a plain layer of it"
            )
        pruned = hook

        def write() -> None:
            origin.copy_(new)
            setattr(layer, role, pruned.apply_mask(layer))

        return write
    if hook is not None:
        raise WeightsError(
            f"{name}: is computed by {type(hook).__name__} from other values: it cannot be set"
        )
    if parametrize.is_parametrized(layer, role):
        made = _parametrization(layer, role)
        new = _like(_made_of(made), array)
        _require_exact(copy.deepcopy(made), new, name)
        return functools.partial(made.right_inverse, new)
    target = getattr(layer, role)
    if isinstance(target, DTensor):
        whole = _like(target, array)
        spread = distribute_tensor(whole, target.device_mesh, target.placements)
        return functools.partial(target.copy_, spread)
    _plain(target.detach(), name)
    new = _like(target, array)
    return functools.partial(target.copy_, new)


def _parametrization(layer: Any, role: str) -> Any:
    return layer.parametrizations[role]


def _hook(layer: nn.Module, role: str) -> Any:
    """Return the hook that computes a parameter before each call, if there is one."""
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, prune.BasePruningMethod) and hook._tensor_name == role:
            return hook
        if isinstance(hook, WeightNorm | SpectralNorm) and hook.name == role:
            return hook
    return None


def _plain(found: torch.Tensor, name: str) -> torch.Tensor:
    kind = type(found)
    if kind not in PLAIN:
        raise WeightsError(
            f"{name}: is a {kind.__name__} ({kind.__module__.partition('.')[0]}), which holds no "
            "plain numbers: take the weights before it is made"
        )
    if found.is_meta:
        raise WeightsError(f"{name}: is on the meta device, where there are no values")
    return found


def _like(target: torch.Tensor, array: Any) -> torch.Tensor:
    return torch.from_numpy(array.copy()).to(target.device, target.dtype)


def _made_of(made: Any) -> torch.Tensor:
    with evaluating(made), torch.no_grad():  # spectral norms learn in training mode
        found: torch.Tensor = made()
    return found


def _require_exact(trial: Any, new: torch.Tensor, name: str) -> None:
    kinds = ", ".join(type(step).__name__ for step in trial)
    try:
        with torch.no_grad():
            trial.right_inverse(new)
            same = torch.equal(_made_of(trial), new)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{name}: is parametrized by {kinds}: {error}") from None
    if not same:
        raise WeightsError(
            f"{name}: is parametrized by {kinds}, which does not give these values back bit by bit"
        )
