"""From file to file: what is found, what is converted, what is refused, and what is left alone."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import BACKENDS, examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_dialects import DIALECTS, IDS, V1, V2, specs

import zoo
from weights import adapt, initialize, load_weights, randomize, save_weights
from weights.dialects import Dialect
from weights.dialects.dialect import layer_patterns
from weights.formats import FORMATS
from weights.pretrained import list_pretrained
from zoo.proof.measure import relative_maximum

MODEL = "shufflenet_v1_0.5x_g3"
SUFFIXES = {name: entry.suffixes[0] for name, entry in FORMATS.items()}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def small(dialect, **overrides):
    """Return a small network in the conventions of a dialect."""
    if dialect.family == "shufflenet_v1":
        fields = dict(
            stem_channels=12, stage_channels=(24, 48), stage_repeats=(2, 1), num_classes=5,
            image_size=32, conventions=dialect.conventions or "paper",
        )  # fmt: skip
        return zoo.spec("shufflenet_v1_1.0x_g3", **(fields | overrides))
    fields = dict(
        stem_channels=(6,), stage_channels=(20, 40), stage_repeats=(2, 1), stage_strides=(2, 2),
        last_channels=8, num_classes=5, image_size=32,
        conventions=dialect.conventions or "torchvision",
    )  # fmt: skip
    return zoo.spec("shufflenet_v2_1.0x", **(fields | overrides))


@pytest.fixture
def theirs(tmp_path):
    """A file in megvii's names, made by PyTorch, with what training scripts put beside."""
    spec = zoo.spec(MODEL, num_classes=10)
    arrays = V1["megvii"].write(spec.graph, randomize(spec.graph, 3))
    state = {f"module.{name}": torch.from_numpy(array) for name, array in arrays.items()}
    state["module.first_conv.1.num_batches_tracked"] = torch.tensor(9)
    path = tmp_path / "theirs.pth.tar"
    torch.save({"state_dict": state, "epoch": 3, "ema_state_dict": state}, path)
    return path


@pytest.mark.sweep(quick=["*_v1-torch", "megvii-*", "torchvision-*-mindspore", "zoo-*"])
@pytest.mark.parametrize("to_format", SUFFIXES)
@pytest.mark.parametrize("key", DIALECTS, ids=IDS)
def test_a_written_file_says_what_it_holds(to_format, key, tmp_path):
    dialect = DIALECTS[key]
    spec = small(dialect)
    weights = randomize(spec.graph, 1)
    path = tmp_path / f"file{SUFFIXES[to_format]}"
    save_weights(path, spec, weights, dialect=dialect.name)
    found = load_weights(path)
    assert (found.format, found.dialect, found.spec) == (to_format, dialect.name, spec)
    assert found.notes == ()
    assert list(found) == list(weights)
    assert all(np.array_equal(found[name], array) for name, array in weights.items())


@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_there_and_back_gives_the_same_bytes(data, tmp_path_factory):
    """A → B → A for every pair of formats and of a family's dialects, over drawn networks."""
    folder = tmp_path_factory.mktemp("there_and_back")
    family = data.draw(st.sampled_from([V1, V2]))
    first, second = (family[data.draw(st.sampled_from(sorted(family)))] for _ in range(2))
    spec = data.draw(specs(first))
    weights = randomize(spec.graph, data.draw(st.integers(0, 9)))
    a, b = (data.draw(st.sampled_from(sorted(SUFFIXES))) for _ in range(2))
    here, there = folder / f"a{SUFFIXES[a]}", folder / f"b{SUFFIXES[b]}"
    back = folder / f"back{SUFFIXES[a]}"
    save_weights(here, spec, weights, dialect=first.name)
    options = dict(verify=None, group_conv=data.draw(st.sampled_from(["native", "split"])))
    try:
        done = zoo.convert(here, there, to_dialect=second.name, **options)
    except (zoo.ConventionError, zoo.GraphError):  # the other split may leave a branch nothing
        assert second.conventions is not None  # our own names never refuse
        assert not there.exists()
        return
    except zoo.WeightsError:  # of V2 only ours have several stems, squeeze and excitation
        assert not set(layer_patterns(spec.graph)) <= set(dict(second.rules))
        assert not there.exists()
        return
    assert load_weights(there).spec == done.spec
    if first.conventions is None:
        zoo.convert(there, back, to_dialect=first.name, verify=None, conventions=spec.conventions)
    else:
        zoo.convert(there, back, to_dialect=first.name, verify=None)
    assert back.read_bytes() == here.read_bytes()


