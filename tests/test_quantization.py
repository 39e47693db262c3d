"""Networks of 8 bits: what they cost, what is left in float32, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import backends
import weights
import zoo
from zoo import cli
from zoo.images import find_pictures, folder_classes, pictures_at, read_truth
from zoo.measures import relative_l2
from zoo.preprocessing import MEGVII, PRESETS, for_size, normalize
from zoo.quantization import measure, mixed_precision, quantize

CLASSES, SIZE = 10, 64
SPEC = zoo.spec("shufflenet_v2_0.5x", image_size=SIZE, num_classes=CLASSES, classifier_bias=True)


@pytest.fixture(autouse=True, scope="module")
def _short_rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "ROUNDS", 3)
        patch.setattr(measure, "BLOCK_SECONDS", 0.01)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folders of images: ten scenes, blurred and shifted; and a network that tells them apart."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("data")
    scenes = rng.integers(0, 256, (CLASSES, 6, 7, 3))
    for folder, each, light in (("seen", 3, 1.0), ("others", 3, 1.0), ("dark", 3, 0.05)):
        for index, scene in enumerate(scenes):
            place = root / folder / f"class {index}"
            place.mkdir(parents=True)
            for i in range(each):
                pixels = np.clip(scene + rng.normal(0, 20, scene.shape), 0, 255) * light
                picture = Image.fromarray(pixels.astype(np.uint8)).resize((96, 80))
                picture.save(place / f"{i}.jpg", quality=95)
    return root


@pytest.fixture(scope="module")
def arrays(data):
    """Weights of the network: features at random, and a classifier by the nearest scene."""
    found = weights.randomize(SPEC.graph, seed=0)
    how = for_size(PRESETS["imagenet"], SIZE)
    images = normalize(find_pictures(data / "seen").pixels(how), how)
    model = zoo.create(SPEC, backend="onnx", weights=found, outputs="flatten")
    features = model(images).reshape(CLASSES, 3, -1).mean(1)
    middle = features.mean(0)
    towards = (features - middle) / np.linalg.norm(features - middle, axis=1, keepdims=True) ** 2
    found["classifier.weight"] = towards.astype(np.float32)
    found["classifier.bias"] = (-towards @ middle).astype(np.float32)
    return found


LABELS = [f"class {i}" for i in range(CLASSES)]


@pytest.fixture(scope="module")
def report(data, arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("out") / "net.int8.onnx"
    return zoo.quantize(
        SPEC, path, calibration=data / "seen", evaluate=data / "others", weights=arrays,
        labels=LABELS,
    )  # fmt: skip


@pytest.mark.exhaustive
def test_what_it_costs_is_reported(data, arrays, report):
    print(report)
    path, costs = report.path, report.costs
    assert costs.float32_accuracy.top1 > 0.85
    assert costs.int8_accuracy.top1 > 0.85
    assert report.cost_top1 == pytest.approx(
        100 * (costs.float32_accuracy.top1 - costs.int8_accuracy.top1)
    )
    assert costs.agreement.top1 > 0.9
    assert costs.agreement.top5 > 0.8
    assert 0.01 < costs.agreement.relative_l2 < 0.3
    assert costs.agreement.cosine > 0.97
    assert report.expected_error <= mixed_precision.TOLERANCE
    assert costs.int8_bytes == path.stat().st_size < costs.float32_bytes / 2
    assert min(costs.latency.int8, costs.latency.float32, costs.latency.speed) > 0
    assert (report.calibration_images, report.evaluation_images, report.held_out) == (30, 30, True)

    told = json.loads(report.to_json())
    assert told["costs"]["agreement"]["top1"] == costs.agreement.top1
    assert told["cost_top1"] == report.cost_top1
    lines = str(report).splitlines()
    assert lines[0] == f"{path}: {report.model} of 8 bits, minmax over 30 images of {data / 'seen'}"
    assert lines[2] == f"measured on 30 images of {data / 'others'}:"
    assert "  top-1  " in str(report)

    # The file: what was measured, with the float32 file's metadata and its own.
    file = zoo.open_exported(path)
    assert file.labels == LABELS
    assert file.mean == [0.485, 0.456, 0.406]
    assert file.std == [0.229, 0.224, 0.225]
    assert zoo.spec_from_json(file.metadata["zoo.spec"]) == SPEC
    settings = json.loads(file.metadata["zoo.quantization"])
    assert settings["method"] == "minmax"
    assert settings["float32"] == list(report.float32_units)
    assert settings["preprocessing"]["crop"] == SIZE
    assert {key for key in file.metadata if not key.startswith("zoo.")} == set()
    how = for_size(PRESETS["imagenet"], SIZE)
    images = normalize(find_pictures(data / "others").pixels(how), how)
    exact = zoo.create(SPEC, backend="numpy", weights=arrays)(images)
    assert relative_l2(file(images), exact) == pytest.approx(costs.agreement.relative_l2, rel=1e-3)


@pytest.mark.exhaustive
def test_images_of_another_range_cost_accuracy(data, arrays, tmp_path):
    """The negative control: ranges that are too small cut the values off."""
    report = zoo.quantize(
        SPEC, tmp_path / "dark.onnx", calibration=data / "dark", evaluate=data / "others",
        weights=arrays, exclude=(),
    )  # fmt: skip
    print(report)
    assert report.costs.agreement.top1 < 0.8
    assert report.costs.agreement.relative_l2 > 0.3
    assert report.cost_top1 > 10
    assert report.float32_units == ()
    assert report.expected_error is None


def test_the_calibrations_images_are_measured_on_where_there_are_no_others(data, tmp_path):
    path = tmp_path / "net.onnx"
    flat = tmp_path / "flat"
    flat.mkdir()
    for i, name in enumerate(find_pictures(data / "seen").files):
        shutil.copy(data / "seen" / name, flat / f"{i}.jpg")
    model = zoo.create("shufflenet_v2_0.5x", backend="torch", image_size=SIZE)  # a live one
    report = zoo.quantize(
        model, path, calibration=flat, max_images=5, exclude=["stem", "stage2.0"],
        method="percentile", per_channel=False,
    )  # fmt: skip
    assert (report.calibration_images, report.held_out) == (5, False)
    assert f"5 images of {flat}, on which it was calibrated too" in str(report)
    assert report.costs.int8_accuracy is report.cost_top1 is None
    assert report.notes[0] == "no accuracy: the images are in no folders that tell their classes"
    assert "on x86 without it" in report.notes[1]
    assert report.float32_units == ("stem", "stage2.0")
    assert 0.1 < report.float32_share < 0.5
    # Excluded: no node there has filters of 8 bits. The logits are never quantized.
    import onnx

    graph = onnx.load(path).graph
    kept = {entry.name for entry in graph.initializer if entry.data_type == onnx.TensorProto.FLOAT}
    assert "stem.bn.weight" in kept
    assert "stage3.0.shortcut.pointwise.bn.weight" not in kept
    assert graph.output[0].name == graph.node[-1].output[0] == "classifier"
    assert graph.node[-1].op_type == "Gemm"


@pytest.mark.exhaustive
def test_what_8_bits_hurt_stays_in_float32(data, arrays, report, tmp_path):
    """One channel a thousand times the others, undone behind: the same function, and no range."""
    skewed = {name: array.copy() for name, array in arrays.items()}
    for role in ("weight", "bias"):
        skewed[f"stage3.2.compress.bn.{role}"][0] *= 1000
    skewed["stage3.2.depthwise.conv.weight"][0] /= 1000
    skewed_report = zoo.quantize(
        SPEC, tmp_path / "net.onnx", calibration=data / "seen", evaluate=data / "others",
        weights=skewed,
    )  # fmt: skip
    print(report, skewed_report, sep="\n")
    assert "stage3.2" not in report.float32_units
    assert "stage3.2" in skewed_report.float32_units
    assert skewed_report.costs.agreement.relative_l2 < 0.3
    everything = zoo.quantize(
        SPEC, tmp_path / "all.onnx", calibration=data / "seen", evaluate=data / "others",
        weights=skewed, exclude=(),
    )  # fmt: skip
    assert everything.costs.agreement.relative_l2 > 2 * skewed_report.costs.agreement.relative_l2


def test_pads_join_the_pools_that_read_them(tmp_path, rng):
    """Run-times do so in float32, not between 8-bit nodes."""
    engine, spec = backends.load("onnx"), zoo.spec("shufflenet_v1_0.5x_g3", image_size=SIZE)
    path = tmp_path / "net.onnx"
    zoo.export(spec, path, weights=weights.randomize(spec.graph), optimize=True)
    x = rng.standard_normal((2, 3, SIZE, SIZE)).astype(np.float32)
    written = engine.Calibrated(path, [x]).quantize()
    pools = [node for node in written.graph.node if node.op_type == "AveragePool"]
    assert [node.op_type for node in written.graph.node].count("Pad") == 0
    assert [(a.i, list(a.ints)) for p in pools for a in p.attribute if a.name == "pads"] == [
        (0, [1, 1, 1, 1])
    ] * 3
    exact, found = zoo.open_exported(path)(x), engine.Runner(written)(x)
    assert 0 < np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


@pytest.mark.sweep(quick=["minmax"])
@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
def test_it_is_what_onnx_runtimes_tool_writes(method, tmp_path, rng):
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    engine = backends.load("onnx")
    source, theirs = tmp_path / "net.onnx", tmp_path / "theirs.onnx"
    zoo.export("shufflenet_v2_0.5x", source, optimize=True, image_size=32)
    images = rng.standard_normal((4, 3, 32, 32), np.float32)

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = [{"input": images}]

        def get_next(self):
            return self.left.pop() if self.left else None

    quantize_static(
        source, theirs, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        calibrate_method=engine.METHODS[method],
        extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},
    )  # fmt: skip
    ours = engine.Calibrated(source, [images], method).quantize()
    assert ours.graph == onnx.load(theirs).graph


# What is refused: arguments → the error. Nothing is written by any of them.
REFUSED = [
    (dict(calibration="missing"), "missing: no such folder"),
    (dict(calibration="table.csv"), "table.csv: is a file, not a folder"),
    (dict(calibration="empty"), "empty: there are no images in it (.bmp, .gif, .jpeg, .jpg, .pgm"),
    (dict(calibration="text"), "text/a/1.jpg: cannot be read as an image: its format is not"),
    (dict(calibration="cut"), "cut/1.jpg: cannot be read as an image: image file is truncated"),
    (dict(calibration="deep"), "deep/1.png: cannot be read as an image: mode (=I;16) must"),
    (dict(calibration="strip"), "strip/1.png: sides (=300 and 2 pixels) must be at most 50 to 1"),
    (dict(evaluate="missing"), "missing: no such folder"),
    (dict(evaluate="cut"), "cut/1.jpg: cannot be read as an image: image file is truncated"),
    (dict(truth="missing.csv"), "missing.csv: cannot be read: [Errno 2] No such file or"),
    (dict(truth="words.csv"), "words.csv: must be CSV with the columns file and index, a whole"),
    (dict(truth="table.csv"), "table.csv: has no line for class 0/0.jpg"),
    (dict(truth="high.csv", evaluate="one"), "high.csv: index (=10) must be from 0 to 9"),
    (dict(method="kl"), "unknown method 'kl'; known: entropy, minmax, percentile"),
    (dict(activations="int4"), "unknown activations 'int4'; did you mean 'int8' or 'uint8'?"),
    (dict(preprocessing="megvi"), "unknown preprocessing 'megvi'; did you mean 'megvii'?"),
    (dict(max_images=0), "max_images (=0) must be at least 1"),
    (dict(tolerance=0), "tolerance (=0) must be greater than 0"),
    (dict(exclude=["stage2.4"]), "unknown node 'stage2.4'; did you mean 'stage"),
    (dict(exclude=["stem", "stage2", "stage3", "stage4", "last", "pool", "flatten", "classifier"]),
     "exclude (=['stem', 'stage2', 'stage3', 'stage4', 'last', 'pool', 'flatten', 'classifier']) "),
    (dict(path="net.pth"), "net.pth: the suffix must be .onnx"),
    (dict(path="empty/x/net.onnx"), "empty/x/net.onnx: the folder empty/x does not exist"),
    (dict(path="old.onnx"), "old.onnx: exists and is kept; force=True (--force) replaces it"),
    (dict(weights="missing.pth"), "missing.pth: no such file, and no published weights ("),
    (dict(labels=["cat"]), "labels (=1) must be 10, one a class"),
    (dict(image_size=SIZE, in_channels=1), "in_channels (=1) must be 3: images are read in color"),
    (dict(num_clases=3), "unknown shufflenet_v2 override 'num_clases'; did you mean 'num_classes'"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "message"), REFUSED)
def test_what_is_refused(changed, message, data, arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = (data / "seen" / "class 0" / "0.jpg").read_bytes()
    Path("empty").mkdir()
    Path("text/a").mkdir(parents=True)
    Path("text/a/1.jpg").write_text("no image")
    for folder, contents in (("cut", whole[:-500]), ("one", whole)):
        Path(folder).mkdir()
        Path(folder, "1.jpg").write_bytes(contents)
    for folder, picture in (
        ("deep", Image.new("I;16", (9, 9))),
        ("strip", Image.new("L", (300, 2))),
    ):
        Path(folder).mkdir()
        picture.save(Path(folder, "1.png"))
    Path("table.csv").write_text("file,index\n1.jpg,3\n")
    Path("words.csv").write_text("file,index\n1.jpg,three\n")
    Path("high.csv").write_text("file,index\n1.jpg,10\n")
    Path("old.onnx").write_text("old")
    before = sorted(Path().rglob("*"))
    asked = dict(path="net.onnx", calibration=data / "seen", weights=arrays, exclude=()) | changed
    with pytest.raises(zoo.ZooError) as error:
        zoo.quantize(SPEC, asked.pop("path"), **asked)
    assert str(error.value).startswith(message)
    assert sorted(Path().rglob("*")) == before
    assert Path("old.onnx").read_text() == "old"


@pytest.mark.sweep(quick=["measuring"])
@pytest.mark.parametrize("where", ["calibrating", "measuring", "writing"])
def test_a_failure_in_the_middle_leaves_the_old_file(where, data, arrays, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    engine = backends.load("onnx")
    where, name = {
        "calibrating": (engine.Calibrated, "quantize"),
        "measuring": (quantize, "compare"),
        "writing": (os, "fsync"),
    }[where]
    path = tmp_path / "net.onnx"
    path.write_text("old")
    with monkeypatch.context() as patch:
        # The float32 network's own file, in a temporary folder, is written before.
        patch.setattr(quantize, "export", _exported(quantize.export, patch, where, name, fail))
        with pytest.raises((OSError, zoo.ZooError), match="No space left on device"):
            zoo.quantize(
                SPEC, path, calibration=data / "seen", weights=arrays, force=True, exclude=()
            )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def _exported(export, patch, where, name, fail):
    def run(*args, **kwargs):
        done = export(*args, **kwargs)
        patch.setattr(where, name, fail)
        return done

    return run


def test_the_command(data, arrays, tmp_path, monkeypatch, capsys):
    file, out = tmp_path / "net.safetensors", tmp_path / "net.int8.onnx"
    weights.save_weights(file, SPEC, arrays)
    command = [
        "zoo", "quantize", "shufflenet_v2_0.5x", "--weights", str(file), "--calibration",
        str(data / "seen"), "--out", str(out), "--image-size", str(SIZE), "--exclude", "none",
        "--preprocessing", "megvii", "--mean", "0.5,0.5,0.5", "--rgb", "--max-images", "4",
        "--json", str(tmp_path / "report.json"),
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as done:
        cli.main()
    shown = capsys.readouterr().out
    assert not done.value.code, shown
    assert "left in float32: nothing (0% of the multiply-adds)" in shown
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["settings"]["preprocessing"] == {
        "mean": [0.5, 0.5, 0.5], "std": [1.0, 1.0, 1.0], "channel_order": "RGB",
        "value_range": 255.0, "resize": 73, "crop": 64, "interpolation": "bilinear",
    }  # fmt: skip
    assert zoo.open_exported(out).std == [1 / 255] * 3
    for option, message in (
        (["--std", "1,2"], "zoo: std (=[1.0, 2.0]) must be 3 numbers, one a color"),
        (["--mean", "x"], "zoo: --mean: 'x' must be numbers, comma-separated"),
        (["--json", "report.txt"], "zoo: report.txt: the suffix must be .json"),
        ([], f"zoo: {out}: exists and is kept; force=True (--force) replaces it"),
    ):
        monkeypatch.setattr(sys, "argv", [*command[:-2], *option])
        with pytest.raises(SystemExit) as done:
            cli.main()
        assert done.value.code == 2
        assert capsys.readouterr().err.strip().splitlines()[-1] == message


def test_pictures_are_found(tmp_path):
    for name in ("b/2.PNG", "b/10.png", "a.jpg", ".hidden/1.jpg", "b/._2.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name, format="png")
    found = find_pictures(tmp_path)
    assert found.files == ("a.jpg", "b/10.png", "b/2.PNG")  # the bytes say which format it is
    assert find_pictures(tmp_path, 2).files == ("a.jpg", "b/10.png")
    assert find_pictures(tmp_path, 9).files == found.files
    assert found.pixels(for_size(MEGVII, 8)).shape == (3, 8, 8, 3)


def test_classes_of_pictures(tmp_path):
    for name in ("7/1.png", "7/2.png", "10/x/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    found = find_pictures(tmp_path)
    assert found.files == ("10/x/3.png", "7/1.png", "7/2.png")
    assert folder_classes(found, 1000) == ([10, 7, 7], "")
    assert folder_classes(found, 2) == ([0, 1, 1], "")
    assert folder_classes(found, 3, ["7", "8", "10"]) == ([2, 0, 0], "")
    assert folder_classes(found, 9) == (
        None, "which of 9 classes the 2 folders are is not known"
    )  # fmt: skip
    table = tmp_path / "tables" / "truth.csv"
    table.parent.mkdir()
    table.write_text("file,index,name\n../7/1.png,4,cat\n7/2.png,5,dog\n10/x/3.png,6,cow\nz,1,\n")
    assert read_truth(table, found) == [6, 4, 5]


@pytest.mark.parametrize("size", [(300, 257), (90, 200), (256, 341), (224, 224)])
def test_pictures_are_prepared_as_torchvision_does(size, tmp_path, rng):
    from torchvision import transforms

    path = tmp_path / "1.png"
    Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(path)
    how = PRESETS["imagenet"]
    steps = [
        transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
        transforms.Normalize(how.mean, how.std),
    ]  # fmt: skip
    expected = transforms.Compose(steps)(Image.open(path)).numpy()
    pixels = pictures_at([path]).pixels(how)
    assert np.allclose(normalize(pixels, how)[0], expected, atol=1e-6)
    bgr = normalize(pixels, MEGVII)[0]
    assert np.array_equal(bgr, pixels[0, ..., ::-1].transpose(2, 0, 1))


def test_published_weights_bring_their_preprocessing():
    from weights import pretrained

    name, tag = "shufflenet_v2_1.5x", "torchvision/imagenet1k"
    published = pretrained.find(name, tag).preprocessing
    assert published.resize == 232
    assert quantize._preprocessing(name, tag, None, {}) == published
    half = quantize._preprocessing(name, tag, None, {"image_size": 112})
    assert (half.resize, half.crop) == (116, 112)
    assert quantize._preprocessing(name, tag, MEGVII, {}) == MEGVII
    assert quantize._preprocessing(name, None, None, {}) == PRESETS["imagenet"]


@pytest.mark.exhaustive
def test_megvii_on_real_photographs(tmp_path):
    """Calibrated on 50 photographs, measured on the other 50, and the other way round."""
    if not os.environ.get("ZOO_DATA"):
        pytest.skip("not run: ZOO_DATA names no folder with the weights and photographs")
    data = Path(os.environ["ZOO_DATA"])
    with zipfile.ZipFile(data / "imagenet_samples_100.zip") as archive:
        archive.extractall(tmp_path)
    table = next(tmp_path.rglob("labels.csv"))
    halves = {}
    for i, name in enumerate(find_pictures(tmp_path).files):
        folder = table.parent / f"half {i % 2}"
        folder.mkdir(exist_ok=True)
        shutil.move(tmp_path / name, folder / Path(name).name)
        halves.setdefault(i % 2, folder)
    table.write_text(table.read_text().replace("images/", ""))
    right, before, same = 0.0, 0.0, 0.0
    for seen, others in ((0, 1), (1, 0)):
        report = zoo.quantize(
            "shufflenet_v1_0.5x_g3", tmp_path / f"{seen}.onnx", calibration=halves[seen],
            evaluate=halves[others], truth=table, preprocessing="megvii",
            weights=data / "weights" / "megvii_shufflenet_v1_0.5x_g3.pth.tar",
        )  # fmt: skip
        print(report)
        before += 50 * report.costs.float32_accuracy.top1
        right += 50 * report.costs.int8_accuracy.top1
        same += 50 * report.costs.agreement.top1
        assert report.costs.agreement.relative_l2 < 0.11
        assert report.float32_share < 0.4
    print(f"float32 {before:.0f} right, int8 {right:.0f}, the same class for {same:.0f} of 100")
    assert round(before) == 63
    assert right >= 60
    assert same >= 92


VNNI, WITHOUT = "fpu avx avx2 avx512f avx512_vnni", "fpu avx avx2 avx512f"


@pytest.mark.parametrize(
    ("flags", "exact"), [(WITHOUT, True), (VNNI, False), ("avx2 avx_vnni", False)]
)
def test_processors_whose_sums_are_cut_off_get_exact_kernels(flags, exact, monkeypatch):
    import onnxruntime

    from backends.onnx import engine
    from zoo import machine

    machine.saturates.cache_clear()
    monkeypatch.setattr(machine, "flags", flags.split)
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")
    seen = []
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda m, options, **_: seen.append(options)
    )
    try:
        engine.session(b"")
        monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
        machine.saturates.cache_clear()
        engine.session(b"")
    finally:
        machine.saturates.cache_clear()
    assert [asks_for_exact(options) for options in seen] == [exact, False]


def asks_for_exact(options):
    try:
        return options.get_session_config_entry("session.x64quantprecision") == "1"
    except RuntimeError:  # there is no such entry
        return False
