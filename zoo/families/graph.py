"""Networks of no family: a graph that came from elsewhere, as a spec like any other.

Whatever takes a spec takes them: `zoo.create`, `zoo.save` (the graph rides in the file's metadata),
`zoo.parity`, `zoo.export`, `zoo.train`. Classes, channels of the image and its size can be changed
as far as the graph tells where they stand.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from zoo.arch import serialized
from zoo.arch.graph import INPUT, Graph, Node
from zoo.arch.head import classifier_of
from zoo.arch.operator import Shape
from zoo.arch.operators import Conv2d, Linear
from zoo.arch.spec import Conventions, Spec
from zoo.errors import SpecError

NONE = Conventions()
MAX_NAME = 100
NAME = re.compile(rf"[\w.+-]{{1,{MAX_NAME}}}", re.ASCII)
"""It comes from a file, and goes into code."""

MODELS: dict[str, Spec] = {}
"""None by name: they come from files and modules."""


def _classes(body: Graph) -> int:
    """Return how many values an image gets: in a row, or at each place of a map.

    Raises:
        SpecError: there is no such output.
    """
    shape = body.shapes()[body.outputs[0]] if body.outputs else ()
    if len(shape) < 2:
        raise SpecError(f"body: its first output (shape {shape}) must be (N, classes)")
    return shape[1]


@dataclass(frozen=True, kw_only=True)
class GraphSpec(Spec):
    """A network that is its graph.

    Attributes:
        name: what the network is called: the class of a module, the name of a file.
        body: the graph as it came.
    """

    family: ClassVar[str] = "graph"
    presets: ClassVar[Mapping[str, Conventions]] = {"none": NONE}
    conventions_type: ClassVar[type[Conventions]] = Conventions
    told_by_shapes: ClassVar[bool] = False
    weightless: ClassVar[tuple[str, ...]] = (*Spec.weightless, "name")

    name: str = "network"
    body: Graph
    conventions: Conventions = NONE
    initialization: Literal["damped", "fan_in"] = "fan_in"  # where its authors start is not known

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.body, Graph):
            raise SpecError(f"body must be a graph, not {type(self.body).__name__}")
        _ = _classes(self.body)
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise SpecError(
                f"name (={self.name!r:.80}) must be letters, digits, and any of _ . + -"
            )
        if self.conventions != NONE:
            raise SpecError("conventions: a network of no family has those of its graph alone")

    @classmethod
    def of(cls, body: Graph, name: str) -> GraphSpec:
        """Return the spec of a graph.

        Raises:
            SpecError: the image is not square.
        """
        height, width = body.image_size
        if height != width:
            raise SpecError(f"image_size (={height}×{width}) must be the same both ways")
        return cls(
            name=re.sub(r"[^\w.+-]+", "_", name, flags=re.ASCII)[:MAX_NAME].strip("_") or "network",
            body=dataclasses.replace(body, origin=None),
            num_classes=_classes(body),
            in_channels=body.in_channels,
            image_size=height,
        )

    @property
    def label(self) -> str:
        return self.name

    def expand(self) -> Graph:
        nodes = list(self.body.nodes)
        classes = _classes(self.body)
        if self.num_classes != classes:
            last = classifier_of(self.body)
            if last is None:
                raise SpecError(
                    f"num_classes (={self.num_classes}) must be {classes}: no layer alone makes "
                    "the classes"
                )
            nodes = [self._with_classes(n) if n.name == last else n for n in nodes]
        if self.in_channels != self.body.in_channels:
            nodes = [self._with_channels(n) if INPUT in n.inputs else n for n in nodes]
        size = (self.image_size, self.image_size)
        return dataclasses.replace(
            self.body, nodes=tuple(nodes), in_channels=self.in_channels, image_size=size
        )

    def _with_classes(self, node: Node) -> Node:
        if isinstance(node.op, Linear):
            op = dataclasses.replace(node.op, out_features=self.num_classes)
            return dataclasses.replace(node, op=op)
        assert isinstance(node.op, Conv2d)
        made = dataclasses.replace(node.op, out_channels=self.num_classes)
        return dataclasses.replace(node, op=made)

    def _with_channels(self, node: Node) -> Node:
        if not isinstance(node.op, Conv2d) or node.op.groups != 1:
            raise SpecError(
                f"in_channels (={self.in_channels}) must be {self.body.in_channels}: "
                f"{node.name} reads the image and is no plain convolution"
            )
        return dataclasses.replace(
            node, op=dataclasses.replace(node.op, in_channels=self.in_channels)
        )

    @classmethod
    def from_shapes(
        cls,
        outer: Mapping[str, Shape],
        units: Sequence[Mapping[str, Shape]],
        conventions: Conventions,
    ) -> Self:
        """Shapes do not tell what lies between the layers."""
        raise SpecError("the shapes of weights do not tell a network of no family")

    def as_fields(self) -> dict[str, Any]:
        """As the base; the graph as JSON holds it."""
        return super().as_fields() | {"body": serialized.to_fields(self.body)}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """As the base."""
        read = dict(fields)
        read["body"] = serialized.from_fields(read.get("body"))
        return super().from_fields(read)