def round_trip(folder, first, second, spec, a="safetensors", b="npz"):
    """Convert there and back; return whether it was admitted. Weights without a bias at the end."""
    weights = randomize(spec.graph, 2)
    if "classifier.bias" in weights:
        weights["classifier.bias"][:] = 0
    here, there, back = (folder / f"{i}{SUFFIXES[f]}" for i, f in enumerate((a, b, a)))
    save_weights(here, spec, weights, dialect=first, force=True)
    try:
        zoo.convert(here, there, to_dialect=second, force=True)
    except (zoo.ConventionError, zoo.GraphError):
        return False
    told = None if DIALECTS[first, spec.family].conventions else spec.conventions
    zoo.convert(there, back, to_dialect=first, force=True, conventions=told)
    assert sha256(back) == sha256(here), (first, a, second, b)
    return True


DOUBLING = dict(stage_channels=(12, 24))
"""Channels of V2 with which both splits at stride 2 are halves, as at 0.5x."""
CLASSES = [
    # (family, channels, sets of code bases that are one function, channels in other orders;
    # of the first set are our own names: see small())
    (V1, {}, [{"megvii", "mmpretrain", "pytorchcv"}, {"mindcv", "mindspore_tutorial"}]),
    (V2, {}, [{"torchvision", "mmpretrain"}]),
    (V2, DOUBLING, [{"torchvision", "mmpretrain", "megvii", "pytorchcv"}]),
]


@pytest.mark.sweep(quick=["V2"])
@pytest.mark.parametrize(("family", "channels", "classes"), CLASSES, ids=["V1", "V2", "V2-0.5x"])
def test_every_pair_of_dialects(family, channels, classes, tmp_path):
    """Each pair there and back, verified; those that are other functions are refused."""
    for first, dialect in family.items():
        spec = small(dialect, **channels)
        for second in family:
            alike = first == second or any({first, second} <= same for same in classes)
            from_ours = dialect.conventions is None and second in classes[0]
            expected = alike or from_ours or second.startswith("zoo")
            assert round_trip(tmp_path, first, second, spec) == expected, (first, second)


def test_every_pair_of_formats(tmp_path):
    for a in SUFFIXES:
        for b in SUFFIXES:
            assert round_trip(tmp_path, "megvii", "zoo", small(V1["megvii"]), a, b)


def test_why_v2_of_other_code_bases_is_another_function(tmp_path):
    save_weights(
        tmp_path / "a.pth", small(V2["megvii"]), randomize(small(V2["megvii"]).graph),
        dialect="megvii",
    )  # fmt: skip
    reasons = {
        "torchvision": "  shuffle (='start') to 'end': stage2.1.compress.conv: reads 7 channels of "
        "relu(stage2.0.expand.bn), 3 of relu(stage2.0.shortcut.expand.bn), must read 9 channels of "
        "relu(stage2.0.expand.bn), 1 of relu(stage2.0.shortcut.expand.bn)\n"
        "  stride_2_split (='asymmetric') to 'symmetric': stage2.0.expand.conv: out_channels (=14) "
        "must be 10",
        "mindcv": "  pool_padding (='symmetric') to 'SAME_UPPER': stem.pool: padding "
        "(=(1, 1, 1, 1)) must be 'SAME_UPPER'",
    }
    for code_base, reason in reasons.items():
        with pytest.raises(zoo.ConventionError) as error:
            zoo.convert(tmp_path / "a.pth", tmp_path / "b.ckpt", to_dialect=code_base)
        assert str(error.value) == (
            f"megvii cannot become {code_base} by permuting weights:\n{reason}"
        )
    with pytest.raises(zoo.UnknownNameError, match=r"^unknown shufflenet_v2 dialect 'kuangliu'"):
        zoo.convert(tmp_path / "a.pth", tmp_path / "b.pth", to_dialect="kuangliu")
    assert not list(tmp_path.glob("b.*"))


