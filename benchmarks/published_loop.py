"""System A as its tutorial trains it: a plain PyTorch loop over a DataLoader, batch for batch.

The network is written here as kuangliu's pytorch-cifar has it (view, permute, reshape for the
shuffle), with the layers that the tutorial's text gives; nothing of the project is used.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision import transforms

BATCH = 128
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


class Shuffle(nn.Module):
    """The channels of the groups, interleaved."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        n, c, h, w = x.size()
        g = self.groups
        return x.view(n, g, c // g, h, w).permute(0, 2, 1, 3, 4).reshape(n, c, h, w)


class Bottleneck(nn.Module):
    """A unit: group convolution, shuffle, depthwise convolution, group convolution, shortcut."""

    def __init__(self, in_planes: int, out_planes: int, stride: int, groups: int) -> None:
        super().__init__()
        self.stride = stride
        mid = out_planes // 4
        g = 1 if in_planes == 24 else groups
        self.conv1 = nn.Conv2d(in_planes, mid, 1, groups=g, bias=False)
        self.bn1 = nn.BatchNorm2d(mid)
        self.shuffle1 = Shuffle(g)
        self.conv2 = nn.Conv2d(mid, mid, 3, stride=stride, padding=1, groups=mid, bias=False)
        self.bn2 = nn.BatchNorm2d(mid)
        self.conv3 = nn.Conv2d(mid, out_planes, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(out_planes)
        self.shortcut = nn.Sequential()
        if stride == 2:
            self.shortcut = nn.Sequential(nn.AvgPool2d(3, stride=2, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.shuffle1(out)
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        res = self.shortcut(x)
        return F.relu(torch.cat([out, res], 1)) if self.stride == 2 else F.relu(out + res)


class ShuffleNet(nn.Module):
    """ShuffleNet V1 1.0x with three groups, for 32 x 32 pixels."""

    def __init__(self, planes: tuple[int, ...] = (240, 480, 960), groups: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.in_planes = 24
        self.layers = nn.Sequential(
            *(self._stage(p, n, groups) for p, n in zip(planes, (4, 8, 4), strict=True))
        )
        self.linear = nn.Linear(planes[-1], 10)

    def _stage(self, out_planes: int, units: int, groups: int) -> nn.Sequential:
        stage = []
        for i in range(units):
            stride, taken = (2, self.in_planes) if i == 0 else (1, 0)
            stage.append(Bottleneck(self.in_planes, out_planes - taken, stride, groups))
            self.in_planes = out_planes
        return nn.Sequential(*stage)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.avg_pool2d(self.layers(out), 4)
        return self.linear(out.view(out.size(0), -1))


class Pictures(torch.utils.data.Dataset):
    """What torchvision's CIFAR10 hands out: a picture from an array, transformed, and a class."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = pixels, labels
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), int(self.labels[index])


def steps(pixels: np.ndarray, labels: np.ndarray) -> Iterator[float]:
    """Yield the loss of each step of the published loop, epoch after epoch."""
    torch.manual_seed(0)
    loader = torch.utils.data.DataLoader(
        Pictures(pixels, labels), batch_size=BATCH, shuffle=True, num_workers=2, drop_last=True
    )
    network = ShuffleNet()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    while True:
        network.train()
        for inputs, targets in loader:
            optimizer.zero_grad()
            outputs = network(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            _, predicted = outputs.max(1)
            _ = predicted.eq(targets).sum().item()
            yield loss.item()
