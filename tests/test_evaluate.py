"""Evaluation and prediction: every backend the same, with weights from everywhere."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import typer
from conftest import BACKENDS
from pictures import threads_of_batches
from PIL import Image
from run_material import CLASSES, NORMALIZE, RECIPE, SIZE, inputs, trained, write_data, write_run
from typer.testing import CliRunner

import weights
import zoo
from zoo.cli.evaluate import evaluate as evaluate_command
from zoo.cli.predict import predict as predict_command
from zoo.data import ArrayImages, Dataset, Split
from zoo.evaluation import compare, evaluate, predict
from zoo.evaluation.agreement import ROUNDING, agreement
from zoo.images import find_pictures, pictures_at, read_truth
from zoo.measures import measure, softmax
from zoo.preprocessing import (
    MEGVII,
    PRESETS,
    asked,
    for_size,
    known_of_file,
    normalize,
    of_preprocessing,
    square,
)
from zoo.recipes import CenterCrop, RandomHorizontalFlip, Resize, recipe
from zoo.recipes.pictures import fixed_size


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "scenes")


@pytest.fixture(scope="module")
def arrays(data):
    return trained(data)


@pytest.fixture(scope="module")
def run(data, arrays, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", data, arrays)


@pytest.fixture(scope="module")
def exact(data, arrays):
    """The float64 reference's logits of the test images, and their classes."""
    x, labels = inputs(data, "test")
    return zoo.create(RECIPE.spec, backend="numpy", weights=arrays)(x), labels


# ── Evaluation ───────────────────────────────────────────────────────────────────────────────────


def test_every_backend_measures_the_same(run, data, exact):
    """All backends beside the by-hand computation, and a wrong order of labels beside them."""
    logits, labels = exact
    expected = measure(logits, labels)
    assert 50 < expected.top1 < 100  # or it would tell nothing
    found = compare(run, backends=BACKENDS, batch_size=7)
    print(found)
    assert found.identical
    assert found.passed
    assert found.reference == "numpy"
    assert [one.backend for one in found.evaluations] == list(BACKENDS)
    for one in found.evaluations:
        assert np.abs(one.logits - logits).max() < 1e-4 * np.abs(logits).max()
        assert one.top1 == expected.top1
        assert one.top5 == expected.top5
        assert one.loss == pytest.approx(expected.loss, rel=1e-4)
        assert np.array_equal(one.confusion, expected.confusion)
        assert np.array_equal(one.labels, labels)
        assert one.classes == CLASSES
        assert one.weights == f"{run} (epoch 2)"
        assert one.images == len(labels)
        assert min(one.seconds, one.first_call_seconds, one.images_per_second) > 0
    assert found.evaluations[0].names[0] == f"{data}/test/ant/0.png"
    assert max(found.differences.values()) < 1e-5
    for line in found.summary().splitlines():
        assert "and numpy name the same class for all 18 images; logits" in line


def test_a_wrong_order_of_labels_changes_the_accuracy(run, data, exact, tmp_path):
    """The negative control, and that names are believed more than places."""
    logits, labels = exact
    right = evaluate(run, backend="onnx")
    part = Split(ArrayImages(_pixels(data)), (labels + 1) % len(CLASSES), CLASSES)
    wrong = evaluate(run, Dataset("turned", None, part), backend="onnx")
    assert wrong.top1 == measure(logits, part.labels).top1 < 40 < right.top1
    # The same images, their classes in another order: the names say which is which.
    order = np.array([3, 0, 5, 1, 2, 4])
    place = np.argsort(order)
    names = tuple(CLASSES[i] for i in order)
    part = Split(ArrayImages(_pixels(data)), place[labels], names)
    again = evaluate(run, Dataset("shuffled", None, part), backend="onnx")
    assert np.array_equal(again.confusion, right.confusion)
    assert again.classes == CLASSES
    # Without names there is nothing but places.
    numbered = Split(part.images, part.labels, tuple(map(str, range(6))))
    assert evaluate(run, Dataset("numbers", None, numbered), backend="onnx").top1 < right.top1


def _pixels(data):
    files = [file for name in CLASSES for file in sorted((data / "test" / name).iterdir())]
    return np.stack([np.asarray(Image.open(file)) for file in files])