def test_what_arrays_do_not_tell_is_in_the_file(tmp_path):
    """Strides, the residual, several stems: no code base's, and read back all the same."""
    spec = small(
        V2["zoo"],
        stem_channels=(4, 5, 6, 7),
        squeeze_excite=True,
        stage_strides=(1, 2),
        dropout=0.1,
    )
    weights = randomize(spec.graph)
    save_weights(tmp_path / "a.safetensors", spec, weights)
    assert load_weights(tmp_path / "a.safetensors").spec == spec
    done = zoo.convert(tmp_path / "a.safetensors", tmp_path / "b.ckpt", num_classes=3)
    assert load_weights(tmp_path / "b.ckpt").spec == spec.replace(num_classes=3) == done.spec
    np.savez(tmp_path / "bare.npz", **weights)
    assert load_weights(tmp_path / "bare.npz", model=spec).spec == spec.replace(
        image_size=224, dropout=0.0
    )
    with pytest.raises(zoo.WeightsError) as error:
        zoo.convert(tmp_path / "a.safetensors", tmp_path / "c.pth", to_dialect="torchvision")
    assert str(error.value) == (
        "dialect torchvision has no name for stem.0.conv: no shufflenet_v2 of its code base has "
        "such a layer"
    )
    with pytest.raises(zoo.WeightsError, match=r"residual \(=False\) must be True"):
        load_weights(tmp_path / "a.safetensors", model=spec.replace(residual=True))


def test_a_bias_is_added_as_zeros_and_left_out_only_as_zeros(tmp_path):
    spec = small(V1["mmpretrain"])
    weights = randomize(spec.graph)
    save_weights(tmp_path / "a.pth", spec, weights, dialect="mmpretrain")
    with pytest.raises(zoo.ConventionError, match=r"classifier\.bias: must be zero to be left out"):
        zoo.convert(tmp_path / "a.pth", tmp_path / "b.pth", to_dialect="megvii")


def test_a_training_checkpoint_becomes_ours(theirs, tmp_path):
    done = zoo.convert(theirs, tmp_path / "ours.ckpt")
    assert done.error == 0.0
    assert done.summary() == (
        f"{theirs}: torch file, entry 'state_dict', names of megvii\n"
        f"{MODEL}, conventions megvii, 10 classes, 3 input channels; 246 arrays, 254,364 values\n"
        "note: entry 'epoch' = 3\n"
        "note: entry 'ema_state_dict' (247 arrays, an average of the weights): not read; "
        "entry='ema_state_dict' (--entry) takes it\n"
        "note: 1 counters num_batches_tracked: not weights, not read\n"
        "note: every name begins with 'module.'\n"
        f"{tmp_path / 'ours.ckpt'}: mindspore file, names of zoo_mindspore\n"
        "verified: numpy before, numpy after, error 0.0e+00"
    )
    average = zoo.load_weights(theirs, entry="ema_state_dict")
    assert average.entry == "ema_state_dict"
    with pytest.raises(zoo.UnknownNameError, match="unknown entry 'ema_state'; did you mean 'ema_"):
        zoo.load_weights(theirs, entry="ema_state")


