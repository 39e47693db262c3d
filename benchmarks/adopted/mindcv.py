"""MindCV's networks: of each of its modules one that is small, with random weights and statistics.

Left out: halonet, pvt, rexnet and volo, whose code MindSpore 2.10 does not run, and vgg, all of
whose networks have more than 90M parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

NETWORKS: dict[str, tuple[str, tuple[int, ...]]] = {
    "BiT_resnet50": ("bit", (64,)),
    "cait_xxs24_224": ("cait", (224,)),
    "cmt_tiny": ("cmt", (160,)),
    "coat_tiny": ("coat", (224,)),
    "convit_tiny": ("convit", (224,)),
    "convnext_tiny": ("convnext", (64,)),
    "crossvit_9": ("crossvit", (240,)),
    "densenet121": ("densenet", (64,)),
    "dpn92": ("dpn", (64,)),
    "edgenext_xx_small": ("edgenext", (64,)),
    "efficientnet_b0": ("efficientnet", (64,)),
    "ghostnet_050": ("ghostnet", (64,)),
    "googlenet": ("googlenet", (64,)),
    "hrnet_w32": ("hrnet", (64,)),
    "inception_v3": ("inceptionv3", (96,)),
    "inception_v4": ("inceptionv4", (96,)),
    "mae_b_16_224_finetune": ("mae", (224,)),
    "mixnet_s": ("mixnet", (64,)),
    "mlp_mixer_s_p16": ("mlpmixer", (224,)),
    "mnasnet_050": ("mnasnet", (64,)),
    "mobilenet_v1_025": ("mobilenetv1", (64,)),
    "mobilenet_v2_035_128": ("mobilenetv2", (64,)),
    "mobilenet_v3_small_100": ("mobilenetv3", (64,)),
    "mobilevit_xx_small": ("mobilevit", (64,)),
    "nasnet_a_4x1056": ("nasnet", (64,)),
    "pit_ti": ("pit", (224,)),
    "pnasnet": ("pnasnet", (64,)),
    "poolformer_s12": ("poolformer", (64,)),
    "pvt_v2_b0": ("pvtv2", (64,)),
    "regnet_x_200mf": ("regnet", (64,)),
    "repmlp_t224": ("repmlp", (224,)),
    "repvgg_a0": ("repvgg", (64,)),
    "res2net50": ("res2net", (64,)),
    "resnest50": ("resnest", (64,)),
    "resnet18": ("resnet", (64,)),
    "resnetv2_50": ("resnetv2", (64,)),
    "seresnet18": ("senet", (64,)),
    "shufflenet_v1_g3_05": ("shufflenetv1", (64,)),
    "shufflenet_v2_x0_5": ("shufflenetv2", (64,)),
    "skresnet18": ("sknet", (64,)),
    "squeezenet1_0": ("squeezenet", (64,)),
    "swin_tiny": ("swintransformer", (224,)),
    "swinv2_tiny_window8": ("swintransformerv2", (256,)),
    "visformer_tiny": ("visformer", (224,)),
    "vit_b_32_224": ("vit", (224,)),
    "xception": ("xception", (64,)),
    "xcit_tiny_12_p16_224": ("xcit", (64,)),
}
"""Network → the module that it is of, and sizes of images that it admits."""

Maker = tuple[str, Callable[[], Any], int, tuple[int, ...]]


def makers() -> dict[str, Maker]:
    """Return network → its module, what makes it, its parameters (0: not told), sizes of images."""
    import backends

    backends.load(
        "mindspore"
    )  # before an operator runs, so that its convolutions are the fast ones
    return {
        name: (module, lambda name=name: make(name), 0, sizes)  # type: ignore[misc]
        for name, (module, sizes) in NETWORKS.items()
    }


def make(name: str) -> Any:
    """Return a network with random weights and statistics."""
    import mindcv

    return randomized(mindcv.create_model(name))


def randomized(cell: Any) -> Any:
    """Fill a Cell so that every parameter and every statistic matters."""
    from mindspore import Tensor

    rng = np.random.default_rng(0)
    for name, parameter in cell.parameters_and_names():
        shape = parameter.shape
        if name.endswith(("moving_variance", "gamma")):
            array = rng.uniform(0.5, 2, shape)
        elif len(shape) < 2:
            array = rng.normal(0, 0.3, shape)
        else:
            continue
        parameter.set_data(Tensor(array.astype(np.float32)))
    return cell


def run(cell: Any, images: np.ndarray) -> np.ndarray:
    """Return what a Cell makes of images, in evaluation mode."""
    from mindspore import Tensor

    made = cell.set_train(False)(Tensor(images))
    found: np.ndarray = (made[0] if isinstance(made, tuple) else made).asnumpy().copy()
    return found
