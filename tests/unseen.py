"""ShuffleNets as a code base could have them that nobody has seen: names and orders of its own."""

from __future__ import annotations

import torch
from torch import nn


def layer(read, made, size=1, stride=1, groups=1, eps=1e-5):
    return nn.Sequential(
        nn.Conv2d(read, made, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(made, eps=eps),
    )


def mixed(x, groups):
    """Channel i of each row of ``groups`` channels goes to the i-th block."""
    n, c, h, w = x.shape
    return x.reshape(n, c // groups, groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class GroupedUnit(nn.Module):
    """The authors' unit of ShuffleNet V1, its halves joined the other way round."""

    def __init__(self, read, made, stride, groups, first):
        super().__init__()
        self.stride, self.rows = stride, groups
        self.act = nn.ReLU()
        hidden, main = made // 4, made - read if stride == 2 else made
        self.narrow = layer(read, hidden, groups=1 if first else groups)
        self.spatial = layer(hidden, hidden, 3, stride, hidden)
        self.widen = layer(hidden, main, groups=groups)
        self.pool = nn.AvgPool2d(3, stride, 1)

    def forward(self, x):
        y = self.spatial(self.act(self.narrow(x)))
        y = self.widen(mixed(y, self.rows))
        if self.stride == 1:
            return self.act(y + x)
        return torch.cat([self.act(y), self.pool(x)], 1)


class HalvedUnit(nn.Module):
    """torchvision's unit of ShuffleNet V2, but the first half is worked on and the second kept."""

    def __init__(self, read, made, stride):
        super().__init__()
        half = made // 2
        self.stride, self.rows, self.last = stride, half, nn.ReLU()
        entered = read if stride == 2 else half
        self.work = nn.Sequential(
            layer(entered, half), nn.ReLU(), layer(half, half, 3, stride, half), layer(half, half)
        )
        if stride == 2:
            self.keep = nn.Sequential(layer(read, read, 3, 2, read), layer(read, half), nn.ReLU())

    def forward(self, x):
        if self.stride == 2:
            y = torch.cat([self.last(self.work(x)), self.keep(x)], 1)
        else:
            half = x.shape[1] // 2
            y = torch.cat([self.last(self.work(x[:, :half])), x[:, half:]], 1)
        return mixed(y, self.rows)


class PairedUnit(nn.Module):
    """The authors' unit of ShuffleNet V2: of each pair of channels, one is kept."""

    def __init__(self, read, made, stride):
        super().__init__()
        hidden, main = made // 2, made - (read if stride == 2 else made // 2)
        self.stride = stride
        entered = read if stride == 2 else made // 2
        self.work = nn.Sequential(
            layer(entered, hidden), nn.ReLU(), layer(hidden, hidden, 3, stride, hidden),
            layer(hidden, main), nn.ReLU(),
        )  # fmt: skip
        if stride == 2:
            self.keep = nn.Sequential(layer(read, read, 3, 2, read), layer(read, read), nn.ReLU())

    def forward(self, x):
        if self.stride == 2:
            return torch.cat([self.keep(x), self.work(x)], 1)
        n, c, h, w = x.shape
        pairs = x.reshape(n * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, c // 2, h, w)
        return torch.cat([pairs[0], self.work(pairs[1])], 1)


class Net(nn.Module):
    def __init__(self, unit, stem, widths, last, classes, bias):
        super().__init__()
        self.entry = nn.Sequential(layer(3, stem, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.groups = nn.ModuleList()
        read = stem
        for i, (made, repeats) in enumerate(zip(widths, (4, 8, 4), strict=True)):
            units = []
            for j in range(repeats):
                units.append(unit(read, made, 2 if j == 0 else 1, i + j == 0))
                read = made
            self.groups.append(nn.Sequential(*units))
        self.exit = nn.Sequential(layer(read, last), nn.ReLU()) if last else nn.Identity()
        self.logits = nn.Linear(last or read, classes, bias=bias)

    def forward(self, x):
        x = self.entry(x)
        for group in self.groups:
            x = group(x)
        return self.logits(self.exit(x).mean((2, 3)))


def grouped(groups=3, stem=12, widths=(120, 240, 480), classes=10):
    """Return the authors' ShuffleNet V1 0.5x."""

    def unit(read, made, stride, first):
        return GroupedUnit(read, made, stride, groups, first)

    return Net(unit, stem, widths, 0, classes, False)


def paired(stem=24, widths=(48, 96, 192), classes=10):
    """Return the authors' ShuffleNet V2 0.5x."""
    return Net(lambda *a: PairedUnit(*a[:3]), stem, widths, 1024, classes, False)


def halved(stem=24, widths=(48, 96, 192), classes=10):
    """Return torchvision's ShuffleNet V2 0.5x."""
    return Net(lambda *a: HalvedUnit(*a[:3]), stem, widths, 1024, classes, True)