@pytest.mark.sweep(quick=["numpy-torch", "onnx-numpy"])
@pytest.mark.parametrize("before", BACKENDS)
@pytest.mark.parametrize("after", BACKENDS)
def test_verified_by_any_two_backends(before, after, theirs, tmp_path, graph_mode):
    path = tmp_path / "ours.ckpt"
    done = zoo.convert(theirs, path, conventions="paper", verify=(before, after))
    assert done.backends == (before, after)
    assert done.error < (1e-12 if before == after == "numpy" else 5e-6)
    assert done.error > 0  # permuted channels are summed in another order


def test_a_conversion_that_went_wrong_is_noticed(theirs, tmp_path, monkeypatch):
    path = tmp_path / "ours.ckpt"
    path.write_bytes(b"old")
    write = Dialect.write

    def swapped(dialect, graph, weights, **options):
        found = write(dialect, graph, weights, **options)
        gamma, beta = "stage2.1.expand.bn.gamma", "stage2.1.expand.bn.beta"
        return found | {gamma: found[beta], beta: found[gamma]}

    monkeypatch.setattr(Dialect, "write", swapped)
    with pytest.raises(zoo.WeightsError, match=r"stage2.1.expand.bn.weight: read back, the array"):
        zoo.convert(theirs, path, force=True)
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    # A permutation that is none: the arrays are what was meant, but the function is another.
    monkeypatch.setattr("zoo.loading.convert_conventions", lambda a, b, weights: weights)
    with pytest.raises(zoo.WeightsError, match="the converted network computes something else: er"):
        zoo.convert(theirs, path, force=True, conventions="paper")
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ours.ckpt", "theirs.pth.tar"]


def test_other_functions_are_refused_and_the_fields_named(theirs, tmp_path):
    with pytest.raises(zoo.ConventionError) as error:
        zoo.convert(theirs, tmp_path / "ours.ckpt", to_dialect="mindcv")
    assert str(error.value) == (
        "megvii cannot become mindcv by permuting weights:\n"
        "  pool_padding (='symmetric') to 'SAME_UPPER': stem.pool: padding (=(1, 1, 1, 1)) must be "
        "'SAME_UPPER'"
    )
    with pytest.raises(zoo.SpecError) as error:
        zoo.convert(theirs, tmp_path / "x.pth", to_dialect="megvii", conventions="paper")
    assert str(error.value) == (
        "conventions (='paper') must be 'megvii', those of the code base whose names dialect "
        "megvii has"
    )
    assert not (tmp_path / "x.pth").exists()


def test_nan_is_carried_over_and_reported(tmp_path):
    spec = zoo.spec(MODEL, num_classes=4)
    weights = randomize(spec.graph)
    weights["stem.bn.bias"][3] = np.nan
    weights["classifier.weight"][0, 0] = np.inf
    save_weights(tmp_path / "a.npz", spec, weights)
    done = zoo.convert(tmp_path / "a.npz", tmp_path / "b.ckpt")
    assert "2 arrays hold NaN or infinity: stem.bn.bias, classifier.weight" in done.source.notes
    assert done.error == 0.0
    assert np.isnan(zoo.load_weights(tmp_path / "b.ckpt")["stem.bn.bias"][3])


def test_other_precisions_are_told(tmp_path):
    spec = zoo.spec(MODEL, num_classes=4)
    weights = randomize(spec.graph)
    double = {name: array.astype(np.float64) for name, array in weights.items()}
    np.savez(tmp_path / "exact.npz", **double)
    assert zoo.load_weights(tmp_path / "exact.npz", model=spec).notes == ()
    double["stem.conv.weight"] = double["stem.conv.weight"] / 3
    np.savez(tmp_path / "rounded.npz", **double)
    found = zoo.load_weights(tmp_path / "rounded.npz", model=spec)
    assert found.notes == ("1 arrays were rounded to float32: stem.conv.weight",)
    whole = {name: array.astype(np.int32) for name, array in weights.items()}
    np.savez(tmp_path / "whole.npz", **whole)
    with pytest.raises(zoo.WeightsError, match=r"dtype int32 must be a floating-point one"):
        zoo.load_weights(tmp_path / "whole.npz", model=spec)