def test_a_sabotaged_weight_is_a_disagreement(run, data, arrays):
    """What disagrees, by how much: against logits computed here."""
    bad = arrays | {"classifier.weight": arrays["classifier.weight"].copy()}
    bad["classifier.weight"][2] *= -0.4
    good = evaluate(run, backend="torch")
    sabotaged = evaluate(
        bad, data, model=RECIPE.spec, recipe=RECIPE, backend="torch", optimize=False
    )
    found = agreement([good, dataclasses.replace(sabotaged, backend="mindspore")])
    print(found)
    assert not found.identical
    assert not found.passed
    ours, theirs = good.logits, sabotaged.logits
    differ = np.flatnonzero(ours.argmax(1) != theirs.argmax(1))
    assert len(found.disagreements) == len(differ) > 0
    assert {row.expected for row in found.disagreements} == {"cat"}
    margins = {}
    for i in differ:
        scale = ours[i].max() - ours[i].min()
        margins[good.names[i]] = (ours[i].max() - ours[i][theirs[i].argmax()]) / scale
    assert {row.image: row.margin for row in found.disagreements} == pytest.approx(margins)
    worst = found.disagreements[0]
    assert worst.margin == max(row.margin for row in found.disagreements) > 100 * ROUNDING
    assert worst.backend == "mindspore"
    assert f"mindspore and torch disagree on {len(differ)} of 18 images, margins up to" in str(
        found
    )
    assert f"{len(differ)} beyond rounding" in str(found)
    # One of the last bits is rounding, and is told as such.
    close = good.logits.copy()
    first = close[0].argsort()
    close[0][first[-1]] = np.nextafter(close[0][first[-2]], np.float32(-np.inf))
    near = dataclasses.replace(good, logits=good.logits.copy(), backend="near")
    near.logits[0][first[-1]] = np.nextafter(near.logits[0][first[-2]], np.float32(np.inf))
    found = agreement([near, dataclasses.replace(good, logits=close)])
    assert not found.identical
    assert found.passed
    assert "all of them rounding" in str(found)
    assert json.loads(found.to_json())["disagreements"][0]["rounding"] is True
    with pytest.raises(zoo.InputError, match=r"torch and near cannot be compared: they were"):
        agreement([near, dataclasses.replace(good, names=good.names[::-1])])


@pytest.fixture(scope="module")
def sources(run, arrays, data, tmp_path_factory):
    """Kind of weights → what is given, and what has to be said beside it."""
    folder = tmp_path_factory.mktemp("files")
    own, foreign = folder / "own.safetensors", folder / "theirs.pth"
    weights.save_weights(own, RECIPE.spec, arrays)
    zoo.convert(own, foreign, to_dialect="megvii")
    zoo.convert(own, folder / "own.ckpt")
    zoo.convert(own, folder / "cv.pth", to_dialect="pytorchcv")
    numbers = {"mean": NORMALIZE.mean, "std": NORMALIZE.std}
    for name, options in {
        "net": {"optimize": True, "labels": CLASSES, **numbers},
        "three": {"batch": 3, **numbers},
        "plain": {},
    }.items():
        zoo.export(RECIPE.spec, folder / f"{name}.onnx", weights=arrays, **options)
    (folder / "recipe.json").write_text(RECIPE.to_json())
    best = run / "checkpoints" / "epoch-0002"
    said = {"recipe": RECIPE}
    return {
        "run": (run, {}),
        "checkpoint": (best, {}),
        "file in a run": (str(best / "model.safetensors"), {}),
        "own": (own, said),
        "recipe in a file": (own, {"recipe": folder / "recipe.json"}),
        "transforms": (own, {"transforms": RECIPE.evaluate}),
        "megvii's names": (foreign, {**said, "image_size": SIZE}),
        "mindspore's": (folder / "own.ckpt", said),
        "pytorchcv's": (folder / "cv.pth", {**said, "image_size": SIZE}),
        "arrays": (arrays, {**said, "model": RECIPE.spec}),
        "load_weights": (zoo.load_weights(foreign), said),
        "onnx": (folder / "net.onnx", {}),
        "three at a time": (folder / "three.onnx", {}),
        "onnx as weights": (folder / "plain.onnx", {**said, "backend": "torch"}),
    }


