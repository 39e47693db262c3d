"""Published weights: what the catalog lists, beside the publishers' own packages, and refuses."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from catalog_rows import params

import zoo
from weights import pretrained
from weights.pretrained import catalog

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import published as tables

ENTRY = replace(
    pretrained.find("shufflenet_v1_1.0x_g3", "mindcv/imagenet1k"),
    url="https://weights.invalid/toolkits/weights.ckpt",
)


def of(publisher):
    """Return the entries of a publisher, of which there are some."""
    entries = [e for e in pretrained.list_pretrained() if e.dialect == publisher]
    assert entries
    return entries


@pytest.mark.parametrize("model", sorted({e.model for e in pretrained.list_pretrained()}))
def test_entries(model):
    assert model in zoo.list_models()
    for published in pretrained.list_pretrained(model):
        assert published.model == model
        if published.packaged:
            assert pretrained.fetch(published).is_file()
        elif published.on_hub:
            assert published.sha256 == ""
            assert published.source.startswith("https://")
        else:
            assert published.url.startswith("https://")
            assert published.source.startswith("https://")
            assert published.sha256 in published.url
        treatment = published.preprocessing
        assert all(0 <= value <= 1 for value in treatment.mean + treatment.std)
        assert treatment.value_range == 1.0
        assert published.conventions is None or published.conventions in zoo.spec(model).presets
        assert published.top1 is None or 0 < published.top1 < 100
        assert published.top5 is None or published.top1 < published.top5 < 100
        assert pretrained.find(model, published.tag) is published
        assert pretrained.is_tag(published.tag)


# What `benchmarks/published.py` writes is what the packages say, and each entry's network has the
# arrays that the dialect names.


def listed(code_base):
    return json.loads((catalog.TABLES / f"{code_base}.json").read_text())


def without_model(rows):
    return sorted(({k: v for k, v in row.items() if k != "model"} for row in rows), key=str)


@pytest.mark.sweep(quick=["torchvision", "mindcv"])
@pytest.mark.parametrize("code_base", tables.TABLES)
def test_tables_are_what_the_packages_say(code_base):
    ours = without_model(listed(code_base))
    names = {row["name"] for row in ours}
    assert ours == without_model(r for r in tables.TABLES[code_base]() if r["name"] in names)
    changed = [dict(ours[0], url=ours[0]["url"] + "x"), *ours[1:]]
    assert changed != ours


def test_torchvision_counts_the_parameters_of_the_networks():
    from torchvision.models import get_model_weights

    entries = {entry.url: entry for entry in pretrained.list_pretrained()}
    for row in listed("torchvision"):
        name, _, trained = row["name"].partition(".")
        entry, meta = entries[row["url"]], get_model_weights(name)[trained].meta
        spec = zoo.spec(entry.model, conventions=entry.conventions)
        assert meta["num_params"] == zoo.cost(spec).params, name
        assert meta["_metrics"]["ImageNet-1K"] == {"acc@1": entry.top1, "acc@5": entry.top5}


def smallest_of_families():
    """Return (code base, their name) of the smallest network of each family that is listed."""
    found = {}
    for code_base in tables.TABLES:
        for row in listed(code_base):
            key = (code_base, zoo.spec(row["model"]).family)
            plain = row["name"].partition(".")[0]
            size = params(row["model"])
            found[key] = min(found.get(key, (size, plain)), (size, plain))
    return [(code_base, plain) for (code_base, _), (_, plain) in found.items()]


@pytest.mark.sweep(quick=["torchvision-regnet*", "timm-mobilenetv3*", "mindcv-mnasnet*"])
@pytest.mark.parametrize(("code_base", "name"), smallest_of_families())
def test_arrays_of_their_networks_are_those_of_ours(code_base, name):
    """``benchmarks/published.py`` lists no other, and looks at all."""
    rows = [row for row in listed(code_base) if row["name"].partition(".")[0] == name]
    assert {tables.network(code_base, row) for row in rows} == {row["model"] for row in rows}


def test_a_name_alone_is_not_a_network():
    """timm's blurred ResNet-50 has the arrays of a ResNet-50, and computes something else."""
    assert tables.recognized("timm", "resnetblur50") == "resnet50"
    assert not tables.named("resnetblur50")
    row = {"name": "regnet_y_8gf.IMAGENET1K_V1"}  # of torchvision's own widths
    assert tables.network("torchvision", row) == "regnet_y_8gf_tv"