# ---------------------------------------------------------------------------------------------
# Bad input


def test_sources_that_can_not_be_read(tmp_path, theirs):
    empty, junk, folder = tmp_path / "empty.pth", tmp_path / "junk.ckpt", tmp_path / "folder.ckpt"
    empty.touch()
    junk.write_bytes(b"not weights at all")
    folder.mkdir()
    cut = tmp_path / "cut.pth"
    cut.write_bytes(theirs.read_bytes()[:-3000])
    tags = ", ".join(sorted({entry.tag for entry in list_pretrained()})[:8])
    for path, text in {
        tmp_path / "missing.ckpt": f"no such file, and no published weights ({tags}, …)",
        empty: "the file is empty",
        folder: "is a folder, not a file",
        junk: "of no known format (safetensors, torch, mindspore, onnx, npz); it starts with "
              "b'not weig'",
    }.items():  # fmt: skip
        with pytest.raises(zoo.WeightsError) as error:
            zoo.convert(path, tmp_path / "out.ckpt")
        assert str(error.value) == f"{path}: {text}"
    with pytest.raises(zoo.WeightsError, match=r"cut.pth: "):
        zoo.convert(cut, tmp_path / "out.ckpt")
    assert not (tmp_path / "out.ckpt").exists()


def test_a_file_of_another_network(theirs, tmp_path):
    other = "shufflenet_v1_1.0x_g3"
    for call in (
        lambda: zoo.load_weights(theirs, model=other),
        lambda: zoo.convert(theirs, tmp_path / "x.ckpt", model=other),
        lambda: zoo.create(other, backend="numpy", weights=theirs),
    ):
        with pytest.raises(zoo.WeightsError) as error:
            call()
        assert str(error.value) == (
            f"{theirs}: holds shufflenet_v1_0.5x_g3, not {other}: stem_channels (=12) must be 24, "
            "stage_channels (=(120, 240, 480)) must be (240, 480, 960)"
        )
    with pytest.raises(zoo.WeightsError) as error:
        zoo.load_weights(theirs, model="shufflenet_v2_1.0x")
    assert str(error.value) == (
        f"{theirs}: holds shufflenet_v1_0.5x_g3, not shufflenet_v2_1.0x: another family"
    )


def test_destinations_are_kept(theirs, tmp_path):
    path = tmp_path / "old.ckpt"
    path.write_bytes(b"old")
    for bad, text in {
        path: f"{path}: exists and is kept; force=True (--force) replaces it",
        tmp_path: f"{tmp_path}: the suffix must be one of .safetensors, .zoo, ",
        tmp_path / "no" / "x.pth": f"{tmp_path / 'no' / 'x.pth'}: the folder {tmp_path / 'no'} ",
        tmp_path / "x.h5": f"{tmp_path / 'x.h5'}: the suffix must be one of .safetensors, .zoo, ",
    }.items():
        with pytest.raises((zoo.OutputError, zoo.WeightsError)) as error:
            zoo.convert(theirs, bad)
        assert str(error.value).startswith(text)
    assert path.read_bytes() == b"old"
    zoo.convert(theirs, path, force=True)
    assert zoo.load_weights(path).model == MODEL
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask()
    # In place: the source is read before its place is taken.
    before = zoo.load_weights(theirs)
    zoo.convert(theirs, theirs, to_dialect="megvii", force=True)
    after = zoo.load_weights(theirs)
    assert all(np.array_equal(after[n], a) for n, a in before.items())


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_full_disk_leaves_the_old_file(theirs, tmp_path):
    """The limit on the size of files stands for the end of the disk."""
    path = tmp_path / "old.ckpt"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys, zoo\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "zoo.convert(*sys.argv[1:], force=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, theirs, path], capture_output=True, text=True, check=False
    )
    assert f"OutputError: {path}: cannot be written: File too large" in done.stderr
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.ckpt", "theirs.pth.tar"]


