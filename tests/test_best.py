"""``weights="best"``: the most accurate published weights that can be had as they are asked for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import zoo
from weights import pretrained
from weights.pretrained import best, catalog, store


def presets(model):
    return {entry.conventions for entry in pretrained.list_pretrained(model)}


def test_the_most_accurate_of_all():
    for model in ("resnet50", "vgg16", "efficientnet_b0", "shufflenet_v2_1.0x"):
        accuracies = [entry.top1 or 0 for entry in pretrained.list_pretrained(model)]
        assert best(model).top1 == max(accuracies)


def test_only_those_that_can_be_had_in_the_conventions():
    """TensorFlow's padding is another function, and of timm's EfficientNets the more accurate."""
    free = best("efficientnet_b0")
    assert free.conventions == "timm_tf"
    asked = zoo.spec("efficientnet_b0", conventions="torchvision").conventions
    chosen = best("efficientnet_b0", asked)
    others = [e for e in pretrained.list_pretrained("efficientnet_b0") if e.preset != "timm_tf"]
    assert chosen.top1 == max(entry.top1 or 0 for entry in others) < free.top1


def test_an_order_of_channels_is_no_obstacle():
    asked = zoo.spec("shufflenet_v1_1.0x_g3", conventions="pytorchcv").conventions
    assert best("shufflenet_v1_1.0x_g3", asked).tag == "mmpretrain/imagenet1k"  # by permuting


@pytest.mark.parametrize(
    ("model", "preset", "message"),
    [
        ("shufflenet_v1_1.0x_g3", "kuangliu",
         "weights 'best': none of the 2 published weights of shufflenet_v1_1.0x_g3 can be had in "
         "the conventions asked for:\n  mmpretrain/imagenet1k: mmpretrain cannot become kuangliu "
         "by permuting weights:\n"),
        ("shufflenet_v1_1.0x_g8", None, "weights 'best': no published weights of "
         "shufflenet_v1_1.0x_g8 have a known accuracy"),
        ("mobilenet_v1_1.25x", None, "weights 'best': no published weights of mobilenet_v1_1.25x "
         "have a known accuracy: timm/mobilenetv1_125.ra4_e3600_r224_in1k"),
    ],
)  # fmt: skip
def test_where_nothing_fits(model, preset, message):
    asked = zoo.spec(model, conventions=preset).conventions if preset else None
    with pytest.raises(zoo.WeightsError) as error:
        best(model, asked)
    assert str(error.value).startswith(message)


MODEL = "shufflenet_v1_0.5x_g3_cifar"


def test_networks_are_made_with_them(monkeypatch):
    """Of a name alone the conventions are free, of a spec and of overrides they are not."""
    net = zoo.create(MODEL, backend="numpy", weights="best")
    by_name = zoo.create(MODEL, backend="numpy", weights="cifar10")
    found, wanted = zoo.get_weights(net), zoo.get_weights(by_name)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)

    loaded = []

    def load(model, tag, **options):
        loaded.append(tag)
        raise zoo.WeightsError("stop")

    monkeypatch.setattr(store, "load_pretrained", load)
    monkeypatch.setattr(pretrained, "load_pretrained", load)
    spec = zoo.spec("efficientnet_b0")
    free, torchvision = best("efficientnet_b0"), best("efficientnet_b0", spec.conventions)
    assert free != torchvision
    for model, overrides in (
        ("efficientnet_b0", {}),
        (spec, {}),
        ("efficientnet_b0", {"conventions": "torchvision"}),
        ("efficientnet_b0", {"num_classes": 1000}),
    ):
        with pytest.raises(zoo.WeightsError, match="stop"):
            zoo.create(model, backend="numpy", weights="best", **overrides)
    assert loaded == [free.tag, torchvision.tag, torchvision.tag, free.tag]


def test_a_better_one_is_taken_when_it_is_published(monkeypatch):
    entry = best("vgg16")
    new = {"tag": "timm/better", "url": "hf-hub:timm/better", "top1": 99.0, "top5": None}
    better = dataclasses.replace(entry, **new)
    index = catalog._index([*pretrained.list_pretrained("vgg16"), better])
    monkeypatch.setattr(catalog, "_INDEX", index)
    assert best("vgg16") == better


def test_of_what():
    with pytest.raises(zoo.SpecError, match="'best': model must be a network of the catalog"):
        zoo.convert("best", "out.ckpt")
