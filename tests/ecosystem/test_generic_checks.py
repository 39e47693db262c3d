"""What torchvision's own tests ask of each of its classifiers, asked of each of our networks."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from catalog_rows import EACH_KIND
from ecosystem_material import error, images, made

import zoo

FLOAT, BFLOAT = 1e-5, 0.1  # of numbers with 8 bits, through up to 164 layers
"""How far another order of sums, or eight bits of mantissa, may lead from float32."""
GROWING = {"ghostnet_0.5x": 0.3}
"""The same of eight bits where values grow to thousands with such weights; timm's code loses as
much."""


OF_ITS_OWN = {"ghostnet_v2_1.0x": {"image_size": 64, "initialization": "damped"}}
"""V2 takes one size, and gates that read thousands multiply what float32 loses, by 1e6."""
RECORDED = {
    "script": lambda model, x: torch.jit.script(model),
    "trace": lambda model, x: torch.jit.trace(model, x[:1], check_trace=False),
    "fx": lambda model, x: torch.fx.symbolic_trace(model),
}


@pytest.mark.sweep(quick=["shufflenet_v1_0.5x_g3_cifar", "shufflenet_v2_0.5x_cifar"])
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize("name", EACH_KIND)
def test_classification_model(name):
    options = OF_ITS_OWN.get(name, {})
    model = made(name, **options)
    x = images(3, options.get("image_size", 32))  # which all others admit
    with torch.no_grad():
        expected = model(x)
        assert expected.shape == (3, zoo.spec(name).num_classes)
        # Without this, the checks below would pass for a network that sees nothing.
        assert (expected - expected[[1, 2, 0]]).abs().max() > 0.02 * expected.abs().max()
        for way, record in RECORDED.items():
            assert torch.equal(record(model, x)(x), expected), way

        rows = torch.cat([model(row[None]) for row in x])
        assert error(rows, expected) < FLOAT
        with torch.autocast("cpu", torch.bfloat16):
            cast = model(x)
        assert cast.dtype is torch.bfloat16
        assert 0 < error(cast, expected) < GROWING.get(name, BFLOAT)

        twin = copy.deepcopy(model).to(memory_format=torch.channels_last)
        assert error(twin(x.to(memory_format=torch.channels_last)), expected) < FLOAT
        assert error(expected, twin.double()(x.double())) < FLOAT
        del twin

    x.requires_grad_()
    model.train()(x).square().mean().backward()
    assert x.grad.abs().amax((1, 2, 3)).min() > 0
    assert all(p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize("name", ["resnet9", "shufflenet_v1_0.5x_g3", "shufflenet_v2_plus_small"])
def test_scripts_are_saved_and_opened(name):
    model, x, file = made(name), images(), io.BytesIO()
    torch.jit.save(torch.jit.script(model), file)
    assert torch.equal(torch.jit.load(io.BytesIO(file.getvalue()))(x), model(x))


def called(module, args, output):
    module.calls.append(output)


@pytest.mark.parametrize("name", ["resnet9", "shufflenet_v1_0.5x_g3", "shufflenet_v2_plus_small"])
def test_copies_keep_what_users_put_into_a_network(name):
    model, x = made(name), images()
    scope, first = next(iter(model.named_children()))
    model.note, first.calls = ["mine"], []
    first.register_forward_hook(called)
    twin = copy.deepcopy(model)
    expected = twin(x)
    (seen,) = twin.get_submodule(scope).calls
    assert first.calls == []
    assert torch.equal(seen, first(x))
    assert twin.note == ["mine"]
    assert twin.note is not model.note
    with torch.no_grad():
        twin.classifier.weight.mul_(2)
    assert torch.equal(model(x), expected)
    assert not torch.equal(twin(x), expected)
