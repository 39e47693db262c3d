"""Pictures as the weights of a model want them: `transforms`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import backends
from weights import Checkpoint
from zoo import arch, families
from zoo.arch.preprocessing import Preprocessing
from zoo.errors import InputError, ZooError
from zoo.loading import Network, from_source, opened
from zoo.pictures import decode, read_file, rgb
from zoo.preprocessing import PRESETS, for_size, normalize, square

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class PictureTransform:
    """From a picture to what a network is fed: float32 (3, crop, crop).

    Attributes:
        preprocessing: what is done, for the network's size.
    """

    preprocessing: Preprocessing

    def __call__(self, picture: Image | np.ndarray | str | Path) -> np.ndarray:
        """Return a picture as the weights want it; data loaders put several into a batch.

        Args:
            picture: of Pillow; its pixels, RGB, uint8 (H, W, 3); or its file.

        Raises:
            InputError: it cannot be read, is a strip, or has more than 8 bits a channel.
        """
        if isinstance(picture, str | Path):
            picture = decode(read_file(Path(picture)))
        if isinstance(picture, np.ndarray):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise InputError(
                    f"pixels (={picture.dtype} {picture.shape}) must be uint8 (H, W, 3), RGB"
                )
            from PIL import Image

            picture = Image.fromarray(picture)
        pixels = square(rgb(picture), self.preprocessing)
        found: np.ndarray = normalize(pixels[None], self.preprocessing)[0]
        return found


def transforms(
    source: Any, *, weights: str | Path | None = None, image_size: int | None = None
) -> PictureTransform:
    """Return what makes a network's input of a picture, as its weights want it.

    Published weights of one network differ: megvii's are fed BGR in 0..255, most others RGB with
    mean and deviation.

    Args:
        source: a live model; what `load_weights` returns; a `Preprocessing`, or the name of one
            (``"imagenet"``, ``"megvii"``); a file of weights; or a network, with ``weights``.
        weights: of a network: a file or published ones by name (``"mindcv/imagenet1k"``).
        image_size: of the pictures made; by default the network's. What is cut off around it keeps
            its share.

    Raises:
        ZooError: what its weights want is not known, or there are no weights.
        InputError: the network is for other images than color ones.
        WeightsError: the file cannot be read, or the weights are of another network.

    Example:
        >>> transforms("megvii").preprocessing.channel_order
        'BGR'
    """
    how, graph = _known(source, weights)
    if graph is not None:
        if graph.in_channels != 3:
            raise InputError(f"in_channels (={graph.in_channels}) must be 3: pictures are in color")
        image_size = image_size or graph.image_size[0]
    return PictureTransform(for_size(how, image_size or how.crop))


def _known(source: Any, weights: str | Path | None) -> tuple[Preprocessing, arch.Graph | None]:
    if isinstance(source, Preprocessing):
        return source, None
    if isinstance(source, str) and source in PRESETS and weights is None:
        return PRESETS[source], None
    if isinstance(source, str | Path) and Path(source).is_file() and weights is None:
        source = from_source(source, None)
    if isinstance(source, Checkpoint) and weights is None:
        return _of(str(source.path), source.preprocessing), source.spec.graph
    if isinstance(source, Network):
        spec = families.spec(opened(source))
        if weights is None:
            raise ZooError(
                f"{families.model_name(spec)}: pictures are prepared as weights want it: give "
                "weights=, a model made with some, or a preprocessing (imagenet or megvii)"
            )
        found = from_source(weights, spec)
        return _of(str(weights), found.preprocessing), found.spec.graph
    graph = backends.backend_of(source).graph_of(source)
    return _of(f"the weights of the {type(source).__name__}", graph.preprocessing), graph


def _of(name: str, how: Preprocessing | None) -> Preprocessing:
    if how is None:
        raise ZooError(
            f"{name}: how pictures were prepared is not known; give a preprocessing instead "
            "(imagenet or megvii)"
        )
    return how
