"""The code bases themselves, side by side with ours: their code runs, on the same weights as ours.

Weights and batch norm statistics are random, so that every channel and every convention counts, and
such that no ReLU hangs on rounding (`zoo.proof.conditioning`), so that gradients can be compared.
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import io
import json
import os
import sys
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import BACKENDS

import backends
import zoo
from weights.dialects import find_dialect
from zoo.proof.conditioning import (
    well_conditioned_batch,
    well_conditioned_images,
    well_conditioned_weights,
)
from zoo.proof.measure import each_relative_l2, joint_relative_l2, relative_maximum

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FORWARD = 5e-6
"""Admitted error of logits, relative to the largest, against the peer's own; both in float32."""
GRADIENTS = 1e-5
"""Of the gradients of all parameters taken together, relative in L2."""
EACH_GRADIENT = 1e-4
"""Of each parameter's."""
WRONG = 1e-3
"""What is wrong has errors beyond this."""


@contextmanager
def quiet():
    """Keep the peers' own warnings out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Torch:
    """A network of a PyTorch code base: made, filled, saved and run by its own code."""

    suffix = ".pth"

    def __init__(self, net):
        self.net = net.eval()

    def fill(self, arrays):
        self._load({name: torch.from_numpy(a) for name, a in arrays.items()})

    def save(self, path):
        torch.save(self.net.state_dict(), path)

    def read(self, path):
        self._load(torch.load(path, weights_only=True))

    def _load(self, arrays):
        # Into its own state: torchvision's MNASNet asks that for a version, which no array tells.
        state = self.net.state_dict()
        own = {name for name in state if not name.endswith("num_batches_tracked")}
        assert set(arrays) - set(state) == own - set(arrays) == set()
        state.update(arrays)
        self.net.load_state_dict(state)

    def logits(self, x):
        with torch.no_grad():
            return self.net(torch.from_numpy(x)).numpy()

    def exact(self, x):
        with torch.no_grad():
            return copy.deepcopy(self.net).double()(torch.from_numpy(x).double()).numpy()

    def gradients(self, x, y):
        torch.nn.CrossEntropyLoss()(self.net(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        return {name: p.grad.numpy() for name, p in self.net.named_parameters()}


class OpenMMLab(Torch):
    """Whose files hold more than weights."""

    def save(self, path):
        torch.save({"meta": {"epoch": 3}, "state_dict": self.net.state_dict()}, path)


class MindSpore:
    """The same of a MindSpore code base."""

    suffix = ".ckpt"

    def __init__(self, net):
        self.net = net.set_train(False)

    def fill(self, arrays):
        import mindspore as ms

        parameters = {n: ms.Parameter(ms.Tensor(a), name=n) for n, a in arrays.items()}
        assert ms.load_param_into_net(self.net, parameters, strict_load=True) == ([], [])

    def save(self, path):
        import mindspore as ms

        ms.save_checkpoint(self.net, str(path))

    def read(self, path):
        import mindspore as ms

        self.fill({n: p.asnumpy() for n, p in ms.load_checkpoint(str(path)).items()})

    def logits(self, x):
        import mindspore as ms

        return self.net(ms.Tensor(x)).asnumpy()

    exact = logits  # its kernels have no more digits

    def gradients(self, x, y):
        import mindspore as ms
        from mindspore import nn

        trained = self.net.trainable_params()
        loss = nn.WithLossCell(self.net, nn.CrossEntropyLoss()).set_train(False)
        step = ms.value_and_grad(loss, None, trained)
        _, found = step(ms.Tensor(x), ms.Tensor(y.astype(np.int32)))
        return {p.name: g.asnumpy() for p, g in zip(trained, found, strict=True)}


def torchvision(theirs, ours):
    from torchvision import models

    return Torch(getattr(models, theirs)())


def timm(theirs, ours):
    with quiet():
        import timm

        return Torch(timm.create_model(theirs, pretrained=False))


def pytorchcv(theirs, ours):
    from pytorchcv.model_provider import get_model

    return Torch(get_model(theirs, pretrained=False))


def mmpretrain(theirs, ours):
    with quiet():
        from mmpretrain.models import ImageClassifier

        name, _, value = theirs.partition(" ")
        field, _, value = value.partition("=")
        net = ImageClassifier(
            backbone=dict(type=name, **{field: float(value) if "." in value else int(value)}),
            neck=dict(type="GlobalAveragePooling"),
            head=dict(
                type="LinearClsHead",
                num_classes=20,
                in_channels=zoo.spec(ours).graph.parameters["classifier.weight"].shape[1],
            ),
        )
    return OpenMMLab(net)


def mindcv(theirs, ours):
    backends.load("mindspore")
    with quiet():
        import mindcv

        return MindSpore(mindcv.create_model(theirs))


SIZES = {pytorchcv: 193}
"""The smallest images of those that do not take 64×64: pytorchcv ends in a 7×7 average pool."""

# (whose, their name, our name, or the family's for a width that is not in the catalog): one of each
# kind; benchmarks/peers.py runs over all.
NETWORKS = [
    (torchvision, "shufflenet_v2_x0_5", "shufflenet_v2_0.5x"),
    (torchvision, "shufflenet_v2_x1_0", "shufflenet_v2_1.0x"),
    (torchvision, "shufflenet_v2_x2_0", "shufflenet_v2_2.0x"),
    (mindcv, "shufflenet_v1_g3_05", "shufflenet_v1_0.5x_g3"),
    (mindcv, "shufflenet_v1_g8_10", "shufflenet_v1_1.0x_g8"),
    (mindcv, "shufflenet_v2_x0_5", "shufflenet_v2_0.5x"),
    (mindcv, "shufflenet_v2_x2_0", "shufflenet_v2_2.0x"),
    (pytorchcv, "shufflenet_g1_w1", "shufflenet_v1_1.0x_g1"),
    (pytorchcv, "shufflenet_g2_w1", "shufflenet_v1_1.0x_g2"),
    (pytorchcv, "shufflenet_g3_w1", "shufflenet_v1_1.0x_g3"),
    (pytorchcv, "shufflenet_g4_w1", "shufflenet_v1_1.0x_g4"),
    (pytorchcv, "shufflenet_g8_w1", "shufflenet_v1_1.0x_g8"),
    (pytorchcv, "shufflenet_g3_wd4", "shufflenet_v1"),
    (pytorchcv, "shufflenetv2b_wd2", "shufflenet_v2_0.5x"),
    (pytorchcv, "shufflenetv2b_w1", "shufflenet_v2_1.0x"),
    (pytorchcv, "shufflenetv2b_w3d2", "shufflenet_v2"),
    (pytorchcv, "shufflenetv2b_w2", "shufflenet_v2"),
    (mmpretrain, "ShuffleNetV1 groups=1", "shufflenet_v1_1.0x_g1"),
    (mmpretrain, "ShuffleNetV1 groups=2", "shufflenet_v1_1.0x_g2"),
    (mmpretrain, "ShuffleNetV1 groups=3", "shufflenet_v1_1.0x_g3"),
    (mmpretrain, "ShuffleNetV1 groups=4", "shufflenet_v1_1.0x_g4"),
    (mmpretrain, "ShuffleNetV1 groups=8", "shufflenet_v1_1.0x_g8"),
    (mmpretrain, "ShuffleNetV2 widen_factor=0.5", "shufflenet_v2_0.5x"),
    (mmpretrain, "ShuffleNetV2 widen_factor=1.0", "shufflenet_v2_1.0x"),
    (mmpretrain, "ShuffleNetV2 widen_factor=1.5", "shufflenet_v2_1.5x"),
    (mmpretrain, "ShuffleNetV2 widen_factor=2.0", "shufflenet_v2_2.0x"),
    (torchvision, "resnet34", "resnet34"),
    (timm, "resnet18", "resnet18"),
    (mindcv, "resnet18", "resnet18"),
    (torchvision, "mobilenet_v2", "mobilenet_v2_1.0x"),
    (timm, "mobilenetv2_035", "mobilenet_v2_0.35x"),
    (mindcv, "mobilenet_v2_075", "mobilenet_v2_0.75x"),
    (torchvision, "mobilenet_v3_small", "mobilenet_v3_small_1.0x"),
    (timm, "mobilenetv3_small_050", "mobilenet_v3_small_0.5x"),
    (mindcv, "mobilenet_v3_small_075", "mobilenet_v3_small_0.75x_mindcv"),
    (timm, "mobilenetv4_conv_small_050", "mobilenet_v4_conv_small_0.5x"),
    (timm, "mobilenetv4_conv_medium", "mobilenet_v4_conv_medium_1.0x"),
    (timm, "mobilenetv1_100", "mobilenet_v1_1.0x"),
    (mindcv, "mobilenet_v1_025", "mobilenet_v1_0.25x"),
    (torchvision, "mnasnet0_5", "mnasnet_0.5x"),
    (timm, "mnasnet_050", "mnasnet_0.5x"),
    (mindcv, "mnasnet_050", "mnasnet_0.5x"),
    (torchvision, "efficientnet_b0", "efficientnet_b0"),
    (timm, "efficientnet_lite0", "efficientnet_lite0"),
    (torchvision, "densenet121", "densenet121"),
    (torchvision, "regnet_y_400mf", "regnet_y_400mf"),
    (timm, "regnetx_002", "regnet_x_200mf"),
    (timm, "ghostnet_050", "ghostnet_0.5x"),
    (mindcv, "ghostnet_050", "ghostnet_0.5x"),
    (timm, "ghostnetv2_100", "ghostnet_v2_1.0x"),
    (mindcv, "densenet121", "densenet121"),
    (mindcv, "regnet_y_200mf", "regnet_y_200mf"),
    (timm, "semnasnet_050", "mnasnet_a1_0.5x"),
    (torchvision, "squeezenet1_0", "squeezenet1_0"),
    (torchvision, "squeezenet1_1", "squeezenet1_1"),
    (mindcv, "squeezenet1_0", "squeezenet1_0"),
    (torchvision, "convnext_tiny", "convnext_tiny"),
    (timm, "convnext_atto", "convnext_atto"),
    (mindcv, "convnext_tiny", "convnext_tiny"),
    (mindcv, "efficientnet_b0", "efficientnet_b0"),
]

# Compiling takes MindSpore seconds, so the gradients are also its own for a few.
MINDSPORE_TOO = {
    (torchvision, "shufflenet_v2_x1_0"),
    (mindcv, "shufflenet_v1_g3_05"),
    (mindcv, "shufflenet_v1_g8_10"),
    (mindcv, "shufflenet_v2_x0_5"),
    (mindcv, "shufflenet_v2_x2_0"),
    (pytorchcv, "shufflenet_g3_w1"),
    (pytorchcv, "shufflenetv2b_w1"),
}

# (whose, family) → a convention that is not theirs; another code base with the same function.
OTHERS = {
    (torchvision, "shufflenet_v2"): ({"shuffle": "start"}, "mmpretrain"),
    (mindcv, "shufflenet_v1"): ({"pool_padding": "symmetric"}, None),
    (mindcv, "shufflenet_v2"): ({"pool_padding": "symmetric"}, None),
    (pytorchcv, "shufflenet_v1"): ({"concat_order": "pool_main"}, "mmpretrain"),
    (pytorchcv, "shufflenet_v2"): ({"shuffle": "start"}, None),
    (mmpretrain, "shufflenet_v1"): ({"concat_order": "main_pool"}, "pytorchcv"),
    (mmpretrain, "shufflenet_v2"): ({"shuffle": "start"}, "torchvision"),
    **{
        (peer, "resnet"): ({"stride_in": "1x1", "pool_padding": "SAME_UPPER"}, None)
        for peer in (torchvision, timm)
    },
    (mindcv, "resnet"): ({"pool_padding": "symmetric"}, None),
    **{
        (peer, family): (convention, None)
        for family, convention in {
            "mobilenet_v1": {"activation": "relu6"},
            "mobilenet_v2": {"bn_eps": 0.03},  # nothing differs between the code bases
            "mobilenet_v3": {"stem_padding": "SAME_UPPER"},
            "mnasnet": {"bn_eps": 0.03},
            "efficientnet": {"padding": "SAME_UPPER"},
        }.items()
        for peer in (torchvision, timm, mindcv)
    },
    (timm, "mobilenet_v1"): ({"activation": "relu"}, None),
    (torchvision, "densenet"): ({"stem": "tiny"}, "mindcv"),
    (torchvision, "regnet"): ({"bn_eps": 0.1}, "timm"),
    (timm, "regnet"): ({"bn_eps": 0.1}, "torchvision"),
    (timm, "mobilenet_v4"): ({"bn_eps": 0.03}, None),
    (timm, "mnasnet_a1"): ({"bn_eps": 0.03}, None),
    (torchvision, "squeezenet"): ({"pad_3x3_stem": True, "ceil_mode": False}, None),
    (mindcv, "squeezenet"): ({"ceil_mode": True}, None),
    # By a tanh, GELU differs by 1e-4.
    (torchvision, "convnext"): ({"bn_eps": 0.1}, "timm"),
    (timm, "convnext"): ({"bn_eps": 0.1}, None),
    (mindcv, "convnext"): ({"bn_eps": 0.1}, None),
    **{(peer, "ghostnet"): ({"bn_eps": 0.03}, None) for peer in (timm, mindcv)},
    (mindcv, "densenet"): ({"stem": "tiny"}, "torchvision"),
    (mindcv, "regnet"): ({"bn_eps": 0.1}, "timm"),
    (mindcv, "efficientnet"): ({"padding": "symmetric"}, None),
}


def two_alike(spec):
    """Return two layers of one shape, with others between."""
    shapes = {name: p.shape for name, p in spec.graph.parameters.items() if len(p.shape) == 4}
    last, shape = [item for item in shapes.items() if [*shapes.values()].count(item[1]) > 1][-1]
    return next(name for name in shapes if shapes[name] == shape), last


def outputs(source, x, backend, **options):
    """Return the logits of the network in a file."""
    model = zoo.load(source, backend=backend, **options)
    return backends.load(backend).predict(model, x)[0]


def predict(spec, weights, x, backend):
    """Return our logits."""
    model = zoo.create(spec, backend=backend, weights=weights)
    return backends.load(backend).predict(model, x)[0]


@pytest.mark.sweep(quick=["torchvision-*x0_5-*", "pytorchcv-shufflenet_g3_wd4-*"])
@pytest.mark.parametrize(("peer", "theirs", "ours"), NETWORKS)
def test_side_by_side(peer, theirs, ours, rng, tmp_path):
    net = peer(theirs, ours)
    path = tmp_path / f"theirs{net.suffix}"
    net.save(path)
    spec = zoo.load_weights(path).spec
    size = SIZES.get(peer, 64)
    graph = spec.replace(image_size=size).graph
    images = well_conditioned_images(graph, well_conditioned_batch(graph), rng)
    labels = np.arange(3, 3 + len(images))
    (dialect,) = find_dialect(peer.__name__, spec.family)
    net.fill(dialect.write(spec.graph, well_conditioned_weights(graph, images, 1, training=False)))
    net.save(path)

    # Which network it is.
    found = zoo.load_weights(path)
    assert found.model == ours
    (named,) = find_dialect(found.dialect, spec.family)  # timm has some of torchvision's names
    assert (named.rules, named.framework) == (dialect.rules, dialect.framework)
    assert found.spec.conventions == spec.preset(dialect.conventions)
    assert peer is not mindcv or found.notes == ()
    assert found.spec == spec

    # Forward, for the network as `zoo.load` rebuilds it.
    x = well_conditioned_images(spec.replace(image_size=224).graph, 2, rng)
    logits = net.logits(x)
    everywhere = (peer, theirs) in MINDSPORE_TOO
    for backend in BACKENDS if everywhere or peer is mindcv else ("numpy", "torch"):
        wanted = net.exact(x) if backend == "numpy" else logits
        error = relative_maximum(outputs(path, x, backend), wanted)
        print(f"forward, {backend}: {error:.1e}")  # pytest -rP shows it
        assert error < FORWARD, backend

    # Gradients, batch norm in evaluation mode.
    names = dialect.names(spec.graph)
    exact = {
        names[name]: array.reshape(spec.graph.parameters[names[name]].shape)  # timm has rows
        for name, array in net.gradients(images, labels).items()
    }
    assert set(exact) == {n for n, p in spec.graph.parameters.items() if p.trainable}

    def gradients(spec, weights, backend):
        graph, derive = spec.replace(image_size=size).graph, backends.load(backend).gradients
        return derive(graph, weights, images, labels, training=False, dtype="float32")[1]

    for backend in ("torch", "mindspore") if everywhere else ("torch",):
        derived = gradients(spec, dict(found), backend)
        error = joint_relative_l2(derived, exact)
        worst = max(each_relative_l2(derived, exact).values())
        print(f"gradients, {backend}: {error:.1e}, each up to {worst:.1e}")
        assert error < GRADIENTS, backend
        assert worst < EACH_GRADIENT, backend

    # The same with another convention, and with two layers exchanged.
    convention, other = OTHERS[peer, spec.family]
    first, second = two_alike(spec)
    swapped = {**found, first: found[second], second: found[first]}
    for wrong, weights in ((spec.replace(**convention), dict(found)), (spec, swapped)):
        value = relative_maximum(predict(wrong, weights, x, "torch"), logits)
        gradient = joint_relative_l2(gradients(wrong, weights, "torch"), exact)
        print(f"wrong: forward {value:.1e}, gradients {gradient:.1e}")
        assert min(value, gradient) > WRONG

    # And back, by way of other names: their code gets every parameter and the same outputs.
    middle = tmp_path / ("other.pth" if other else "ours.safetensors")
    zoo.convert(path, middle, to_dialect=other)
    zoo.convert(middle, tmp_path / f"back{net.suffix}", to_dialect=peer.__name__)
    again = peer(theirs, ours)
    again.read(tmp_path / f"back{net.suffix}")
    assert np.array_equal(again.logits(x), logits)


def test_what_was_measured_is_enough():
    """benchmarks/peers.py, which runs all networks of the three code bases."""
    rows = json.loads((BENCHMARKS / "results" / "peers.json").read_text())["networks"]
    done = {key: row for key, row in rows.items() if "failed" not in row}
    assert len(done) >= 60
    assert {row["code_base"] for row in done.values()} == {"torchvision", "timm", "mindcv"}
    for key, row in done.items():
        # Of MindCV's some are 1e-5 off float64, as ours are in its framework, to the same bits.
        assert row["errors"].get("mindspore", row["errors"]["torch"]) < 1e-5, key
        assert row["errors"]["torch"] < 2e-5, key
        assert row["same_bytes"], key
        assert row["equal_spec"], key
        (dialect,) = find_dialect(row["dialect"], row["family"])
        spec = zoo.spec(row["network"])
        own = spec.presets[dialect.preset(spec.repeats)]
        assert own == spec.presets[row["conventions"]], key


@pytest.mark.exhaustive
def test_a_network_that_differs_is_noticed(monkeypatch):
    """The negative control of the benchmark."""
    sys.path.insert(0, str(BENCHMARKS))
    import peers
    from adopted.foreign import CODE_BASES

    def judged():
        row = peers.tried("timm", "mobilenetv3_small_050")
        return row["errors"]["torch"] < 1e-5, row["same_bytes"], row["equal_spec"]

    def misread(module, path):
        CODE_BASES["torchvision"].read(module, path)
        with torch.no_grad():
            module.conv_stem.weight[0, 0, 0, 0] += 0.5

    timm_as_it_is = CODE_BASES["timm"]
    row = peers.tried("timm", "mobilenetv3_small_050")
    assert (row["errors"]["torch"] < 1e-5, row["same_bytes"], row["equal_spec"]) == (
        True,
        True,
        True,
    )
    monkeypatch.setitem(CODE_BASES, "timm", dataclasses.replace(timm_as_it_is, read=misread))
    row = peers.tried("timm", "mobilenetv3_small_050")
    assert (row["errors"]["torch"] < 1e-5, row["same_bytes"], row["equal_spec"]) == (
        False,
        False,
        True,
    )


@pytest.mark.exhaustive
def test_megvii_on_real_photographs(graph_mode, tmp_path):
    """The authors' trained weights name the right class for 63 of 100 ImageNet photographs."""
    if not os.environ.get("ZOO_DATA"):
        pytest.skip("not run: ZOO_DATA names no folder with the weights and photographs")
    from PIL import Image

    data = Path(os.environ["ZOO_DATA"])
    file = data / "weights" / "megvii_shufflenet_v1_0.5x_g3.pth.tar"
    images, labels = [], []
    with zipfile.ZipFile(data / "imagenet_samples_100.zip") as archive:
        table = next(n for n in archive.namelist() if n.endswith("labels.csv"))
        for row in csv.DictReader(io.TextIOWrapper(archive.open(table))):
            member = next(n for n in archive.namelist() if n.endswith(row["file"]))
            image = np.asarray(Image.open(archive.open(member)).convert("RGB"), np.float32)
            top, left = (round((n - 224) / 2) for n in image.shape[:2])  # as torchvision crops
            images.append(image[top : top + 224, left : left + 224, ::-1])  # BGR, 0..255
            labels.append(int(row["index"]))
    x = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    # MindSpore reads what was converted for it, into other conventions on the way.
    zoo.convert(file, tmp_path / "paper.ckpt", conventions="paper")
    zoo.convert(tmp_path / "paper.ckpt", tmp_path / "pytorchcv.pth", to_dialect="pytorchcv")
    logits = {
        "numpy": outputs(file, x, "numpy"),
        "torch": outputs(file, x, "torch"),
        "mindspore": outputs(tmp_path / "paper.ckpt", x, "mindspore"),
        "torch, pytorchcv": outputs(tmp_path / "pytorchcv.pth", x, "torch"),
    }
    for backend, found in logits.items():
        assert (found.argmax(1) == labels).sum() == 63, backend
        assert np.array_equal(found.argmax(1), logits["numpy"].argmax(1)), backend
        assert relative_maximum(found, logits["numpy"]) < FORWARD, backend
    found = zoo.load_weights(file)
    verbatim = zoo.spec(found.spec, shuffle_order="gn")
    wrong = zoo.create(verbatim, backend="torch", weights=dict(found)).eval()
    (guessed,) = backends.load("torch").predict(wrong, x)
    assert (guessed.argmax(1) == labels).sum() < 40  # the order of the shuffle is no detail
