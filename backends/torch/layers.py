"""Layers that PyTorch does not have, or not in a form that all of its tools take.

Nothing of ours is imported: generated files carry the text of what they use. Annotations are not
put off: of attributes, `torch.jit.script` asks for them as they are.
"""

import torch
from torch import nn
from torch.nn import functional as F


class ChannelShuffle(nn.ChannelShuffle):
    """View the channels as (groups, C / groups), transpose, flatten."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_tracing():  # the older ONNX exporter knows no channel_shuffle
            n, c, h, w = input.shape
            x = input.view(n, self.groups, c // self.groups, h, w)
            return x.transpose(1, 2).reshape(n, c, h, w)
        return F.channel_shuffle(input, self.groups)


class ChannelPermute(nn.Module):
    """Output channel i is input channel ``indices[i]``."""

    indices: torch.Tensor

    def __init__(self, indices: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("indices", torch.tensor(indices), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.index_select(1, self.indices)


class Weight(nn.Module):
    """An array that is a value as it is; a buffer where it does not train."""

    weight: torch.Tensor

    def __init__(self, shape: tuple[int, ...], trainable: bool = True) -> None:
        super().__init__()
        zeros = torch.zeros(shape)
        if trainable:
            self.weight = nn.Parameter(zeros)
        else:
            self.register_buffer("weight", zeros)

    def forward(self) -> torch.Tensor:
        return self.weight


class Index(nn.Module):
    """The places ``indices`` of an axis, one after the other."""

    indices: torch.Tensor

    def __init__(self, dim: int, indices: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("indices", torch.tensor(indices), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.index_select(self.dim, self.indices)


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Return a value for both directions."""
    return (value, value) if isinstance(value, int) else value


def same_upper(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after that makes ceil(size / stride) windows."""
    # torch.export keeps this as a formula. Written so, the size cancels out of the padded one, and
    # what comes out is spelled as what a convolution with symmetric padding makes: the two are seen
    # to be equal, which costs SymPy minutes otherwise, or it gives up.
    total = (size - 1) // stride * stride + kernel_size - size
    if kernel_size < stride:
        total = max(total, 0)
    return total // 2, total - total // 2


class SameUpperConv2d(nn.Conv2d):
    """A convolution with SAME_UPPER padding: what is odd goes to the bottom and right."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        down = self.dilation[0] * (self.kernel_size[0] - 1) + 1
        right = self.dilation[1] * (self.kernel_size[1] - 1) + 1
        rows = same_upper(input.shape[2], down, self.stride[0])
        columns = same_upper(input.shape[3], right, self.stride[1])
        x = F.pad(input, (columns[0], columns[1], rows[0], rows[1]))
        return self._conv_forward(x, self.weight, self.bias)


class SidedConv2d(nn.Conv2d):
    """A convolution whose padding (top, left, bottom, right) differs by side."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        sizes = (in_channels, out_channels, kernel_size, stride)
        super().__init__(*sizes, 0, dilation, groups, bias)
        top, left, bottom, right = padding
        self.sides = [left, right, top, bottom]

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(F.pad(input, self.sides), self.weight, self.bias)


class SameUpperMaxPool2d(nn.Module):
    """A max pool with SAME_UPPER padding."""

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int],
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = pair(kernel_size), pair(stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (k, m), (s, t) = self.kernel_size, self.stride
        top, bottom = same_upper(x.shape[2], k, s)
        left, right = same_upper(x.shape[3], m, t)
        if in_one_form(x):
            x = F.pad(x, (left, right, top, bottom), value=float("-inf"))
            return F.max_pool2d(x, (k, m), (s, t))
        # An odd pixel is what ceil_mode adds: a last window that hangs over the edge.
        odd = bottom != top or right != left
        return F.max_pool2d(x, (k, m), (s, t), (top, left), ceil_mode=odd)


class SameUpperAvgPool2d(nn.Module):
    """An average pool with SAME_UPPER padding, which the mean leaves out."""

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int],
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = pair(kernel_size), pair(stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (k, m), (s, t) = self.kernel_size, self.stride
        top, bottom = same_upper(x.shape[2], k, s)
        left, right = same_upper(x.shape[3], m, t)
        if in_one_form(x):
            sides = (left, right, top, bottom)
            total = F.avg_pool2d(F.pad(x, sides), (k, m), (s, t), divisor_override=1)
            ones = F.pad(torch.ones_like(x[:1, :1]), sides)
            return total / F.avg_pool2d(ones, (k, m), (s, t), divisor_override=1)
        odd = bottom != top or right != left
        return F.avg_pool2d(x, (k, m), (s, t), (top, left), odd, False)


def in_one_form(x: torch.Tensor) -> bool:
    """Return whether code is recorded that images of all sizes will run through.

    It must not ask whether a size is odd. On images themselves the native pools are faster.
    """
    if torch.jit.is_scripting():
        return False
    recorded = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return recorded or not isinstance(x, torch.Tensor)


class StochasticDepth(nn.Module):
    """In training, zero all values of an image with probability p, or scale them by 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        ones = torch.ones([x.shape[0]] + [1] * (x.dim() - 1), dtype=x.dtype, device=x.device)
        return x * self.drop(ones)
