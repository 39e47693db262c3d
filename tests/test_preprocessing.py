"""How weights want their pictures: known of files, models and conversions, done by transforms."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch
from conftest import BACKENDS
from PIL import Image

import weights
import zoo
from weights.pretrained import list_pretrained
from zoo.arch.preprocessing import IMAGENET, MEGVII

V1 = "shufflenet_v1_0.5x_g3"
CIFAR = "shufflenet_v1_0.5x_g3_cifar"
OWN = zoo.Preprocessing(
    mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), channel_order="RGB", value_range=2.0,
    resize=40, crop=32, interpolation="bicubic",
)  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Name → a file of weights: the authors' names, MindCV's, ours."""
    folder = tmp_path_factory.mktemp("files")
    found = {}
    for dialect, suffix in (("megvii", "pth"), ("mindcv", "ckpt"), ("zoo", "safetensors")):
        conventions = {} if dialect == "zoo" else {"conventions": dialect}
        spec = zoo.spec(V1, **conventions)
        found[dialect] = folder / f"{dialect}.{suffix}"
        given = weights.randomize(spec.graph, 1)
        weights.save_weights(found[dialect], spec, given, dialect=dialect)
    return found


# file → what its weights want.
KNOWN = {"megvii": MEGVII, "mindcv": IMAGENET, "zoo": None}


@pytest.mark.sweep(quick=["mindcv"])
@pytest.mark.parametrize("dialect", KNOWN)
def test_files_and_models_made_with_them_know(dialect, files):
    found = zoo.load_weights(files[dialect])
    assert found.preprocessing == KNOWN[dialect]
    assert ("pictures: " in found.summary()) == (KNOWN[dialect] is not None)
    for backend in BACKENDS:
        model = zoo.create(V1, weights=files[dialect], backend=backend)
        assert model.preprocessing == KNOWN[dialect]
        assert zoo.create(V1, backend=backend).preprocessing is None
    for options in (dict(features_only=True), dict(optimize=True), dict(num_classes=0)):
        assert zoo.create(V1, weights=found, **options).preprocessing == KNOWN[dialect]
    adapted = zoo.create(V1, weights=found, num_classes=7, adapt=True)
    assert adapted.preprocessing == KNOWN[dialect]
    assert zoo.create(V1, weights=found, in_channels=1, adapt=True).preprocessing is None
    assert zoo.create(V1, weights=dict(found)).preprocessing is None


@pytest.mark.parametrize("backend", ["torch", "mindspore", "numpy"])
def test_it_travels_with_models_into_files_and_back(backend, files, tmp_path):
    model = zoo.create(V1, weights=files["megvii"], backend=backend)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.preprocessing == MEGVII
    for suffix in ("safetensors", "pth", "ckpt", "onnx", "npz"):
        zoo.save(model, tmp_path / f"ours.{suffix}")
        found = zoo.load_weights(tmp_path / f"ours.{suffix}")
        assert found.stated == found.preprocessing == MEGVII
    if backend != "numpy":
        model.reset_classifier(7)
        zoo.save(model, tmp_path / "seven.npz")
        assert zoo.load(tmp_path / "seven.npz").preprocessing == MEGVII


def test_it_travels_with_wrapped_models(files, tmp_path):
    model = torch.compile(zoo.create(V1, weights=files["megvii"]), backend="eager")
    zoo.save(model, tmp_path / "ours.npz")
    assert zoo.load_weights(tmp_path / "ours.npz").preprocessing == MEGVII


def test_conversions_carry_it_on(files, tmp_path):
    zoo.convert(files["megvii"], tmp_path / "ours.ckpt")
    assert zoo.load_weights(tmp_path / "ours.ckpt").preprocessing == MEGVII
    # Under another code base's names: what the file says counts more than its names.
    source = tmp_path / "own.npz"
    spec = zoo.spec(V1, conventions="megvii")
    weights.save_weights(source, spec, weights.randomize(spec.graph), preprocessing=OWN)
    zoo.convert(source, tmp_path / "theirs.pth", to_dialect="megvii")
    found = zoo.load_weights(tmp_path / "theirs.pth")
    assert (found.dialect, found.preprocessing) == ("megvii", OWN)


