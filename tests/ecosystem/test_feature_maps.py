"""Feature maps as torchvision and timm take them out of a network: by names of its children."""

from __future__ import annotations

import copy

import pytest
import torch
from ecosystem_material import NETWORKS, STAGES, V2, images, made, maps
from timm.models._features import FeatureDictNet, FeatureHookNet, FeatureListNet
from torch import nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.feature_extraction import create_feature_extractor


def described(model, scopes):
    """Return the model with what timm reads: where maps are, their channels and strides."""
    found = model.zoo_graph.origin.features
    model.feature_info = [
        {"module": scope, "num_chs": found[scope].channels, "reduction": found[scope].stride}
        for scope in scopes
    ]
    return model


def by_timm(kind):
    def read(model, scopes, x):
        net = kind(described(model, scopes), out_indices=range(len(scopes)))
        found = net(x)
        channels = net.feature_info.channels()
        values = list(found.values()) if isinstance(found, dict) else found
        assert [value.shape[1] for value in values] == channels
        return dict(zip(scopes, values, strict=True))

    return read


READERS = {
    "torchvision's IntermediateLayerGetter": lambda model, scopes, x: IntermediateLayerGetter(
        model, {scope: scope for scope in scopes}
    )(x),
    "torchvision's create_feature_extractor": lambda model, scopes, x: create_feature_extractor(
        model, list(scopes)
    )(x),
    "timm's FeatureListNet": by_timm(FeatureListNet),
    "timm's FeatureDictNet": by_timm(FeatureDictNet),
    "timm's FeatureHookNet": by_timm(FeatureHookNet),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("reader", READERS)
def test_feature_maps_are_those_of_outputs(name, reader):
    x = images()
    expected = maps(name, STAGES[name], x)
    found = READERS[reader](made(name), STAGES[name], x)
    assert list(found) == list(expected)
    assert all(torch.equal(found[scope], expected[scope]) for scope in expected)


def test_a_network_that_does_not_call_its_stages_is_noticed():
    """The negative control: as ours were once, where timm's hooks returned nothing, silently."""
    model, x = made(V2), images()
    expected = model(x)

    def forward(x):
        for name, child in model.named_children():
            x = child.forward(x.flatten(1) if name == "classifier" else x)
        return x

    model.forward = forward
    assert torch.equal(model(x), expected)
    with pytest.raises(AssertionError):
        READERS["timm's FeatureHookNet"](model, STAGES[V2], x)


@pytest.mark.parametrize("place", ["stage3.0.shortcut.expand.bn", "stage4.2.expand", "last.relu"])
def test_nodes_inside_of_a_stage(place):
    x = images()
    found = create_feature_extractor(made(V2), {place: "found"})(x)["found"]
    node = {"stage4.2.expand": "stage4.2.expand.bn"}.get(place, place)
    # A later ReLU writes over the value that is handed out, as in torchvision's own network.
    expected = maps(V2, [node], x)[node]
    assert found.shape == expected.shape
    assert torch.equal(found.relu(), expected.relu())


def pyramid(model, scopes):
    """Return torchvision's feature pyramid on three scopes of a network."""
    channels = [model.zoo_graph.origin.features[scope].channels for scope in scopes]
    torch.manual_seed(0)
    return BackboneWithFPN(model, {scope: str(i) for i, scope in enumerate(scopes)}, channels, 16)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_feature_pyramid_sums_the_maps_from_above(name):
    x = images()
    net = pyramid(made(name), STAGES[name])
    found = net(x)
    assert list(found) == ["0", "1", "2", "pool"]
    _, middle, top = maps(name, STAGES[name], x).values()
    above = net.fpn.inner_blocks[2](top)
    assert torch.equal(found["2"], net.fpn.layer_blocks[2](above))
    above = net.fpn.inner_blocks[1](middle) + nn.functional.interpolate(above, middle.shape[-2:])
    assert torch.equal(found["1"], net.fpn.layer_blocks[1](above))


@pytest.mark.filterwarnings("ignore:.*meshgrid")
def test_a_detector_trains_every_layer_below_it():
    model = made(V2)
    anchors = AnchorGenerator(((8,), (16,), (24,), (32,)), ((0.5, 1.0, 2.0),) * 4)
    backbone = pyramid(model, STAGES[V2])
    detector = FasterRCNN(
        backbone, num_classes=3, rpn_anchor_generator=anchors, min_size=64, max_size=64
    ).train()
    boxes = torch.tensor([[3.0, 4, 20, 25], [30, 5, 60, 50]])
    targets = [{"boxes": boxes + i, "labels": torch.tensor([1, 2])} for i in range(2)]
    losses = detector(list(images(2, 64)), targets)
    sum(losses.values()).backward()
    used = [p for n, p in model.named_parameters() if not n.startswith(("last", "classifier"))]
    assert len(used) > 100
    assert all(p.grad.abs().max() > 0 for p in used)
    with torch.no_grad():
        found, _ = detector.eval()(list(images(2, 64)))
    assert found["boxes"].shape[1] == 4


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_cut_and_joined(name):
    """As users do with torchvision's: all but the head, another head, a stage alone."""
    x = images()
    model = made(name)
    scopes = [child for child, _ in model.named_children()]
    last = STAGES[name][-1]
    trunk = nn.Sequential(*list(model.children())[: scopes.index(last) + 1])
    assert torch.equal(trunk(x), maps(name, [last], x)[last])
    first, second, third = STAGES[name]
    between = scopes[scopes.index(first) + 1 : scopes.index(third) + 1]
    found = maps(name, [first, third], x)
    rest = nn.Sequential(*(model.get_submodule(scope) for scope in between))
    assert second in between
    assert torch.equal(rest(found[first]), found[third])
    net = nn.Sequential(
        copy.deepcopy(trunk), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(7)
    )
    assert net(x).shape == (2, 7)
