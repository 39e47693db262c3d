"""Depthwise convolutions with a stride by a way whose gradients are quick on a CPU."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class ThinnedConv2d(nn.Conv2d):
    """A convolution with a stride as one without, of whose pixels the others are left out.

    The same function of the same parameters. oneDNN's gradients of depthwise convolutions with a
    stride are so slow that four times the multiplications are the lesser cost: three such layers
    took a fifth of a training step of ShuffleNet V1 (docs/training.md).
    """

    def _conv_forward(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        every = F.conv2d(x, weight, bias, 1, self.padding, self.dilation, self.groups)
        down, right = self.stride
        return every[:, :, ::down, ::right].contiguous(memory_format=torch.channels_last)


def thin(module: nn.Module) -> nn.Module:
    """Let the depthwise convolutions with a stride be computed so, in place."""
    for layer in module.modules():
        if type(layer) is nn.Conv2d and max(layer.stride) > 1 and layer.groups == layer.in_channels:
            # A new module would take the parameters out of the network's hands.
            layer.__class__ = ThinnedConv2d
    return module
