"""Cells that MindSpore does not have, or not in a form that is exact, quick and exported.

Nothing of ours is imported: generated files carry the text of what they use.
"""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops


class SymmetricPool2d(nn.Cell):
    """A pool with the same padding on opposite sides, exactly PyTorch's.

    MindSpore's padded pools are slow and not exportable, but their gradients are the
    fast ones. In evaluation the map is enlarged by what windows reach instead.
    """

    def __init__(
        self,
        kind: type,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = (
            (value,) * 2 if isinstance(value, int) else value
            for value in (kernel_size, stride, padding)
        )
        self.zeros = kind is nn.AvgPool2d
        self.ceil_mode = ceil_mode
        self.padded = kind(
            kernel_size, stride, pad_mode="pad", padding=padding, ceil_mode=ceil_mode
        )
        self.valid = kind(kernel_size, stride, pad_mode="valid")

    def construct(self, x: Tensor) -> Tensor:
        # Nor do they need to know the size, which Cell.set_inputs leaves open.
        if self.training or ops.functional.is_sequence_value_unknown(x.shape):
            return self.padded(x)
        x = self.enlarge(x, x[:, :, :1], x[:, :, -1:], 0)
        return self.valid(self.enlarge(x, x[:, :, :, :1], x[:, :, :, -1:], 1))

    def enlarge(self, x: Tensor, first: Tensor, last: Tensor, i: int) -> Tensor:
        n, k = x.shape[2 + i], self.kernel_size[i]
        s, p = self.stride[i], self.padding[i]
        count = (n + 2 * p - k) // s
        if self.ceil_mode and (n + 2 * p - k) % s and (count + 1) * s < n + p:
            count += 1
        end = count * s + k - p  # of the last window
        # A copy of the edge never changes the maximum of a window, which holds it anyway.
        if self.zeros:
            first, last = ops.zeros_like(first), ops.zeros_like(last)
        parts = (first,) * p + (x,) + (last,) * max(end - n, 0)
        return ops.cat(parts, 2 + i) if len(parts) > 1 else x


class ChannelShuffle(nn.Cell):
    """View the channels as (groups, channels / groups), transpose, flatten."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        order = np.arange(channels).reshape(groups, -1).T.reshape(-1)
        self.indices = Tensor(order, ms.int32)

    def construct(self, x: Tensor) -> Tensor:
        return ops.gather(x, self.indices, 1)


class Gather(nn.Cell):
    """Output channel i is input channel ``indices[i]``."""

    def __init__(self, indices: tuple[int, ...]) -> None:
        super().__init__()
        self.indices = Tensor(np.array(indices), ms.int32)

    def construct(self, x: Tensor) -> Tensor:
        return ops.gather(x, self.indices, 1)


class GlobalAvgPool2d(nn.Cell):
    """Mean over height and width, kept as (N, C, 1, 1)."""

    def construct(self, x: Tensor) -> Tensor:
        return ops.mean(x, (2, 3), keep_dims=True)


class StochasticDepth(nn.Cell):
    """In training, zero all values of an image with probability p, or scale them by 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(p=p)

    def construct(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * self.drop(ops.ones((x.shape[0],) + (1,) * (x.ndim - 1), x.dtype))


class ChannelDropout(nn.Cell):
    """In training, zero a channel of an image with probability p, or scale it by 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(p=p)

    def construct(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * self.drop(ops.ones((x.shape[0], x.shape[1], 1, 1), x.dtype))


class ELU(nn.Cell):
    """x where x is positive, alpha * (exp(x) - 1) elsewhere; MindSpore's has an alpha of 1."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def construct(self, x: Tensor) -> Tensor:
        return ops.relu(x) + self.alpha * ops.elu(-ops.relu(-x))


class Tanh(nn.Cell):
    """Exact to a rounding or two; the error of MindSpore's kernel is 1e-4."""

    def construct(self, x: Tensor) -> Tensor:
        e = ops.expm1(2 * ops.clamp(x, None, 20.0))
        return e / (e + 2)


class Exp(nn.Cell):
    """Exact to a rounding or two; the error of MindSpore's kernel is 2.4e-6."""

    def construct(self, x: Tensor) -> Tensor:
        e = ops.expm1(ops.where(x > 0, x, -x)) + 1
        return ops.where(x > 0, e, 1 / e)


class Mish(nn.Cell):
    """x * tanh(log(1 + exp(x))); the gradient of MindSpore's kernel is off by 4e-4."""

    def construct(self, x: Tensor) -> Tensor:
        e = ops.exp(ops.clamp(x, None, 20.0))
        n = e * (e + 2)
        return x * n / (n + 2)


class CropAndPad2d(nn.Cell):
    """Constant padding of which some sides are negative.

    MindSpore's own crops as well, but in PyNative mode it computes other values as soon as it has
    computed a gradient (2.10).
    """

    def __init__(self, padding: tuple[int, int, int, int], value: float = 0.0) -> None:
        super().__init__()
        self.left, self.right, self.top, self.bottom = (max(-side, 0) for side in padding)
        self.pad = nn.ConstantPad2d(tuple(max(side, 0) for side in padding), value)

    def construct(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x = x[:, :, self.top : height - self.bottom, self.left : width - self.right]
        return self.pad(x)


class Upsample(nn.Cell):
    """A map of another size, given whole factors or the size itself."""

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners = align_corners if mode == "bilinear" else None

    def construct(self, x: Tensor) -> Tensor:
        size = self.size
        if self.scale_factor is not None:
            size = (x.shape[2] * self.scale_factor[0], x.shape[3] * self.scale_factor[1])
        return ops.interpolate(x, size=size, mode=self.mode, align_corners=self.align_corners)


class Weight(nn.Cell):
    """An array that is a value as it is."""

    def __init__(self, shape: tuple[int, ...], trainable: bool = True) -> None:
        super().__init__()
        zeros = Tensor(np.zeros(shape, np.float32))
        self.weight = ms.Parameter(zeros, requires_grad=trainable)

    def construct(self) -> Tensor:
        return self.weight


class Index(nn.Cell):
    """The places ``indices`` of an axis, one after the other."""

    def __init__(self, dim: int, indices: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = dim
        self.indices = Tensor(np.array(indices), ms.int32)

    def construct(self, x: Tensor) -> Tensor:
        return ops.gather(x, self.indices, self.dim)


class Roll(nn.Cell):
    """Values moved along axes, the last ones to the front; MindSpore's has no kernel for CPUs."""

    def __init__(self, shifts: tuple[int, ...], dims: tuple[int, ...]) -> None:
        super().__init__()
        self.moves = tuple(zip(shifts, dims, strict=True))

    def construct(self, x: Tensor) -> Tensor:
        for shift, dim in self.moves:
            n = x.shape[dim]
            at = (n - shift) % n
            if at:
                x = ops.cat((ops.narrow(x, dim, at, n - at), ops.narrow(x, dim, 0, at)), dim)
        return x


class PlainLayerNorm(nn.Cell):
    """Layer normalization over the last axes, without weight and bias."""

    def __init__(self, axes: int, eps: float) -> None:
        super().__init__()
        self.axes = tuple(range(-axes, 0))
        self.eps = eps

    def construct(self, x: Tensor) -> Tensor:
        x = x - ops.mean(x, self.axes, True)
        return x / ops.sqrt(ops.mean(x * x, self.axes, True) + self.eps)


class Normalize(nn.Cell):
    """x over its length along an axis, which is taken for ``eps`` at least."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def construct(self, x: Tensor) -> Tensor:
        length = ops.sqrt((x * x).sum(self.dim, keepdims=True))
        return x / ops.clamp(length, self.eps)


class Attention(nn.Cell):
    """softmax(scale * q @ k.T + mask) @ v."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def construct(self, q: Tensor, k: Tensor, v: Tensor, mask: Any = None) -> Tensor:
        scores = ops.matmul(q * self.scale, k.swapaxes(-1, -2))
        if mask is not None:
            scores = scores + mask
        return ops.matmul(ops.softmax(scores, -1), v)
