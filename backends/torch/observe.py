"""The values inside of a live PyTorch model, as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from backends.torch.live import LIVE, evaluating, unwrap
from backends.torch.operators import IDIOMS
from zoo.blocks.live import Seen
from zoo.errors import WeightsError


def observe(module: nn.Module, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the values that a live model lets one see in evaluation mode, by node.

    What layers take and return is seen by hooks, without compilation; the output is that of the
    model itself, be it compiled or not.

    Raises:
        WeightsError: the model does not compute in float32.
    """
    network = LIVE.network_in(module)
    for name, parameter in network.named_parameters():
        if parameter.dtype != torch.float32:
            dtype = str(parameter.dtype).removeprefix("torch.")
            raise WeightsError(f"{name}: dtype (={dtype}) must be float32 in a proof")
    images = torch.from_numpy(x).to(next(network.parameters(), torch.empty(0)).device)
    outer = module if unwrap(module) is network else network
    seen, last = Seen(_array), Seen(_array)
    with evaluating(module), torch.no_grad():
        last.keep(network.zoo_graph.outputs, outer(images))
        with seen.watching(LIVE, network, IDIOMS), torch.compiler.set_stance("force_eager"):
            network(images)
    return seen | last


def _array(value: Any) -> np.ndarray:
    found: np.ndarray = value.detach().cpu().numpy()
    return found
