"""The code bases themselves: files that their own code wrote, read here; ours, read by theirs.

Weights and batch norm statistics are random, so that every channel and every convention counts.
"""

from __future__ import annotations

import csv
import io
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import BACKENDS

import backends
import zoo
from zoo.proof.measure import relative_maximum

ADMITTED = 5e-6
"""Error of logits against the peer's own, both in float32."""


def randomised(shapes: dict[str, tuple[int, ...]], rng) -> dict[str, np.ndarray]:
    """Return arrays with which every channel counts, by the role that a name ends in."""
    return {
        name: (
            rng.uniform(0.5, 1.5, shape) if name.endswith(("var", "variance", "gamma"))
            or (len(shape) == 1 and name.endswith("weight"))
            else rng.uniform(-0.5, 0.5, shape) * np.sqrt(12 / max(np.prod(shape[1:]), 1))
        ).astype(np.float32)
        for name, shape in shapes.items()
    }  # fmt: skip


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 3, 224, 224)).astype(np.float32)


def outputs(source, x, backend, **options):
    """Return the logits of the network in a file."""
    model = zoo.load(source, backend=backend, **options)
    return backends.load(backend).predict(model.eval() if hasattr(model, "eval") else model, x)[0]


def randomise_module(net, rng):
    """Give a PyTorch network random weights and statistics."""
    state = net.state_dict()
    shapes = {n: tuple(t.shape) for n, t in state.items() if "tracked" not in n}
    arrays = randomised(shapes, rng)
    net.load_state_dict({n: torch.from_numpy(a) for n, a in arrays.items()}, strict=False)
    return net.eval()


def run(net, x):
    with torch.no_grad():
        return net(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize(("name", "mindcv_name"), [
    ("shufflenet_v1_0.5x_g3", "shufflenet_v1_g3_05"),
    ("shufflenet_v1_1.0x_g8", "shufflenet_v1_g8_10"),
])  # fmt: skip
def test_mindcv(name, mindcv_name, x, rng, graph_mode, tmp_path):
    import mindspore as ms

    backends.load("mindspore")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MindCV's own
        from mindcv.models import shufflenetv1

    def mindcv():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(shufflenetv1, mindcv_name)()

    net = mindcv()
    theirs = randomised({n: p.shape for n, p in net.parameters_and_names()}, rng)
    for parameter_name, parameter in net.parameters_and_names():
        parameter.set_data(ms.Tensor(theirs[parameter_name]))
    expected = net.set_train(False)(ms.Tensor(x)).asnumpy()
    path = tmp_path / "mindcv.ckpt"
    ms.save_checkpoint(net, str(path))
    found = zoo.load_weights(path)
    assert (found.model, found.dialect, found.spec.preset_name) == (name, "mindcv", "mindcv")
    assert found.notes == ()
    for backend in BACKENDS:
        assert relative_maximum(outputs(path, x, backend), expected) < ADMITTED, backend
    symmetric = zoo.create(found.spec.replace(pool_padding="symmetric"), backend="numpy")
    zoo.set_weights(symmetric, found)
    assert relative_maximum(symmetric(x), expected) > 1e-3  # the padding is what makes it MindCV's
    # And back: from our names, MindCV's own code gets every parameter and the same outputs.
    zoo.convert(path, tmp_path / "ours.safetensors")
    zoo.convert(tmp_path / "ours.safetensors", tmp_path / "back.ckpt", to_dialect="mindcv")
    again = mindcv()
    loaded = ms.load_checkpoint(str(tmp_path / "back.ckpt"))
    assert ms.load_param_into_net(again, loaded, strict_load=True) == ([], [])
    assert np.array_equal(again.set_train(False)(ms.Tensor(x)).asnumpy(), expected)


@pytest.mark.parametrize("theirs", ["shufflenet_g1_w1", "shufflenet_g3_w1", "shufflenet_g3_wd4"])
def test_pytorchcv(theirs, x, rng, tmp_path):
    from pytorchcv.models import shufflenet

    net = randomise_module(getattr(shufflenet, theirs)(), rng)
    expected = run(net, x)
    path = tmp_path / "pytorchcv.pth"
    torch.save(net.state_dict(), path)
    found = zoo.load_weights(path)
    assert (found.dialect, found.spec.preset_name) == ("pytorchcv", "pytorchcv")
    for backend in ("torch", "numpy"):
        assert relative_maximum(outputs(path, x, backend), expected) < ADMITTED, backend
    # megvii's order of concat and shuffle is the same function of other channels, without a bias.
    with pytest.raises(zoo.ConventionError, match=r"classifier.bias: must be zero"):
        zoo.convert(path, tmp_path / "megvii.pth", to_dialect="megvii")
    zoo.convert(path, tmp_path / "mmpretrain.pth", to_dialect="mmpretrain")
    zoo.convert(tmp_path / "mmpretrain.pth", tmp_path / "back.pth", to_dialect="pytorchcv")
    again = getattr(shufflenet, theirs)()
    again.load_state_dict(torch.load(tmp_path / "back.pth", weights_only=True), strict=True)
    assert np.array_equal(run(again.eval(), x), expected)


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_mmpretrain(groups, x, rng, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mmengine's and its own
        from mmpretrain.models import ImageClassifier

        def mmpretrain():
            channels = {1: 576, 2: 800, 3: 960}[groups]
            return ImageClassifier(
                backbone=dict(type="ShuffleNetV1", groups=groups),
                neck=dict(type="GlobalAveragePooling"),
                head=dict(type="LinearClsHead", num_classes=20, in_channels=channels),
            )

        net = randomise_module(mmpretrain(), rng)
        expected = run(lambda images: net.head((net.extract_feat(images)[-1],)), x)
        path = tmp_path / "mmpretrain.pth"
        torch.save({"meta": {"epoch": 3}, "state_dict": net.state_dict()}, path)
        found = zoo.load_weights(path)
        assert found.spec == zoo.spec(
            f"shufflenet_v1_1.0x_g{groups}", conventions="mmpretrain", num_classes=20
        )
        for backend in ("torch", "numpy"):
            assert relative_maximum(outputs(path, x, backend), expected) < ADMITTED, backend
        zoo.convert(path, tmp_path / "pytorchcv.pth", to_dialect="pytorchcv")
        zoo.convert(tmp_path / "pytorchcv.pth", tmp_path / "back.pth", to_dialect="mmpretrain")
        again = mmpretrain()
        again.load_state_dict(torch.load(tmp_path / "back.pth", weights_only=True), strict=True)
        again.eval()
        same = run(lambda images: again.head((again.extract_feat(images)[-1],)), x)
        assert np.array_equal(same, expected)


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
        assert relative_maximum(found, logits["numpy"]) < ADMITTED, backend
    found = zoo.load_weights(file)
    verbatim = zoo.spec(found.spec, shuffle_order="gn")
    wrong = zoo.create(verbatim, backend="torch", weights=dict(found)).eval()
    (guessed,) = backends.load("torch").predict(wrong, x)
    assert (guessed.argmax(1) == labels).sum() < 40  # the order of the shuffle is no detail
