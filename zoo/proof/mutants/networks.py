"""The networks that mutants are made of: the smallest member of each family, and the workbench."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zoo.arch import Graph
from zoo.families import spec
from zoo.proof.conditioning import well_conditioned_images
from zoo.proof.mutants.run import Bench
from zoo.proof.mutants.workbench import workbench

NETWORKS: dict[str, Callable[[], Graph]] = {
    "workbench": workbench,
    "shufflenet_v1_0.5x_g3": lambda: spec("shufflenet_v1_0.5x_g3", image_size=64).graph,
    "shufflenet_v2_0.5x_cifar": lambda: spec("shufflenet_v2_0.5x_cifar", dropout=0.2).graph,
    "shufflenet_v2_plus_small": lambda: spec("shufflenet_v2_plus_small", image_size=64).graph,
    # Of the published widths one proof takes as long as ten of these.
    "resnet9": lambda: spec("resnet9", channels=(16, 32, 48, 64)).graph,
}
"""Name → the network."""

IMAGES = 8
"""Of the workbench: its gate sees one value a channel and image, and has three regions to reach."""


SEED = 6
"""Of the workbench's weights. What its norms of few values multiply is up to the draw: with this
one the frozen gradients of what is right are off by a sixth of what is admitted."""


def bench(name: str, seed: int = SEED) -> Bench:
    """Return a network ready to judge mutants of."""
    graph = NETWORKS[name]()
    images = None
    if name == "workbench":
        images = well_conditioned_images(graph, IMAGES, np.random.default_rng(seed))
    return Bench(name, graph, seed=seed, images=images)
