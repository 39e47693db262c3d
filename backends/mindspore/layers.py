"""Cells that MindSpore does not have, or not in a form that is exact, quick and exported.

Nothing of ours is imported: generated files carry the text of what they use.
"""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops
from mindspore.ops import constexpr


@constexpr
def reached(kernel_size: Any, stride: Any, padding: Any, size: Any) -> tuple[int, ...]:
    """Return the rows (top, bottom) and columns (left, right) of padding that windows reach."""
    found: list[int] = []
    for n, k, s, p in zip(size, kernel_size, stride, padding, strict=True):
        end = (n + 2 * p - k) // s * s + k - p  # of the last window
        found += [p, max(end - n, 0)]
    return tuple(found)


class SymmetricPool2d(nn.Cell):
    """A pool with the same padding on opposite sides, exactly PyTorch's.

    MindSpore's padded pools run as 3-D ones, slow forward and not exportable, but their backward
    passes are the fast ones. So they serve in training, and in evaluation the map is enlarged by
    what the windows reach (often one side only) before a pool without padding.
    """

    def __init__(self, kind: type[nn.Cell], kernel_size: Any, stride: Any, padding: Any) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = (
            (value,) * 2 if isinstance(value, int) else value
            for value in (kernel_size, stride, padding)
        )
        self.zeros = kind is nn.AvgPool2d
        self.padded = kind(self.kernel_size, self.stride, pad_mode="pad", padding=self.padding)
        self.valid = kind(self.kernel_size, self.stride, pad_mode="valid")

    def construct(self, x: Tensor) -> Tensor:
        if self.training:
            return self.padded(x)
        top, bottom, left, right = reached(self.kernel_size, self.stride, self.padding, x.shape[2:])
        x = self.enlarge(x, x[:, :, :1], x[:, :, -1:], 2, top, bottom)
        x = self.enlarge(x, x[:, :, :, :1], x[:, :, :, -1:], 3, left, right)
        return self.valid(x)

    def enlarge(
        self, x: Tensor, first: Tensor, last: Tensor, axis: int, before: int, after: int
    ) -> Tensor:
        # A copy of the edge never changes the maximum of a window, which holds the edge anyway.
        if self.zeros:
            first, last = ops.zeros_like(first), ops.zeros_like(last)
        parts = (first,) * before + (x,) + (last,) * after
        return ops.cat(parts, axis) if len(parts) > 1 else x


class SymmetricMaxPool2d(SymmetricPool2d):
    """A max pool with the same padding on opposite sides."""

    def __init__(self, kernel_size: Any, stride: Any, padding: Any) -> None:
        super().__init__(nn.MaxPool2d, kernel_size, stride, padding)


class SymmetricAvgPool2d(SymmetricPool2d):
    """An average pool with the same padding on opposite sides, which counts."""

    def __init__(self, kernel_size: Any, stride: Any, padding: Any) -> None:
        super().__init__(nn.AvgPool2d, kernel_size, stride, padding)


class Gather(nn.Cell):
    """Output channel i is input channel ``indices[i]``."""

    def __init__(self, indices: Any) -> None:
        super().__init__()
        self.indices = Tensor(np.array(indices), ms.int32)

    def construct(self, x: Tensor) -> Tensor:
        return ops.gather(x, self.indices, 1)


class ChannelShuffle(Gather):
    """View the channels as (groups, channels / groups), transpose, flatten."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(np.arange(channels).reshape(groups, -1).T.reshape(-1))


class GlobalAvgPool2d(nn.Cell):
    """Mean over height and width, kept as (N, C, 1, 1)."""

    def construct(self, x: Tensor) -> Tensor:
        return ops.mean(x, (2, 3), keep_dims=True)