def test_published_weights_bring_theirs():
    entry = next(e for e in list_pretrained(CIFAR) if e.tag == "cifar10")
    model = zoo.create(CIFAR, weights="cifar10")
    assert model.preprocessing == entry.preprocessing
    found = zoo.transforms(CIFAR, weights="cifar10")
    assert found.preprocessing == entry.preprocessing
    assert zoo.transforms(model) == found


def test_a_damaged_preprocessing_is_told(files, tmp_path):
    from weights import formats

    _, contents = formats.read(files["zoo"])
    arrays = next(iter(contents.entries.values())) if hasattr(contents, "entries") else None
    arrays = arrays or zoo.load_weights(files["zoo"]).weights
    spec = zoo.spec(V1)
    for text, told in (
        ("{", "not the JSON of a preprocessing: "),
        ("[]", "not the JSON of a preprocessing: it must be a JSON object, not list"),
        (
            '{"mean": [0, 0, 0]}',
            r"the fields of a preprocessing must be \['mean', .*\], not \['mean'\]",
        ),
        (OWN.to_json().replace("[0.5", "[[]"), "not the fields of a preprocessing: "),
        (OWN.to_json().replace("0.5", "-1"), r"std \(=\[-1, 0\.6, 0\.7\]\) must be greater than 0"),
        (OWN.to_json().replace("RGB", "GRB"), "unknown channel_order 'GRB'"),
        (
            OWN.to_json().replace(f'"resize": {OWN.resize}', '"resize": 1e999'),
            r"resize \(=inf\) must be a whole number from 1 to 65536",
        ),
    ):
        metadata = weights.metadata(spec, "zoo") | {"zoo.preprocessing": text}
        formats.write(tmp_path / "bad.npz", dict(arrays), metadata, force=True)
        message = rf"bad\.npz: the preprocessing in the file's metadata cannot be read: {told}"
        with pytest.raises(zoo.WeightsError, match=message):
            zoo.load_weights(tmp_path / "bad.npz")


def picture(rng, height=300, width=260):
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def test_megviis_weights_are_fed_the_bytes_of_a_picture_in_bgr(rng, files, tmp_path):
    image = picture(rng, 256, 256)
    model = zoo.create(V1, weights=files["megvii"])
    made = zoo.transforms(model)(image)
    assert (made.shape, made.dtype) == ((3, 224, 224), np.float32)
    middle = np.asarray(image)[16:240, 16:240]
    assert np.array_equal(made, middle[..., ::-1].transpose(2, 0, 1).astype(np.float32))
    rgb = zoo.transforms(zoo.create(V1, weights=files["mindcv"], conventions="mindcv"))(image)
    mean, std = np.array(IMAGENET.mean), np.array(IMAGENET.std)
    np.testing.assert_allclose(rgb.transpose(1, 2, 0), (middle / 255 - mean) / std, atol=1e-5)
    image.save(tmp_path / "picture.png")
    for same in (np.asarray(image), tmp_path / "picture.png", str(tmp_path / "picture.png")):
        assert np.array_equal(zoo.transforms(model)(same), made)


def test_transforms_of_all_that_knows(rng, files):
    image = picture(rng)
    checkpoint = zoo.load_weights(files["megvii"])
    expected = zoo.transforms(MEGVII)(image)
    for source in (checkpoint, files["megvii"], str(files["megvii"]), "megvii"):
        assert np.array_equal(zoo.transforms(source)(image), expected)
    assert np.array_equal(zoo.transforms(V1, weights=files["megvii"])(image), expected)
    small = zoo.transforms(checkpoint, image_size=112)
    assert (small.preprocessing.resize, small.preprocessing.crop) == (128, 112)
    assert small(image).shape == (3, 112, 112)
    of_size = zoo.create(V1, weights=files["megvii"], image_size=64)
    assert zoo.transforms(of_size)(image).shape == (3, 64, 64)