def test_what_is_asked_for_counts_before_what_a_file_says(sources, data, exact, tmp_path):
    import onnx

    proto = onnx.load(sources["onnx"][0])
    onnx.helper.set_model_props(proto, {"zoo.quantization": "{"})
    onnx.save(proto, tmp_path / "net.onnx")
    with pytest.raises(zoo.InputError, match=r"^zoo\.quantization in the file's metadata: "):
        evaluate(tmp_path / "net.onnx", data)
    found = evaluate(tmp_path / "net.onnx", data, transforms=RECIPE.evaluate)
    assert found.predictions.tolist() == exact[0].argmax(1).tolist()
    with pytest.raises(zoo.UnknownNameError, match=r"^unknown \w+ override 'overrides'"):
        evaluate(sources["own"][0], data, recipe=RECIPE, overrides={})


KINDS = [
    "run", "checkpoint", "file in a run", "own", "recipe in a file", "transforms",
    "megvii's names", "mindspore's", "pytorchcv's", "arrays", "load_weights", "onnx",
    "three at a time", "onnx as weights",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_weights_from_everywhere(kind, sources, data, exact):
    given, said = sources[kind]
    found = evaluate(given, data, **said)
    logits, _ = exact
    assert np.abs(found.logits - logits).max() < 1e-4 * np.abs(logits).max()
    assert found.classes == CLASSES
    assert found.backend == ("onnx" if kind in ("onnx", "three at a time") else "torch")
    assert found.pipeline.startswith("resize 32, center_crop 32, normalize mean [0.5, 0.45, 0.4]")


def test_the_table_of_sources_is_complete(sources):
    assert list(sources) == KINDS


@pytest.mark.exhaustive
def test_what_is_kept(run, data, tmp_path):
    found = evaluate(run, split="train", backend="onnx")
    assert found.top1 == 100
    assert f"{run} (epoch 2) on {data} (train), onnx: top-1 100.00 %" in str(found)
    found = evaluate(run, backend="onnx")
    found.save(tmp_path / "found.json")
    told = json.loads((tmp_path / "found.json").read_text())
    assert (told["top1"], told["images"]) == (found.top1, 18)
    assert [row["name"] for row in told["classes"]] == list(CLASSES)
    assert told["classes"][0]["top1"] == found.per_class[0]
    assert told["confusion"] == found.confusion.tolist()
    assert told["confused"][0][2] == max(
        count for i, row in enumerate(told["confusion"]) for j, count in enumerate(row) if i != j
    )
    assert told["made_with"]["machine"]["cores"] >= 1
    found.save_confusion(tmp_path / "found.csv")
    rows = list(csv.reader((tmp_path / "found.csv").read_text().splitlines()))
    assert rows[0] == ["true \\ predicted", *CLASSES]
    assert [row[0] for row in rows[1:]] == list(CLASSES)
    assert np.array_equal(np.array([row[1:] for row in rows[1:]], int), found.confusion)
    evil = dataclasses.replace(found, classes=("=1+1", *found.classes[1:]))
    evil.save_confusion(tmp_path / "evil.csv")
    assert (tmp_path / "evil.csv").read_text().splitlines()[1].startswith("'=1+1,")
    found.plot_confusion(tmp_path / "found.png")
    assert min(_size(tmp_path / "found.png")) > 300
    with pytest.raises(zoo.ZooError, match="cannot be written"):
        found.save(tmp_path / "missing" / "found.json")


def _size(path):
    with Image.open(path) as picture:
        return picture.size


def test_published_weights_bring_their_pipeline():
    name, tag = "shufflenet_v2_1.5x", "torchvision/imagenet1k"
    spec = zoo.spec(name)
    checkpoint = weights.Checkpoint(Path("x"), "torch", "", "torchvision", spec, {}, ())
    by_tag = known_of_file(checkpoint, weights.pretrained.find(name, tag), 224)
    assert by_tag.transforms[:2] == (Resize(size=232), CenterCrop(size=224))
    assert (by_tag.bgr, by_tag.told_by) == (False, f"published with {tag}")
    by_names = known_of_file(checkpoint, None, 224)
    assert by_names.transforms == by_tag.transforms
    assert by_names.told_by == "of torchvision's ImageNet weights"
    megvii = known_of_file(dataclasses.replace(checkpoint, dialect="megvii"), None, 112)
    assert megvii.bgr
    assert megvii.transforms[:2] == (Resize(size=128), CenterCrop(size=112))
    # Fine-tuned ones may have been prepared in any way, and so may ours.
    tuned = dataclasses.replace(checkpoint, spec=zoo.spec(name, num_classes=10))
    assert known_of_file(tuned, None, 224) is None
    assert known_of_file(dataclasses.replace(checkpoint, dialect="zoo"), None, 224) is None


@pytest.mark.parametrize("name", PRESETS)
def test_a_preprocessing_is_the_same_as_transforms(name, rng):
    from zoo.data.transforms import apply

    picture = Image.fromarray(rng.integers(0, 256, (90, 77, 3), np.uint8))
    how = dataclasses.replace(PRESETS[name], mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    pipeline = of_preprocessing(how, 48, "test")
    found = pipeline.ordered(apply(picture, pipeline.transforms, None)[None])
    expected = normalize(square(picture, for_size(how, 48))[None], for_size(how, 48))
    assert np.array_equal(found, expected)
    area = dataclasses.replace(MEGVII, interpolation="area")
    with pytest.raises(zoo.SpecError, match=r"interpolation \(='area'\) must be one of nearest"):
        of_preprocessing(area, 48, "test")


def test_pipelines_that_are_asked_for():
    assert asked(None, None, 32) is None
    assert asked(None, "cifar10", 32).transforms == recipe("cifar10").evaluate
    assert asked("megvii", None, None).transforms[1] == CenterCrop(size=224)
    assert "BGR (preprocessing megvii)" in str(asked("megvii", None, 32))
    assert fixed_size(asked(None, "cifar10", 32).transforms) is None
    assert fixed_size(asked(None, "cifar10_mindspore", 32).transforms) is None
    assert fixed_size([Resize(size=9, square=True), NORMALIZE]) == (9, 9)
    assert fixed_size(asked("imagenet", None, 64).transforms) == (64, 64)
    with pytest.raises(zoo.SpecError, match="random_horizontal_flip draws numbers"):
        asked([RandomHorizontalFlip(), NORMALIZE], None, 32)
    with pytest.raises(zoo.SpecError, match="transforms must end in normalize"):
        asked([Resize(size=3)], None, 32)


def _broken_weights(arrays):
    return arrays | {"stem.conv.weight": arrays["stem.conv.weight"] * np.float32(1e38)}


# What is refused: arguments → the error.
REFUSED = [
    (dict(weights="missing.pth"), "missing.pth: no such file, and no published weights ("),
    (dict(weights="empty"), "empty: is a folder, and neither a run, which has a recipe.json, nor"),
    (dict(weights="text.pth"), "text.pth: "),
    (dict(weights="own.safetensors"), "own.safetensors: how its images were prepared is not known"),
    (dict(weights="torchvision/imagenet1k"), "weights 'torchvision/imagenet1k': model must be"),
    (dict(weights={}), "weights that are no file need model=: the network that they are of"),
    (dict(weights="plain.onnx"), "plain.onnx: how its images were prepared is not known; give rec"),
    (dict(weights="plain.onnx", recipe="cifar10", image_size=3), "plain.onnx: is run as it is: mo"),
    (dict(backend="tensorflow"), "unknown backend 'tensorflow'; "),
    (dict(group_conv="merged"), "unknown group_conv 'merged'; "),
    (dict(split="val"), "unknown split 'val'; "),
    (dict(batch_size=0), "batch_size (=0) must be at least 1"),
    (dict(recipe="cifar11"), "unknown recipe 'cifar11'; did you mean 'cifar10'"),
    (dict(recipe="missing.json"), "missing.json: cannot be read: "),
    (dict(recipe="bad.json"), "bad.json: a recipe: it must be JSON: "),
    (dict(recipe="cifar10", transforms="imagenet"), "transforms and recipe cannot both be given:"),
    (dict(transforms="imagnet"), "unknown preprocessing 'imagnet'; did you mean 'imagenet'?"),
    (dict(data="missing"), "missing: no such file or folder"),
    (dict(data="empty"), "empty: is no data set; looked for folders of images (train/<class>/ and"),
    (dict(data="two"), "two: has 2 classes, {run} (epoch 2) tells 6 apart"),
    (dict(data="others"), "others: its class 'gnu' is none of those that {run} (epoch 2) tells"),
    (dict(data="alone"), "alone: has no test images; split='train' (--split train) takes others"),
    (dict(data="corrupt"), "corrupt: 1 of 18 images cannot be read: corrupt/test/bee/1.png: "),
    (dict(data="sizes", recipe="cifar10"), "sizes/test/fox/9.png: is 200 × 160 pixels after the"),
    (dict(data="train", truth="high.csv"), "high.csv: index (=6) must be from 0 to 5"),
    (dict(data=None, truth="high.csv"), "truth (--truth) needs data (--data), the folder that"),
    (dict(weights="own.safetensors", recipe="cifar10", data=None), "own.safetensors: on which ima"),
    (dict(num_clases=3), "unknown shufflenet_v2 override 'num_clases'; did you mean 'num_classes'"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "message"), REFUSED)
def test_what_is_refused(changed, message, run, data, arrays, sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("text.pth").write_text("no weights")
    Path("bad.json").write_text("{")
    files = Path(sources["own"][0]).parent
    for name in ("own.safetensors", "plain.onnx"):
        shutil.copy(files / name, name)
    for folder in ("two", "others", "corrupt", "sizes"):
        shutil.copytree(data, folder)
    shutil.copytree(data / "train", "alone")
    shutil.copytree(data / "train" / "ant", "train")
    for part in ("train", "test"):
        for name in CLASSES[2:]:
            shutil.rmtree(Path("two", part, name))
        Path("others", part, "fox").rename(Path("others", part, "gnu"))
    Path("corrupt/test/bee/1.png").write_bytes(b"no picture")
    Image.new("RGB", (200, 160)).save("sizes/test/fox/9.png")
    Path("high.csv").write_text(
        "".join(["file,index\n", *(f"{i}.png,{i + 2}\n" for i in range(5))])
    )
    asked = {"weights": run, "data": data, "backend": None} | changed
    with pytest.raises(zoo.ZooError) as error:
        evaluate(**asked)
    assert str(error.value).startswith(message.format(run=run))


def test_logits_that_are_not_finite_are_refused(data, arrays):
    with np.errstate(all="ignore"), pytest.raises(zoo.WeightsError) as error:
        evaluate(
            _broken_weights(arrays), data, model=RECIPE.spec, recipe=RECIPE, backend="torch",
            optimize=False,
        )  # fmt: skip
    assert threads_of_batches() == []  # though the error, and its traceback, are still here
    first = f"{data}/test/ant/0.png"
    assert str(error.value) == f"the weights given: the logits of {first} are not finite numbers"


def test_corrupt_images_are_skipped_on_request(run, data, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    (copy / "test" / "bee" / "1.png").write_bytes(b"no picture")
    found = evaluate(run, copy, backend="onnx", skip_corrupt=True)
    assert found.images == 17
    assert len(found.skipped) == 1
    assert found.skipped[0].startswith(f"{copy}/test/bee/1.png")
    whole = evaluate(run, backend="onnx")
    kept = [i for i, name in enumerate(whole.names) if not name.endswith("bee/1.png")]
    assert found.top1 == measure(whole.logits[kept], whole.labels[kept]).top1
    # A data set that is given is tried image by image.
    pictures = find_pictures(copy / "test")
    images = pictures_at([copy / "test" / name for name in pictures.files])
    given = Dataset("given", None, Split(images, np.repeat(np.arange(6), 3), CLASSES))
    again = evaluate(run, given, backend="onnx", skip_corrupt=True)
    assert again.top1 == found.top1
    assert again.numbers.tolist() == kept
    with pytest.raises(zoo.InputError, match=r"bee/1\.png: cannot be read as an image"):
        evaluate(run, given, backend="onnx")


def test_coarse_labels_come_from_the_run(run, data, arrays, tmp_path, monkeypatch):
    from zoo.evaluation import runner as module

    seen = []
    monkeypatch.setattr(
        module, "open_dataset", lambda path, **options: seen.append(options) or 1 / 0
    )
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    info = json.loads((copy / "run.json").read_text()) | {"labels": "coarse"}
    (copy / "run.json").write_text(json.dumps(info))
    for given, labels in ((run, None), (copy, None), (copy, "fine")):
        with pytest.raises(ZeroDivisionError):
            evaluate(given, labels=labels, skip_corrupt=True)
    assert [one["labels"] for one in seen] == ["fine", "coarse", "fine"]


# ── Prediction ───────────────────────────────────────────────────────────────────────────────────


def test_predictions(run, data, exact, tmp_path, monkeypatch):
    logits, _ = exact
    shares = softmax(logits)
    first = data / "test" / "fox" / "2.png"
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{data}/test/ant\n\n{first}\n"))
    found = predict(run, [data / "test" / "dog", "-", first], top=2, backend="onnx")
    assert [row.image for row in found.rows] == [
        *(f"{data}/test/dog/{i}.png" for i in range(3)),
        *(f"{data}/test/ant/{i}.png" for i in range(3)), str(first), str(first),
    ]  # fmt: skip
    for row, i in zip(found.rows, [9, 10, 11, 0, 1, 2, 17, 17], strict=True):
        order = np.argsort(-shares[i])[:2]
        assert [guess.index for guess in row.guesses] == order.tolist()
        assert [guess.name for guess in row.guesses] == [CLASSES[j] for j in order]
        told = [guess.probability for guess in row.guesses]
        assert told == pytest.approx(shares[i][order], rel=1e-3)
    found.save(tmp_path / "found.json")
    told = json.loads((tmp_path / "found.json").read_text())
    assert told["images"][6]["image"] == str(first)
    assert told["images"][6]["classes"][0]["name"] == found.rows[6].guesses[0].name
    found.plot(tmp_path / "grid.png")
    assert _size(tmp_path / "grid.png")[0] > 900
    many = predict(run, data, top=99, backend="onnx")
    assert len(many.rows) == 48
    assert len(many.rows[0].guesses) == 6
    assert sum(guess.probability for guess in many.rows[0].guesses) == pytest.approx(1)


def test_names_of_classes(sources, data, tmp_path):
    first = data / "test" / "fox" / "2.png"
    own, said = sources["own"]
    assert predict(own, first, **said).rows[0].guesses[0].name == "5"
    assert predict(sources["onnx"][0], first).rows[0].guesses[0].name == "fox"
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\nd\ne\nfée\n", encoding="utf-8")
    assert predict(own, first, labels=names, **said).rows[0].guesses[0].name == "fée"
    names.write_text("a\nb\n")
    with pytest.raises(zoo.ZooError, match=r"names\.txt: has 2 names, must have 6, one a class"):
        predict(own, first, labels=names, **said)


def test_pictures_of_any_size_are_fitted(sources, data, tmp_path):
    """A recipe without a size, as those for CIFAR: others are scaled, and that is told."""
    own, _ = sources["own"]
    x = np.asarray(Image.open(data / "test" / "ant" / "1.png"))[2:34, 4:36]
    Image.fromarray(x).save(tmp_path / "fits.png")
    Image.new("RGB", (300, 200), (10, 200, 30)).save(tmp_path / "large.png")
    asked = dict(transforms=[NORMALIZE], backend="onnx")
    found = predict(own, tmp_path, **asked)
    note = "1 of 2 pictures were scaled to 32 × 32 first, which is not in the transforms"
    assert found.notes == (note,)
    alone = predict(own, tmp_path / "fits.png", **asked)
    assert alone.notes == ()
    assert np.allclose(alone.logits[0], found.logits[0], atol=1e-5)


def test_pictures_that_can_not_be_read(run, data, tmp_path):
    bad, gone = tmp_path / "bad.jpg", tmp_path / "gone.jpg"
    bad.write_bytes((data / "test" / "ant" / "0.png").read_bytes()[:200])
    strip = tmp_path / "strip.png"
    Image.new("RGB", (300, 2)).save(strip)
    good = data / "test" / "ant" / "1.png"
    for inputs_, message in (
        ([good, gone], f"{gone}: no such file or folder"),
        ([good, bad], f"{bad}: cannot be read as an image: "),
        ([good, strip], f"{strip}: sides (=300 and 2 pixels) must be at most 50 to 1"),
        ([], "there are no images: give files or folders"),
    ):
        with pytest.raises(zoo.InputError) as error:
            predict(run, inputs_, backend="onnx")
        assert str(error.value).startswith(message)
    found = predict(run, [gone, bad, good, strip], backend="onnx", skip_corrupt=True)
    assert [row.image for row in found.rows] == [str(good)]
    assert [message.split(":")[0] for message in found.skipped] == list(
        map(str, (gone, bad, strip))
    )
    with pytest.raises(zoo.InputError, match=r"gone\.jpg: no such file or folder; .*bad\.jpg: can"):
        predict(run, [gone, bad], backend="onnx", skip_corrupt=True)
    with pytest.raises(zoo.ZooError, match=r"top \(=0\) must be at least 1"):
        predict(run, good, top=0)


# ── Commands ─────────────────────────────────────────────────────────────────────────────────────


def call(*words):
    """Call one of the commands; what it raises is raised here."""
    app = typer.Typer()
    app.command("evaluate")(evaluate_command)
    app.command("predict")(predict_command)
    runner = CliRunner(env={"COLUMNS": "160"})
    done = runner.invoke(app, list(map(str, words)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_the_evaluate_command(run, tmp_path, sources):
    done = call(
        "evaluate", run, "--backend", "onnx,numpy", "--json", tmp_path / "a.json",
        "--confusion", tmp_path / "a.png", "--confusion", tmp_path / "a.csv",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "numpy and onnx name the same class for all 18 images" in done.output
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["agreement"]["identical"] is True
    assert [one["backend"] for one in told["evaluations"]] == ["onnx", "numpy"]
    assert (tmp_path / "a.csv").read_text().startswith("true \\ predicted,ant,bee")
    assert (tmp_path / "a.png").stat().st_size > 1000
    done = call("evaluate", sources["onnx"][0], "--data", told["evaluations"][0]["data"])
    assert done.exit_code == 0, done.output
    assert "center_crop 32" in done.output
    with pytest.raises(zoo.ZooError, match=r"a\.txt: the suffix must be \.png"):
        call("evaluate", run, "--confusion", tmp_path / "a.txt")


def test_the_evaluate_command_fails_where_backends_disagree(run, monkeypatch):
    from zoo.evaluation import agreement as module

    monkeypatch.setattr(module, "evaluate_network", _sabotaged(module.evaluate_network, "numpy"))
    done = call("evaluate", run, "--backend", "onnx,numpy")
    assert done.exit_code == 1, done.output
    assert "numpy and onnx disagree on" in done.output
    assert "disagreements" in done.output


def _sabotaged(evaluate_network, backend):
    def run(network, *args, **kwargs):
        found = evaluate_network(network, *args, **kwargs)
        if network.backend != backend:
            return found
        return dataclasses.replace(found, logits=found.logits[:, ::-1])

    return run


def test_the_predict_command(run, data, tmp_path):
    place = data / "test" / "fox"
    done = call("predict", run, place, "--backend", "onnx", "--grid", tmp_path / "a.png")
    assert done.exit_code == 0, done.output
    assert "fox/2.png" in done.output
    assert "fox: " in done.output
    assert (tmp_path / "a.png").stat().st_size > 1000
    (tmp_path / "bad.png").write_text("no picture")
    done = call(
        "predict", run, place, tmp_path / "bad.png", "--backend", "onnx", "--json", "-",
        "--skip-corrupt", "--top", "1",
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert [len(row["classes"]) for row in told["images"]] == [1, 1, 1]
    assert f"skipped: {tmp_path / 'bad.png'}: cannot be read as an image" in done.stderr
    with pytest.raises(zoo.InputError, match=r"bad\.png: cannot be read as an image"):
        call("predict", run, tmp_path / "bad.png")


# ── Real photographs ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.exhaustive
def test_megvii_on_real_photographs_everywhere(tmp_path):
    """Every backend names the same class for all of them, prepared as the file's names tell."""
    if not os.environ.get("ZOO_DATA"):
        pytest.skip("not run: ZOO_DATA names no folder with the weights and photographs")
    data = Path(os.environ["ZOO_DATA"])
    with zipfile.ZipFile(data / "imagenet_samples_100.zip") as archive:
        archive.extractall(tmp_path)
    table = next(tmp_path.rglob("labels.csv"))
    file = data / "weights" / "megvii_shufflenet_v1_0.5x_g3.pth.tar"
    found = compare(file, table.parent, truth=table, backends=BACKENDS, batch_size=25)
    print(found)
    assert found.identical
    for one in found.evaluations:
        assert (one.top1, one.top5) == (63, 89), one.backend
        assert one.pipeline.endswith("BGR (of megvii's ImageNet weights)")
    # Fed RGB, it is another network.
    wrong = evaluate(file, table.parent, truth=table, transforms="imagenet", backend="openvino")
    assert wrong.top1 < 63
    labels = read_truth(table, find_pictures(table.parent))
    assert found.evaluations[0].labels.tolist() == labels
