"""Live models of PyTorch stay ours: wrapped, pruned, spread; and others are told apart."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import timm.utils
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

import weights
import zoo
from zoo.errors import WeightsError

NAME = "shufflenet_v1_0.5x_g3_cifar"
GIVEN = weights.randomize(zoo.spec(NAME).graph, 5)
OTHERS = weights.randomize(zoo.spec(NAME).graph, 6)


class Users(nn.Module):
    """A user's own module: networks and what else it needs."""

    def __init__(self, **networks):
        super().__init__()
        self.head = nn.Linear(10, 2)
        for name, network in networks.items():
            setattr(self, name, network)


def created(**options):
    return zoo.create(NAME, weights=GIVEN, **options)


def changed(change, model=None):
    model = model or created()
    change(model)
    return model


def same(found, expected):
    assert list(found) == list(expected)
    return all(np.array_equal(found[name], expected[name]) for name in expected)


WRAPPED = {
    "averaged": AveragedModel,
    "compiled": torch.compile,
    "a stage compiled": lambda m: changed(
        lambda m: setattr(m, "stage2", torch.compile(m.stage2)), m
    ),
    "a unit checkpointed": lambda m: changed(
        lambda m: m.stage3.__setitem__(1, checkpoint_wrapper(m.stage3[1])), m
    ),
    "data parallel": nn.DataParallel,
    "in a user's module": lambda m: Users(net=m),
    "deep in several": lambda m: Users(net=AveragedModel(torch.compile(m))),
    "batch norm synchronized": nn.SyncBatchNorm.convert_sync_batchnorm,
    "float64": lambda m: m.double(),
    "scaled by a parametrization": lambda m: changed(
        lambda m: nn.utils.parametrize.register_parametrization(m.classifier, "weight", Doubled()),
        m,
    ),
}


class Doubled(nn.Module):
    """A parametrization that is exact both ways."""

    def forward(self, x):
        return x * 2

    def right_inverse(self, x):
        return x / 2


@pytest.mark.parametrize("way", WRAPPED)
def test_weights_of_wrapped_models(way, tmp_path):
    model = WRAPPED[way](created())
    if way.startswith("scaled"):  # what is computed with, not what is kept
        assert model.classifier.parametrizations.weight.original.abs().max() > 0
    assert same(zoo.get_weights(model), GIVEN)
    zoo.set_weights(model, OTHERS)
    assert same(zoo.get_weights(model), OTHERS)
    zoo.save(model, tmp_path / "w.safetensors")
    assert same(zoo.get_weights(zoo.load(tmp_path / "w.safetensors")), OTHERS)


def test_batch_norms_that_timm_froze_are_read():
    model = changed(timm.utils.freeze)
    assert type(model.stem.bn).__name__ == "FrozenBatchNorm2d"
    assert same(zoo.get_weights(model), GIVEN)
    zoo.set_weights(model, OTHERS)
    timm.utils.unfreeze(model)
    assert same(zoo.get_weights(model), OTHERS)


def test_a_copy_keeps_what_users_put_on_it():
    model, seen = created().eval(), []
    model.tag = ["mine"]
    model.stage2.register_forward_hook(lambda *_: seen.append("hook"))
    made = copy.deepcopy(model)
    made(torch.rand(1, 3, 32, 32))
    assert made.tag == ["mine"]
    assert seen == ["hook"]
    assert same(zoo.get_weights(made), GIVEN)


def test_pruned_layers_hand_out_what_they_compute_with():
    model = changed(lambda m: prune.l1_unstructured(m.classifier, "weight", 0.3))
    found = zoo.get_weights(model)
    kept = found["classifier.weight"] != 0
    assert abs(1 - kept.mean() - 0.3) < 1e-3
    assert np.array_equal(found["classifier.weight"], GIVEN["classifier.weight"] * kept)
    with pytest.raises(
        WeightsError, match=r"^classifier\.weight: 1440 of 4800 values are not 0 wh"
    ):
        zoo.set_weights(model, OTHERS)
    assert same(zoo.get_weights(model), found)  # nothing has been changed
    pruned = OTHERS | {"classifier.weight": OTHERS["classifier.weight"] * kept}
    zoo.set_weights(model, pruned)
    assert same(zoo.get_weights(model), pruned)
    logits = model.eval()(torch.rand(1, 3, 32, 32, generator=torch.manual_seed(0)))
    plain = zoo.create(NAME, weights=pruned).eval()
    assert torch.equal(logits, plain(torch.rand(1, 3, 32, 32, generator=torch.manual_seed(0))))


@pytest.mark.parametrize("training", [True, False])
def test_reading_a_spectral_norm_changes_nothing(training):
    for norm in (parametrizations.spectral_norm, torch.nn.utils.spectral_norm):
        model = changed(lambda m, norm=norm: norm(m.classifier)).train(training)
        before = copy.deepcopy(model.state_dict())
        first = zoo.get_weights(model)
        assert all(torch.equal(a, before[n]) for n, a in model.state_dict().items())
        assert model.classifier.training == training
        x = torch.rand(2, 3, 32, 32, generator=torch.manual_seed(0))
        logits = model.eval()(x)
        assert same(zoo.get_weights(model), first)
        assert torch.allclose(logits, zoo.create(NAME, weights=first).eval()(x), rtol=1e-5)
        assert not np.array_equal(first["classifier.weight"], GIVEN["classifier.weight"])


def quantized(model):
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    quantize_(model, Int8WeightOnlyConfig())


