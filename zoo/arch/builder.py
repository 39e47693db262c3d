"""A functional way to write a graph down, so that a family reads as its paper draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from zoo.arch.graph import INPUT, Graph, Node, infer
from zoo.arch.operator import Operator, Shape
from zoo.arch.operators import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    LayerNorm,
    Linear,
    MaxPool2d,
    Mul,
    Padding,
    Permute,
    ReLU,
    ReLU6,
    Reshape,
    ScaledDotProductAttention,
    Sigmoid,
    SiLU,
    Slice,
    Upsample,
    Weight,
)
from zoo.arch.operators.windows import Pair
from zoo.errors import GraphError


class GraphBuilder:
    """Collects nodes; each method adds one and returns its name, which later calls take as input.

    Channel counts are read off the inputs; a broken rule is raised at once, under the node's name.
    """

    def __init__(
        self, in_channels: int, image_size: int, *, eps: float = 1e-5, momentum: float = 0.1
    ):
        self._in_channels = in_channels
        self._image_size = (image_size, image_size)
        self._eps, self._momentum = eps, momentum
        self._scope: list[str] = []
        self._nodes: list[Node] = []
        self._shapes: dict[str, Shape] = {INPUT: (1, in_channels, *self._image_size)}
        self.input = INPUT

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Put ``name`` in front of the names given inside; an empty one changes nothing."""
        self._scope.append(name)
        try:
            yield
        finally:
            self._scope.pop()

    def build(self, *outputs: str) -> Graph:
        """Return the graph that computes ``outputs``."""
        return Graph(self._in_channels, self._image_size, tuple(self._nodes), outputs)

    def channels(self, x: str) -> int:
        """Return the channels (or features) of a value."""
        return self._shapes[x][1]

    def size(self, x: str) -> tuple[int, int]:
        """Return height and width of a map."""
        _, _, height, width = self._shapes[x]
        return height, width

    def add_node(self, name: str, make: Callable[[], Operator], *inputs: str) -> str:
        """Add the operator that ``make`` returns."""
        path = ".".join((*filter(None, self._scope), name))
        try:
            op = make()
        except GraphError as error:
            raise GraphError(f"{path}: {error}") from None
        node = Node(path, op, inputs)
        self._shapes[path] = infer(node, self._shapes)
        self._nodes.append(node)
        return path

    def conv(
        self,
        x: str,
        out_channels: int,
        *,
        kernel_size: int | Pair = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        padding: Padding | None = None,
        name: str = "conv",
    ) -> str:
        """Add a convolution that keeps the size but for its stride (padding kernel_size // 2)."""
        size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        half = (size[0] // 2, size[1] // 2)
        return self.add_node(
            name,
            lambda: Conv2d(
                in_channels=self.channels(x),
                out_channels=out_channels,
                kernel_size=size,
                stride=(stride, stride),
                padding=half + half if padding is None else padding,
                groups=groups,
                bias=bias,
            ),
            x,
        )

    def batch_norm(self, x: str, name: str = "bn", *, initial_weight: float = 1.0) -> str:
        """Add a batch normalization with the builder's eps and momentum."""
        op = BatchNorm2d(
            num_features=self.channels(x),
            eps=self._eps,
            momentum=self._momentum,
            initial_weight=initial_weight,
        )
        return self.add_node(name, lambda: op, x)

    def conv_bn(
        self, x: str, out_channels: int, *, initial_weight: float = 1.0, **conv: Any
    ) -> str:
        """Add a convolution and its batch normalization."""
        y = self.conv(x, out_channels, **conv)
        return self.batch_norm(y, initial_weight=initial_weight)

    def apply(self, op: Operator, *xs: str, name: str) -> str:
        """Add any operator."""
        return self.add_node(name, lambda: op, *xs)

    def max_pool(
        self,
        x: str,
        *,
        kernel_size: int,
        stride: int,
        padding: Padding,
        ceil_mode: bool = False,
        name: str = "pool",
    ) -> str:
        """Add a max pool."""
        k, s = (kernel_size, kernel_size), (stride, stride)
        return self.add_node(
            name,
            lambda: MaxPool2d(kernel_size=k, stride=s, padding=padding, ceil_mode=ceil_mode),
            x,
        )

    def avg_pool(
        self, x: str, *, kernel_size: int, stride: int, padding: Padding, name: str = "pool"
    ) -> str:
        """Add an average pool; explicit padding counts in the mean, as PyTorch's default is."""
        return self.add_node(
            name,
            lambda: AvgPool2d(
                kernel_size=(kernel_size, kernel_size),
                stride=(stride, stride),
                padding=padding,
                count_include_pad=padding not in ("SAME_UPPER", (0, 0, 0, 0)),
            ),
            x,
        )

    def relu(self, x: str, name: str = "relu") -> str:
        """Add a ReLU."""
        return self.add_node(name, ReLU, x)

    def relu6(self, x: str, name: str = "relu6") -> str:
        """Add a ReLU6."""
        return self.add_node(name, ReLU6, x)

    def hard_swish(self, x: str, name: str = "hard_swish") -> str:
        """Add a hard swish."""
        return self.add_node(name, HardSwish, x)

    def hard_sigmoid(self, x: str, name: str = "hard_sigmoid") -> str:
        """Add a hard sigmoid."""
        return self.add_node(name, HardSigmoid, x)

    def sigmoid(self, x: str, name: str = "sigmoid") -> str:
        """Add a sigmoid."""
        return self.add_node(name, Sigmoid, x)

    def silu(self, x: str, name: str = "silu") -> str:
        """Add a SiLU."""
        return self.add_node(name, SiLU, x)

    def squeeze_excite(
        self,
        x: str,
        hidden_channels: int,
        *,
        batch_norm: bool = False,
        activation: Callable[[str], str] | None = None,
        gate: Callable[[str], str] | None = None,
    ) -> str:
        """Weigh each channel by what all of them are on average (arXiv:1709.01507).

        Mean over the image, 1×1 convolution to ``hidden_channels``, activation, 1×1 convolution
        back, gate, product with ``x``.

        Args:
            x: the value.
            hidden_channels: between the two convolutions.
            batch_norm: whether the first convolution has one; otherwise both have biases.
            activation: the method that adds the activation; a ReLU by default.
            gate: the method that adds the gate; a sigmoid by default.
        """
        y = self.global_avg_pool(x)
        y = self.conv(y, hidden_channels, bias=not batch_norm, name="squeeze")
        y = (activation or self.relu)(self.batch_norm(y) if batch_norm else y)
        y = self.conv(y, self.channels(x), bias=not batch_norm, name="excite")
        return self.mul(x, (gate or self.sigmoid)(y))

    def channel_shuffle(
        self, x: str, groups: int, order: Literal["gn", "ng"], name: str = "shuffle"
    ) -> str:
        """Add a channel shuffle."""
        return self.add_node(name, lambda: ChannelShuffle(groups=groups, order=order), x)

    def slice(self, x: str, start: int, stop: int, name: str = "slice") -> str:
        """Add a slice of channels."""
        return self.add_node(name, lambda: Slice(start=start, stop=stop), x)

    def concat(self, xs: Sequence[str], name: str = "concat") -> str:
        """Add a join along the channels."""
        return self.add_node(name, Concat, *xs)

    def add(self, x: str, y: str, name: str = "add") -> str:
        """Add a sum; ``y`` is the branch, which starts small (`zoo.arch.damped`)."""
        return self.add_node(name, Add, x, y)

    def mul(self, x: str, y: str, name: str = "mul") -> str:
        """Add a product."""
        return self.add_node(name, Mul, x, y)

    def global_avg_pool(self, x: str, name: str = "pool") -> str:
        """Add a mean over height and width."""
        return self.add_node(name, GlobalAvgPool2d, x)

    def adaptive_avg_pool(
        self, x: str, output_size: tuple[int, int], name: str = "adaptive_pool"
    ) -> str:
        """Add the means of so many cells."""
        return self.add_node(name, lambda: AdaptiveAvgPool2d(output_size=output_size), x)

    def upsample(self, x: str, size: Pair, name: str = "upsample") -> str:
        """Add a map of another size, by the nearest pixels."""
        fields: dict[str, Any] = {"scale_factor": None, "mode": "nearest", "align_corners": False}
        return self.add_node(name, lambda: Upsample(size=size, **fields), x)

    def dropout(self, x: str, p: float, name: str = "dropout") -> str:
        """Add a dropout."""
        return self.add_node(name, lambda: Dropout(p=p), x)

    def stochastic_depth(self, x: str, p: float, name: str = "stochastic_depth") -> str:
        """Add a dropout of whole images, at the end of a residual's branch."""
        return self.add_node(name, lambda: Dropout(p=p, of="image"), x)

    def flatten(self, x: str, name: str = "flatten") -> str:
        """Add a flatten."""
        return self.add_node(name, Flatten, x)

    def linear(self, x: str, out_features: int, *, bias: bool, name: str) -> str:
        """Add a linear layer, of the last axis."""
        return self.add_node(
            name,
            lambda: Linear(in_features=self._shapes[x][-1], out_features=out_features, bias=bias),
            x,
        )

    def layer_norm(self, x: str, name: str = "norm", *, axes: int = 1) -> str:
        """Add a layer normalization of the last axes, with the builder's eps."""
        shape = self._shapes[x][-axes:]
        op = LayerNorm(normalized_shape=shape, eps=self._eps, affine=True)
        return self.add_node(name, lambda: op, x)

    def weight(self, *shape: int, name: str, trainable: bool = True) -> str:
        """Add an array that the network holds as a value."""
        return self.add_node(name, lambda: Weight(shape=shape, trainable=trainable))

    def permute(self, x: str, *dims: int, name: str = "permute") -> str:
        """Add another order of the axes."""
        return self.add_node(name, lambda: Permute(dims=dims), x)

    def reshape(self, x: str, *shape: int, name: str = "reshape") -> str:
        """Add a reshape; axis 0 is what is left."""
        return self.add_node(name, lambda: Reshape(shape=shape), x)

    def attention(self, *inputs: str, scale: float, name: str = "attention") -> str:
        """Add the attention of q, k, v and, if there is one, a mask."""
        op = ScaledDotProductAttention(scale=scale)
        return self.add_node(name, lambda: op, *inputs)
