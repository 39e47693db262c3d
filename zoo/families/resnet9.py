"""ResNet-9: nine layers for 32×32 images, after David Page's network for DAWNBench, as taught.

Eight 3×3 convolutions and a linear layer, as Aakash N S' tutorial on Jovian has them ("Classifying
CIFAR10 images using ResNets, Regularization and Data Augmentation in PyTorch").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, cast

from zoo.arch.builder import GraphBuilder
from zoo.arch.graph import Graph
from zoo.arch.operator import Shape
from zoo.arch.spec import Conventions, Spec, require_probability, require_rows
from zoo.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class ResNet9Conventions(Conventions):
    """Where networks called "ResNet-9" are different functions.

    Attributes:
        conv_bias: whether the convolutions have biases. Batch norm takes them away again in
            training; they are in the tutorial's files and in its count of parameters.
    """

    classifier_bias: bool = True
    conv_bias: bool = True


PRESETS: dict[str, ResNet9Conventions] = {
    # jovian.com/aakashns/05b-cifar10-resnet; PyTorch's defaults throughout.
    "jovian": ResNet9Conventions(),
}


@dataclass(frozen=True, kw_only=True)
class ResNet9Spec(Spec):
    """A ResNet-9.

    Attributes:
        channels: of the four convolutions outside of the residuals, which keep those they read.
        dropout: probability before the classifier, in training; 0.2 in later forms of the tutorial.
        conventions: see `ResNet9Conventions`; by default those of the tutorial.
    """

    family: ClassVar[str] = "resnet9"
    presets: ClassVar[Mapping[str, Conventions]] = PRESETS
    conventions_type: ClassVar[type[Conventions]] = ResNet9Conventions
    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "dropout")

    channels: tuple[int, ...] = (64, 128, 256, 512)
    dropout: float = 0.0
    conventions: ResNet9Conventions = PRESETS["jovian"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_rows(self, "channels")
        if len(self.channels) != 4:
            raise SpecError(f"channels (={self.channels}) must be four numbers")
        require_probability("dropout", self.dropout)

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> ResNet9Spec:
        """Nothing repeats, so there are no units: every layer is told by its own name."""
        try:
            weights = [outer[f"conv{i}.conv.weight"] for i in (1, 2, 3, 4)]
            in_channels, num_classes = weights[0][1], outer["classifier.weight"][0]
            channels = tuple(shape[0] for shape in weights)
        except LookupError:
            raise SpecError(f"the layers are not those of a {cls.family}") from None
        known = cast(ResNet9Conventions, conventions)
        return cls(
            num_classes=num_classes,
            in_channels=in_channels,
            channels=channels,
            conventions=replace(
                known,
                classifier_bias="classifier.bias" in outer,
                conv_bias="conv1.conv.bias" in outer,
            ),
        )

    def expand(self) -> Graph:
        c = self.conventions
        g = GraphBuilder(self.in_channels, self.image_size, eps=c.bn_eps, momentum=c.bn_momentum)
        first, second, third, fourth = self.channels
        x = self._block(g, g.input, "conv1", first)
        x = self._block(g, x, "conv2", second, pool=True)
        x = self._residual(g, x, "res1")
        x = self._block(g, x, "conv3", third, pool=True)
        x = self._block(g, x, "conv4", fourth, pool=True)
        x = self._residual(g, x, "res2")
        # The tutorial's 4×4 is the whole map of a 32×32 image. For others it follows the map, so
        # that the classifier reads one value a channel and the weights fit images of any size.
        side = self.image_size // 8
        x = g.max_pool(x, kernel_size=side, stride=side, padding=(0, 0, 0, 0))
        x = g.flatten(x)
        if self.dropout:
            x = g.dropout(x, self.dropout)
        return g.build(g.linear(x, self.num_classes, bias=c.classifier_bias, name="classifier"))

    def _block(
        self, g: GraphBuilder, x: str, name: str, channels: int, *, pool: bool = False
    ) -> str:
        with g.scope(name):
            bias = self.conventions.conv_bias
            x = g.relu(g.conv_bn(x, channels, kernel_size=3, bias=bias))
            return g.max_pool(x, kernel_size=2, stride=2, padding=(0, 0, 0, 0)) if pool else x

    def _residual(self, g: GraphBuilder, x: str, name: str) -> str:
        """Two blocks, and what they read added; both are ReLU's, so none follows the sum."""
        with g.scope(name):
            y = self._block(g, x, "0", g.channels(x))
            y = self._block(g, y, "1", g.channels(x))
            return g.add(x, y)


MODELS: dict[str, Spec] = {"resnet9": ResNet9Spec(num_classes=10, image_size=32)}
"""Name → spec of the published network, as for CIFAR-10."""