def test_metadata_that_lies(tmp_path):
    from weights import formats
    from weights.stated import metadata

    spec, other = zoo.spec(MODEL), zoo.spec(MODEL, conventions="pytorchcv")
    arrays = randomize(spec.graph)
    path = tmp_path / "lie.safetensors"
    formats.write(path, arrays, metadata(other, "zoo"))
    with pytest.raises(zoo.WeightsError, match=r"the file.s metadata says .* its arrays are "):
        zoo.load_weights(path)
    for change, text in (
        ({"zoo.spec_sha256": "0" * 64}, "the spec in the file's metadata is damaged: its sha256 "),
        ({"zoo.spec": "{}"}, "the spec in the file's metadata cannot be read: not the JSON of a "),
    ):
        formats.write(path, arrays, metadata(spec, "zoo") | change, force=True)
        with pytest.raises(zoo.WeightsError, match=text):
            zoo.load_weights(path)


def test_a_spec_with_more_units_than_arrays_is_not_expanded(tmp_path, monkeypatch):
    """A file of a few bytes may ask for a network of a thousand units."""
    from weights import formats

    spec = zoo.spec(MODEL)
    asked = dataclasses.replace(spec, stage_repeats=(1, 998, 1))
    path = tmp_path / "small.safetensors"
    monkeypatch.setattr(type(spec), "expand", lambda self: pytest.fail("it is expanded"))
    written = {"zoo.spec": asked.to_json(), "zoo.spec_sha256": asked.sha256}
    formats.write(path, {"stem.conv.weight": np.ones((24, 3, 3, 3), np.float32)}, written)
    with pytest.raises(zoo.WeightsError) as error:
        zoo.load_weights(path)
    assert str(error.value) == (
        f"{path}: the spec in the file's metadata cannot be read: units (=1000) must be at most 1, "
        "the number of arrays"
    )


# ---------------------------------------------------------------------------------------------
# Models from files