OURS = "the model is no longer the network that zoo.create made: "
LINEAR = "Linear(in_features=480, out_features=10, bias=True)"
REFUSED = {
    "another head": (
        lambda m: setattr(m, "classifier", nn.Linear(480, 7)),
        f"{OURS}classifier: Linear(in_features=480, out_features=7, bias=True) is in the place of "
        f"{LINEAR}",
    ),
    "another activation": (
        lambda m: setattr(m.stage3[1], "relu", nn.GELU()),
        f"{OURS}stage3.1.relu: GELU(approximate='none') is in the place of ReLU()",
    ),
    "a stage left out": (
        lambda m: setattr(m, "stage2", nn.Identity()),
        f"{OURS}stage2: Identity() is in the place of Sequential()",
    ),
    "a layer deleted": (
        lambda m: delattr(m.stem, "relu"),
        f"{OURS}stem.relu: ReLU() is missing",
    ),
    "batch norms folded": (
        lambda m: [setattr(m.get_submodule(p), "bn", nn.Identity()) for p in BATCH_NORMS],
        f"{OURS}stem.bn: Identity() is in the place of BatchNorm2d(12, eps=1e-05, momentum=0.1, "
        "affine=True, bias=True, track_running_stats=True); stage2.0.compress.bn: Identity() is "
        "in the place of BatchNorm2d(27, eps=1e-05, momentum=0.1, affine=True, bias=True, "
        "track_running_stats=True); stage2.0.depthwise.bn: Identity() is in the place of "
        "BatchNorm2d(27, eps=1e-05, momentum=0.1, affine=True, bias=True, "
        "track_running_stats=True); and 1 more",
    ),
    "quantized": (
        quantized,
        "classifier.weight: is a Int8Tensor (torchao), which holds no plain numbers: take the "
        "weights before it is made",
    ),
    "on the meta device": (
        lambda m: m.to("meta"),
        "stem.conv.weight: is on the meta device, where there are no values",
    ),
}
BATCH_NORMS = ("stem", "stage2.0.compress", "stage2.0.depthwise", "stage2.0.expand")


@pytest.mark.parametrize("case", REFUSED)
def test_models_that_are_others_say_what_is(case, tmp_path):
    change, message = REFUSED[case]
    model = changed(change)
    for use in (
        zoo.get_weights,
        lambda m: zoo.set_weights(m, OTHERS),
        lambda m: zoo.save(m, tmp_path / "w.pth"),
        lambda m: zoo.export(m, tmp_path / "w.onnx"),
        lambda m: zoo.parity(m, backends=["torch"]),
    ):
        with pytest.raises(WeightsError) as error:
            use(model)
        assert str(error.value) == message
    assert not list(tmp_path.iterdir())


UNHOLDABLE = {
    "weight norm": (
        lambda m: parametrizations.weight_norm(m.classifier),
        "classifier.weight: is parametrized by _WeightNorm, which does not give these values back "
        "bit by bit",
    ),
    "spectral norm by hooks": (
        lambda m: torch.nn.utils.spectral_norm(m.classifier),
        "classifier.weight: is computed by SpectralNorm from other values: it cannot be set",
    ),
}


@pytest.mark.parametrize("case", UNHOLDABLE)
def test_layers_that_can_not_hold_values_exactly(case):
    change, message = UNHOLDABLE[case]
    model = changed(change)
    before = zoo.get_weights(model)
    with pytest.raises(WeightsError) as error:
        zoo.set_weights(model, OTHERS)
    assert str(error.value) == message
    assert same(zoo.get_weights(model), before)


def test_arguments_that_were_changed_matter_where_the_spec_is_told(tmp_path):
    model = changed(lambda m: setattr(m.stem.bn, "momentum", 0.01))
    assert same(zoo.get_weights(model), GIVEN)
    for use in (zoo.save, zoo.export, zoo.write_source):
        suffix = {"save": ".pth", "export": ".onnx", "write_source": ".py"}[use.__name__]
        with pytest.raises(
            WeightsError, match=r"stem\.bn: BatchNorm2d\(12, eps=1e-05, momentum=0.0"
        ):
            use(model, tmp_path / f"w{suffix}")


def test_several_networks_in_one_module():
    with pytest.raises(
        WeightsError, match=r"^Users holds 2 networks of zoo\.create \(one, two\.mod"
    ):
        zoo.get_weights(Users(one=created(), two=AveragedModel(created())))
    with pytest.raises(WeightsError, match=r"^Linear was not made by zoo\.create$"):
        zoo.get_weights(nn.Linear(2, 2))


@pytest.mark.sweep(quick=["*v1_0.5x_g3_cifar-*", "*-torch-{}"])
@pytest.mark.parametrize("options", [{}, dict(group_conv="split"), dict(optimize=True)], ids=str)
@pytest.mark.parametrize("backend", ["torch", "mindspore"])
@pytest.mark.parametrize(
    "name", ["resnet9", "shufflenet_v2_plus_small", "shufflenet_v2_0.5x", NAME]
)
def test_nothing_is_said_of_models_as_they_are(name, backend, options):
    import backends

    model = zoo.create(name, backend=backend, **options)
    assert backends.load(backend).changes(model) == []


def spread(rank, folder):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    from torch.distributed.fsdp import fully_shard

    model = created()
    for module in (model.stage2, model.stage3, model.stage4, model):
        fully_shard(module)
    assert same(zoo.get_weights(model), GIVEN)
    zoo.set_weights(model, OTHERS)
    assert model.stem.conv.weight.to_local().shape[0] == 6  # of 12
    assert same(zoo.get_weights(model), OTHERS)
    torch.distributed.destroy_process_group()


@pytest.mark.exhaustive
def test_models_that_are_spread_over_processes(tmp_path):
    torch.multiprocessing.spawn(spread, (str(tmp_path),), nprocs=2)