def test_the_same_pictures_as_an_evaluation(rng, files):
    from zoo.data.transforms import apply
    from zoo.preprocessing import known_of_file

    image = picture(rng)
    for dialect in ("megvii", "mindcv"):
        checkpoint = zoo.load_weights(files[dialect])
        pipeline = known_of_file(checkpoint, None, 96)
        expected = pipeline.ordered(apply(image, pipeline.transforms, None)[None])[0]
        found = zoo.transforms(checkpoint, image_size=96)(image)
        assert np.array_equal(found, expected)
    stated = dataclasses.replace(zoo.load_weights(files["zoo"]), stated=OWN)
    assert known_of_file(stated, None, 32).told_by == "the file's metadata"


def test_timms_terms(files):
    model = zoo.create(V1, weights=files["mindcv"])
    config = model.pretrained_cfg
    assert config is model.default_cfg
    assert config == {
        "input_size": (3, 224, 224), "mean": IMAGENET.mean, "std": IMAGENET.std,
        "interpolation": "bilinear", "crop_pct": 0.875, "crop_mode": "center",
        "channel_order": "RGB", "first_conv": "stem.conv", "classifier": "classifier",
    }  # fmt: skip
    assert model.get_submodule(config["first_conv"]).in_channels == 3
    theirs = zoo.create(V1, weights=files["megvii"]).pretrained_cfg
    assert theirs["channel_order"] == "BGR"
    assert theirs["std"] == (1 / 255,) * 3
    assert "mean" not in zoo.create(V1).pretrained_cfg


WRONG = [
    (lambda: zoo.transforms(V1), zoo.ZooError,
     f"{V1}: pictures are prepared as weights want it: give weights=, a model made with some, or a "
     "preprocessing (imagenet or megvii)"),
    (lambda: zoo.transforms(zoo.create(V1)), zoo.ZooError,
     "the weights of the ShuffleNetV1: how pictures were prepared is not known; give a "
     "preprocessing instead (imagenet or megvii)"),
    (lambda: zoo.transforms("imagnet"), zoo.UnknownNameError, "unknown model 'imagnet'"),
    (lambda: zoo.transforms(3), zoo.WeightsError, "int was not made by zoo.create"),
    (lambda: zoo.transforms("megvii")(np.zeros((8, 8, 4), np.uint8)), zoo.InputError,
     "pixels (=uint8 (8, 8, 4)) must be uint8 (H, W, 3), RGB"),
    (lambda: zoo.transforms("megvii")("missing.png"), zoo.InputError,
     "missing.png: cannot be read: No such file or directory"),
    (lambda: zoo.transforms("megvii")(Image.new("I;16", (9, 9))), zoo.InputError,
     "mode (=I;16) must have 8 bits a channel"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_bad_requests(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value).startswith(message)


def test_networks_for_other_images(files):
    gray = zoo.create(V1, in_channels=1)
    gray.zoo_graph = dataclasses.replace(gray.zoo_graph, preprocessing=MEGVII)
    with pytest.raises(
        zoo.InputError, match=r"^in_channels \(=1\) must be 3: pictures are in color"
    ):
        zoo.transforms(gray)


def test_quantization_calibrates_on_what_the_weights_want(files):
    from zoo.preprocessing import for_size
    from zoo.quantization.quantize import _preprocessing

    own = zoo.create(V1, weights=files["megvii"], image_size=96)
    for source, given in (
        (V1, files["megvii"]),
        (V1, zoo.load_weights(files["megvii"])),
        (own, None),
    ):
        found = _preprocessing(source, given, None, {"image_size": 96} if source is V1 else {})
        assert found == for_size(MEGVII, 96)
    assert _preprocessing(V1, files["megvii"], "imagenet", {}) == IMAGENET
    assert _preprocessing(V1, files["zoo"], None, {}) == IMAGENET
