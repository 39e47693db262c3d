"""MindCV's networks: of each of its modules one that is small, with random weights and statistics.

Left out: halonet, pvt, rexnet and volo, whose code MindSpore 2.10 does not run, and vgg, all of
whose networks have more than 90M parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

NETWORKS: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "BiT_resnet50": ("bit", 25549352, (64,)),
    "cait_xxs24_224": ("cait", 11936488, (224,)),
    "cmt_tiny": ("cmt", 9417426, (160,)),
    "coat_tiny": ("coat", 5498540, (224,)),
    "convit_tiny": ("convit", 5710512, (224,)),
    "convnext_tiny": ("convnext", 28589128, (64,)),
    "crossvit_9": ("crossvit", 8553296, (240,)),
    "densenet121": ("densenet", 7978856, (64,)),
    "dpn92": ("dpn", 37668392, (64,)),
    "edgenext_xx_small": ("edgenext", 1327216, (64,)),
    "efficientnet_b0": ("efficientnet", 5288548, (64,)),
    "ghostnet_050": ("ghostnet", 2587292, (64,)),
    "googlenet": ("googlenet", 6991272, (64,)),
    "hrnet_w32": ("hrnet", 41228840, (64,)),
    "inception_v3": ("inceptionv3", 27161264, (96,)),
    "inception_v4": ("inceptionv4", 42679816, (96,)),
    "mae_b_16_224_finetune": ("mae", 86567656, (224,)),
    "mixnet_s": ("mixnet", 4134606, (64,)),
    "mlp_mixer_s_p16": ("mlpmixer", 18527752, (224,)),
    "mnasnet_050": ("mnasnet", 2218512, (64,)),
    "mobilenet_v1_025": ("mobilenetv1", 470072, (64,)),
    "mobilenet_v2_035_128": ("mobilenetv2", 1677128, (64,)),
    "mobilenet_v3_small_100": ("mobilenetv3", 2542856, (64,)),
    "mobilevit_xx_small": ("mobilevit", 1272504, (64,)),
    "nasnet_a_4x1056": ("nasnet", 5289978, (64,)),
    "pit_ti": ("pit", 4847272, (224,)),
    "pnasnet": ("pnasnet", 5064487, (64,)),
    "poolformer_s12": ("poolformer", 11915176, (64,)),
    "pvt_v2_b0": ("pvtv2", 3666760, (64,)),
    "regnet_x_200mf": ("regnet", 2684792, (64,)),
    "repmlp_t224": ("repmlp", 38296680, (224,)),
    "repvgg_a0": ("repvgg", 9108968, (64,)),
    "res2net50": ("res2net", 25699120, (64,)),
    "resnest50": ("resnest", 27483240, (64,)),
    "resnet18": ("resnet", 11689512, (64,)),
    "resnetv2_50": ("resnetv2", 25553064, (64,)),
    "seresnet18": ("senet", 11779624, (64,)),
    "shufflenet_v1_g3_05": ("shufflenetv1", 717324, (64,)),
    "shufflenet_v2_x0_5": ("shufflenetv2", 1365792, (64,)),
    "skresnet18": ("sknet", 11958056, (64,)),
    "squeezenet1_0": ("squeezenet", 1248424, (64,)),
    "swin_tiny": ("swintransformer", 28288354, (224,)),
    "swinv2_tiny_window8": ("swintransformerv2", 28347154, (256,)),
    "visformer_tiny": ("visformer", 10321368, (224,)),
    "vit_b_32_224": ("vit", 88224232, (224,)),
    "xception": ("xception", 22855952, (64,)),
    "xcit_tiny_12_p16_224": ("xcit", 6716272, (64,)),
}
"""Network → the module that it is of, its parameters, and sizes of images that it admits."""

ATTENDING = ("visformer_tiny",)
"""Networks whose statistics are their own: with others, the softmax of what their batch norms hand
on makes so much of so little that any float32 is 1e-5 and more off float64, their own code too."""

Maker = tuple[str, Callable[[], Any], int, tuple[int, ...]]


def makers() -> dict[str, Maker]:
    """Return network → its module, what makes it, its parameters, sizes of images."""
    import backends

    backends.load(
        "mindspore"
    )  # before an operator runs, so that its convolutions are the fast ones
    return {
        name: (module, lambda name=name: make(name), count, sizes)  # type: ignore[misc]
        for name, (module, count, sizes) in NETWORKS.items()
    }


def make(name: str) -> Any:
    """Return a network with random weights and statistics."""
    import mindcv
    import mindspore

    mindspore.set_seed(0)  # its weights are drawn of both
    np.random.seed(0)
    cell = randomized(mindcv.create_model(name))
    if name in ATTENDING:
        _, _, (size, *_) = NETWORKS[name]
        for _ in range(30):
            images = np.random.standard_normal((4, 3, size, size)).astype(np.float32)
            cell.set_train(True)(mindspore.Tensor(images))
    return cell


def randomized(cell: Any) -> Any:
    """Fill a Cell so that every parameter and every statistic matters."""
    from mindspore import Tensor

    rng = np.random.default_rng(0)
    for name, parameter in cell.parameters_and_names():
        shape = parameter.shape
        if name.endswith("moving_variance"):
            array = rng.uniform(0.5, 2, shape)
        elif name.endswith("gamma"):
            array = rng.uniform(0.5, 1.5, shape)
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