def test_mmpretrain_says_of_its_files_what_the_entries_say():
    import yaml

    package = Path(importlib.util.find_spec("mmpretrain").origin).parent
    for published in of("mmpretrain"):
        folder = published.url.split("/")[-2]
        file = package / ".mim" / "configs" / folder / "metafile.yml"
        (theirs,) = yaml.safe_load(file.read_text())["Models"]
        measured = theirs["Results"][0]["Metrics"]
        assert published.url == theirs["Weights"]
        assert published.top1 == measured["Top 1 Accuracy"]
        assert published.top5 == measured["Top 5 Accuracy"]


def test_list_and_is_tag():
    everything = [entry for entry in pretrained.list_pretrained() if not entry.packaged]
    publishers = {
        "shufflenet_v1_0.5x_g3": ["mindcv"],
        "shufflenet_v1_1.0x_g3": ["mindcv", "mmpretrain"],
        "shufflenet_v2_0.5x": ["mindcv", "torchvision"],
        "shufflenet_v2_1.0x": ["mindcv", "mmpretrain", "torchvision"],
        "shufflenet_v2_1.5x": ["mindcv", "torchvision"],
        "shufflenet_v2_2.0x": ["mindcv", "torchvision"],
    }
    shufflenets = [entry for entry in everything if entry.model.startswith("shufflenet")]
    assert [(e.model, e.tag) for e in shufflenets] == [
        (model, f"{publisher}/imagenet1k") for model, by in publishers.items() for publisher in by
    ]
    assert pretrained.list_pretrained("*v1_1.0x_g3") == shufflenets[1:3]
    assert pretrained.list_pretrained("*g8") == []
    assert not pretrained.is_tag("weights.ckpt")


@pytest.mark.parametrize(
    ("model", "tag", "message"),
    [
        ("shufflenet_v1_1.0x_g3", "mindcv/imagenet", "unknown weights of shufflenet_v1_1.0x_g3 "
         "'mindcv/imagenet'; did you mean 'mindcv/imagenet1k'"),
        ("shufflenet_v1_1.0x_g3", "x", "unknown weights of shufflenet_v1_1.0x_g3 'x'; known: "
         "mindcv/imagenet1k, mmpretrain/imagenet1k"),
        ("shufflenet_v1_1.0x_g8", "mindcv/imagenet1k", "no weights are published for "
         f"'shufflenet_v1_1.0x_g8'; there are some for {len(catalog._INDEX)} other networks (zoo "
         "list --weights)"),
        ("shufflenet_v1_1.0x_g33", "mindcv/imagenet1k", "unknown model 'shufflenet_v1_1.0x_g33'; "
         "did you mean"),
    ],
)  # fmt: skip
def test_find_names_what_there_is(model, tag, message):
    with pytest.raises(zoo.UnknownNameError) as error:
        pretrained.find(model, tag)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "the tag 'mindcv/imagenet1k' is taken"),
        ({"model": "other"}, "the file 'mindcv/imagenet1k/weights.ckpt' is taken"),
        ({"tag": "a/b", "url": "http://host/file"}, r"url \(='http://host/file'\) must be https"),
    ],
)
def test_entries_that_clash_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        catalog._index([ENTRY, replace(ENTRY, **changes)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "1234567"}, r"sha256 \(='1234567'\) must be 8 to 64 lower-case hex digits"),
        ({"sha256": "1234567g"}, "must be 8 to 64"),
        ({"sha256": "1234567A"}, "must be 8 to 64"),
        ({"tag": "../b"}, "must be like 'publisher/dataset'"),
        ({"tag": "a/b/.."}, "must be like 'publisher/dataset'"),
        ({"tag": "a"}, "must be like 'publisher/dataset'"),
        ({"tag": "a/b", "url": "package:file"}, "must be like 'dataset'"),
        ({"url": "https://host/a/"}, "must end in the name of a file"),
        ({"url": "https://host/a/.."}, "must end in the name of a file"),
    ],
)
def test_malformed_entries_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(ENTRY, **changes)
