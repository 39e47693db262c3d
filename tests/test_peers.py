"""The presets against the code bases they are named after: their weights in, their outputs out.

Arrays are carried over in the order in which both sides list them, which a wrong shape would break.
"""

from __future__ import annotations

import csv
import io
import os
import re
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

ROLES = {
    "gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
    "moving_variance": "running_var",
}  # fmt: skip


def by_order(spec: zoo.Spec, theirs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return canonical weights from a peer's, layer by layer in the order of both."""
    layers: dict[str, dict[str, list[np.ndarray]]] = {}
    for name, array in theirs.items():
        layer, _, role = re.sub(r"\.convs\.\d+", "", name).rpartition(".")
        if role != "num_batches_tracked":
            layers.setdefault(layer, {}).setdefault(ROLES.get(role, role), []).append(array)
    ours = dict.fromkeys(name.rpartition(".")[0] for name in spec.graph.parameters)
    assert len(ours) == len(layers)
    return {
        f"{mine}.{role}": np.concatenate(parts)
        for mine, found in zip(ours, layers.values(), strict=True)
        for role, parts in found.items()
    }


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


@pytest.mark.parametrize(("name", "mindcv_name"), [
    ("shufflenet_v1_0.5x_g3", "shufflenet_v1_g3_05"),
    ("shufflenet_v1_1.0x_g8", "shufflenet_v1_g8_10"),
])  # fmt: skip
def test_mindcv(name, mindcv_name, x, rng, graph_mode):
    import mindspore as ms

    backends.load("mindspore")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MindCV's own
        from mindcv.models import shufflenetv1

        net = getattr(shufflenetv1, mindcv_name)()
    theirs = randomised({n: p.shape for n, p in net.parameters_and_names()}, rng)
    for parameter_name, parameter in net.parameters_and_names():
        parameter.set_data(ms.Tensor(theirs[parameter_name]))
    expected = net.set_train(False)(ms.Tensor(x)).asnumpy()
    spec = zoo.spec(name, conventions="mindcv")
    for backend in BACKENDS:
        model = zoo.create(spec, backend=backend, weights=by_order(spec, theirs))
        engine = backends.load(backend)
        (found,) = engine.predict(model.eval() if backend == "torch" else model, x)
        assert relative_maximum(found, expected) < 5e-6, backend
    other = zoo.create(spec.replace(pool_padding="symmetric"), backend="numpy")
    zoo.set_weights(other, by_order(spec, theirs))
    assert relative_maximum(other(x), expected) > 1e-3  # the padding is what makes it MindCV's


@pytest.mark.parametrize(("groups", "theirs"), [(1, "shufflenet_g1_w1"), (3, "shufflenet_g3_w1")])
def test_pytorchcv(groups, theirs, x, rng):
    from pytorchcv.models import shufflenet

    net = getattr(shufflenet, theirs)().eval()
    spec = zoo.spec(
        f"shufflenet_v1_1.0x_g{groups}",
        conventions="paper", concat_order="main_pool", classifier_bias=True,
    )  # fmt: skip
    state = {n: t for n, t in net.state_dict().items() if "tracked" not in n}
    arrays = randomised({n: tuple(t.shape) for n, t in state.items()}, rng)
    net.load_state_dict({n: torch.from_numpy(a) for n, a in arrays.items()}, strict=False)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    for backend in ("torch", "numpy"):
        model = zoo.create(spec, backend=backend, weights=by_order(spec, arrays))
        (found,) = backends.load(backend).predict(model.eval(), x)
        assert relative_maximum(found, expected) < 5e-6, backend


def test_megvii_on_real_photographs(graph_mode):
    """The authors' trained weights name the right class for 63 of 100 ImageNet photographs."""
    if not os.environ.get("ZOO_DATA"):
        pytest.skip("not run: ZOO_DATA names no folder with the weights and photographs")
    from PIL import Image

    data = Path(os.environ["ZOO_DATA"])
    file = data / "weights" / "megvii_shufflenet_v1_0.5x_g3.pth.tar"
    state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    spec = zoo.spec("shufflenet_v1_0.5x_g3")
    arrays = by_order(spec, {n: t.numpy() for n, t in state.items()})

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
    found = {}
    for backend in BACKENDS:
        model = zoo.create(spec, backend=backend, weights=arrays)
        engine = backends.load(backend)
        (logits,) = engine.predict(model.eval() if backend == "torch" else model, x)
        found[backend] = logits.argmax(1)
        assert (found[backend] == labels).sum() == 63
    assert np.array_equal(found["torch"], found["mindspore"])
    assert np.array_equal(found["torch"], found["numpy"])
    wrong = zoo.create(spec, backend="torch", weights=arrays, shuffle_order="gn").eval()
    (logits,) = backends.load("torch").predict(wrong, x)
    assert (logits.argmax(1) == labels).sum() < 40  # the order of the shuffle is no detail
