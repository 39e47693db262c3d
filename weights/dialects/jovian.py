"""Aakash N S' ResNet-9 on Jovian: blocks are ``nn.Sequential``, so most names are numbers."""

from weights.dialects.dialect import Dialect

_BLOCKS = ("conv1", "conv2", "res1.0", "res1.1", "conv3", "conv4", "res2.0", "res2.1")
_LAYERS = tuple(
    rule
    for block in _BLOCKS
    for rule in ((f"{block}.conv", f"{block}.0"), (f"{block}.bn", f"{block}.1"))
)

RESNET9 = Dialect(
    name="jovian",
    family="resnet9",
    source="jovian.com/aakashns/05b-cifar10-resnet",
    framework="torch",
    conventions="jovian",
    rules=(*_LAYERS, ("classifier", "classifier.2")),
)
# Later forms of the tutorial have a dropout in front of the linear layer, which moves its number.
RESNET9_DROPOUT = Dialect(
    name="jovian_dropout",
    family="resnet9",
    source="jovian.com/aakashns/05b-cifar10-resnet, with a dropout",
    framework="torch",
    conventions="jovian",
    rules=(*_LAYERS, ("classifier", "classifier.3")),
)