@pytest.mark.sweep(quick=["numpy", "torch", "onnx"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_takes_the_conventions_of_its_weights(backend, tmp_path, rng, graph_mode):
    spec = zoo.spec(MODEL, conventions="mindcv", num_classes=6)
    weights = randomize(spec.graph, 5)
    path = tmp_path / "theirs.ckpt"
    save_weights(path, spec, weights, dialect="mindcv")
    expected = zoo.create(spec, backend="numpy", weights=weights)
    x = rng.standard_normal((2, 3, 64, 64)).astype(np.float32)
    for model in (
        zoo.create(MODEL, backend=backend, weights=path),  # the catalog says megvii, 1000 classes
        zoo.create(MODEL, backend=backend, weights=zoo.load_weights(path), group_conv="split"),
        zoo.load(path, backend=backend),
    ):
        (found,) = zoo.models.backends.load(backend).predict(model, x)
        assert relative_maximum(found, expected(x)) < 5e-6
    with pytest.raises(zoo.ConventionError, match=r"pool_padding \(='SAME_UPPER'\) to 'symmetric'"):
        zoo.create(MODEL, backend=backend, weights=path, conventions="megvii")
    with pytest.raises(zoo.ConventionError, match="pool_padding"):
        zoo.create(zoo.spec(MODEL), backend=backend, weights=path)  # a spec states everything


def test_other_conventions_on_request(theirs, rng):
    x = rng.standard_normal((1, 3, 64, 64))
    expected = zoo.create(MODEL, backend="numpy", weights=theirs)(x)
    found = zoo.create(MODEL, backend="numpy", weights=theirs, conventions="paper")
    assert relative_maximum(found(x), expected) < 1e-12
    wrong = zoo.create(zoo.spec(MODEL, num_classes=10, conventions="paper"), backend="numpy")
    zoo.set_weights(wrong, zoo.load_weights(theirs))  # verbatim, as load_state_dict would
    assert relative_maximum(wrong(x), expected) > 1e-3


@pytest.mark.sweep(quick=[".ckpt-*", "*-numpy"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("suffix", SUFFIXES.values())
def test_our_own_file_is_enough(backend, suffix, tmp_path, rng):
    spec = zoo.spec(MODEL, conventions="paper", shuffle_order="ng", num_classes=4, image_size=96)
    model = zoo.create(spec, backend=backend, weights=randomize(spec.graph, 2), group_conv="split")
    path = tmp_path / f"own{suffix}"
    zoo.save(model, path)
    first = sha256(path)
    again = zoo.load(path, backend="numpy")
    assert again.graph.origin == spec
    assert again.graph == spec.graph
    zoo.save(again, path, force=True)
    assert sha256(path) == first
    weights = zoo.get_weights(model)
    assert all(np.array_equal(weights[n], a) for n, a in zoo.get_weights(again).items())


def test_what_can_not_be_saved(tmp_path):
    part = zoo.create(MODEL, backend="numpy", outputs=["stage2"])
    with pytest.raises(zoo.WeightsError) as error:
        zoo.save(part, tmp_path / "part.safetensors")
    assert str(error.value) == (
        "the model is a part of a network (outputs=) or a form for inference (optimize=), which no "
        "file of weights describes"
    )
    with pytest.raises(zoo.WeightsError, match=r"was not made by zoo\.create"):
        zoo.save(torch.nn.ReLU(), tmp_path / "relu.safetensors")
    with pytest.raises(zoo.WeightsError, match=r"no such file, and no published weights \(mindcv/"):
        zoo.create(MODEL, backend="numpy", weights=tmp_path / "missing.pth")


def test_a_state_dict_of_ours_needs_the_name(tmp_path, rng):
    """Files that PyTorch wrote carry no spec: the name or spec given with them settles it."""
    spec = zoo.spec(MODEL, conventions="mindcv")
    model = zoo.create(spec, backend="torch", weights=randomize(spec.graph))
    torch.save(model.state_dict(), tmp_path / "state.pth")
    with pytest.raises(zoo.WeightsError, match="whose names do not tell the conventions; say whi"):
        zoo.load(tmp_path / "state.pth")
    found = zoo.create(MODEL, weights=tmp_path / "state.pth", conventions="mindcv")
    assert found.zoo_graph == spec.graph
    assert zoo.load_weights(tmp_path / "state.pth", conventions="mindcv").spec == spec


# ---------------------------------------------------------------------------------------------
# Another head, another input


def test_heads_and_inputs_are_adapted_on_request(theirs, rng):
    pretrained = zoo.load_weights(theirs)
    with pytest.raises(zoo.WeightsError) as error:
        zoo.create(MODEL, backend="numpy", weights=theirs, num_classes=7, in_channels=1)
    assert str(error.value) == (
        f"{theirs}: num_classes (=10) must be 7 and in_channels (=3) must be 1; adapt=True starts "
        "a new classifier from the seed and fits the first convolution to the channels"
    )
    gray = zoo.create(
        MODEL, backend="numpy", weights=theirs, num_classes=7, in_channels=1, adapt=True, seed=4,
        outputs="stage4",
    )  # fmt: skip
    color = zoo.create(MODEL, backend="numpy", weights=theirs, outputs="stage4")
    x = rng.standard_normal((1, 1, 64, 64))
    assert relative_maximum(gray(x), color(np.repeat(x, 3, axis=1))) < 1e-6
    spec = zoo.spec(MODEL, num_classes=7)
    found, notes = adapt(pretrained, pretrained.spec.graph, spec.graph, seed=4)
    fresh = initialize(spec.graph, 4)
    assert np.array_equal(found["classifier.weight"], fresh["classifier.weight"])
    assert notes == ("classifier: 10 classes became 7, newly initialized from seed 4",)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 7])
def test_channels_are_adapted_as_timm_does(channels):
    """timm.models._manipulate.adapt_input_conv: sum for one, else repeat, cut, times 3 / n."""
    source = zoo.spec(MODEL, num_classes=5)
    target = source.replace(in_channels=channels)
    weights = randomize(source.graph, 1)
    found, notes = adapt(weights, source.graph, target.graph)
    three = torch.from_numpy(weights["stem.conv.weight"])
    expected = three if channels == 3 else (
        three.sum(1, keepdim=True) if channels == 1
        else three.repeat(1, -(-channels // 3), 1, 1)[:, :channels] * (3 / channels)
    )  # fmt: skip
    np.testing.assert_allclose(found["stem.conv.weight"], expected.numpy(), rtol=3e-7, atol=1e-7)
    assert len(notes) == (channels != 3)


def test_what_can_not_be_adapted():
    source = zoo.spec(MODEL, in_channels=4)
    weights = randomize(source.graph)
    with pytest.raises(zoo.WeightsError) as error:
        adapt(weights, source.graph, zoo.spec(MODEL, in_channels=2).graph)
    assert str(error.value) == "stem.conv.weight: in_channels (=4) must be 3 to become 2"
    with pytest.raises(zoo.WeightsError) as error:
        adapt(weights, source.graph, zoo.spec("shufflenet_v1_1.0x_g3").graph)
    assert str(error.value).startswith(
        "only the classifier and the convolution that reads the image can be adapted; the networks "
        "also differ in stem.conv, stem.bn, stage2.0.compress.conv, "
    )


def test_published_weights_by_name(tmp_path, monkeypatch):
    """The whole way from a name to a network, with a file of the test's own in the cache."""
    import dataclasses

    from weights import pretrained
    from weights.pretrained import catalog

    spec = zoo.spec(MODEL, conventions="mindcv")
    weights = randomize(spec.graph, 8)
    save_weights(tmp_path / "file.ckpt", spec, weights, dialect="mindcv")
    entry = dataclasses.replace(
        pretrained.find(MODEL, "mindcv/imagenet1k"), sha256=sha256(tmp_path / "file.ckpt")[:8]
    )
    monkeypatch.setitem(catalog._INDEX, MODEL, {entry.tag: entry})
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(zoo.WeightsError, match="ZOO_OFFLINE"):
        zoo.create(MODEL, backend="numpy", weights="mindcv/imagenet1k")
    original = pretrained.cache_path(entry)
    original.parent.mkdir(parents=True)
    (tmp_path / "file.ckpt").rename(original)
    model = zoo.create(MODEL, backend="numpy", weights="mindcv/imagenet1k")
    assert model.graph == spec.graph
    found = zoo.get_weights(model)
    assert all(np.array_equal(found[n], a) for n, a in weights.items())
    original.unlink()  # converted on first use: the original is no longer asked for
    model = zoo.create(MODEL, backend="numpy", weights="mindcv/imagenet1k")
    found = zoo.get_weights(model)
    assert all(np.array_equal(found[n], a) for n, a in weights.items())
    with pytest.raises(zoo.UnknownNameError, match="no weights are published for 'shufflenet_v1_2"):
        zoo.create("shufflenet_v1_2.0x_g3", backend="numpy", weights="mindcv/imagenet1k")
    converted = original.with_name(f"{original.stem}-zoo.safetensors")
    converted.write_bytes(converted.read_bytes()[:1000])  # a damaged one is made again
    with pytest.raises(zoo.WeightsError, match="ZOO_OFFLINE"):
        zoo.create(MODEL, backend="numpy", weights="mindcv/imagenet1k")


def test_conversion_needs_no_framework(theirs, tmp_path):
    code = (
        "import sys, zoo\n"
        "zoo.convert(sys.argv[1], sys.argv[2])\n"
        "zoo.load(sys.argv[2], backend='numpy')\n"
        "heavy = {'torch', 'mindspore', 'onnx', 'onnxruntime', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, theirs, tmp_path / "ours.ckpt"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"
