"""A graph as an ONNX model with a run-time: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from onnx import ModelProto

from backends.onnx.engine import Engine, Made
from backends.onnx.proto import emit
from zoo.arch import Graph
from zoo.arch.described import Described, described

Run = Callable[[np.ndarray], tuple[np.ndarray, ...]]


class Model(Described):
    """A network for inference.

    float32 (N, C, H, W) -> the graph's output, or a tuple where several were asked for. It has no
    training mode. The run-time is started by the first call for an image size.

    Attributes:
        graph: what it runs.
        arrays: canonical name → float32 array; `backends.onnx.set_parameters` changes them.
    """

    engine: ClassVar[Callable[..., Run]] = Engine

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        vars(self).update(described(graph))
        self.arrays = {name: np.zeros(p.shape, np.float32) for name, p in graph.parameters.items()}
        self._engines: dict[tuple[int, ...], Run] = {}

    def proto(self, **options: Any) -> ModelProto:
        """Return the ONNX model; options as for `backends.onnx.emit`."""
        return emit(self.graph, self.arrays, **options)

    def __call__(self, x: np.ndarray) -> Any:
        """Run the network and return its output, or a tuple of several.

        Raises:
            InputError: the input has the wrong rank, channels or size.
        """
        outputs = self.run(x)
        return outputs if self.graph.returns_tuple else outputs[0]

    def run(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network and return all of its outputs.

        Raises:
            InputError: the input has the wrong rank, channels or size.
        """
        x = np.ascontiguousarray(x, np.float32)
        tail = x.shape[1:]
        if tail not in self._engines:
            self.graph.check_input(x.shape)
            shapes = self.graph.shapes((1, *tail))
            fixed = self.graph.fixed
            outputs = {n: Made(shapes[n], n in fixed) for n in self.graph.outputs}
            self._engines[tail] = type(self).engine(
                self.proto(image_size=(tail[1], tail[2])), outputs
            )
        found = dict(zip(dict.fromkeys(self.graph.outputs), self._engines[tail](x), strict=True))
        return tuple(found[name] for name in self.graph.outputs)

    def reset(self) -> None:
        """Drop what was started: the weights have changed."""
        self._engines.clear()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle and copy without what was started."""
        return self.__dict__ | {"_engines": {}}


def build(graph: Graph) -> Model:
    """Return the model of a graph, its weights zeros."""
    return Model(graph)


def freeze(model: Model) -> Model:
    """Return the model as it is: it can do inference only."""
    return model


def is_model(candidate: object) -> bool:
    """Return whether ``candidate`` is a model of this backend."""
    return type(candidate) is Model
