"""Published weights: what the catalog lists, beside the publishers' own packages, and refuses."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zoo
from weights import pretrained
from weights.pretrained import catalog

ENTRY = replace(
    pretrained.find("shufflenet_v1_1.0x_g3", "mindcv/imagenet1k"),
    url="https://weights.invalid/toolkits/weights.ckpt",
)


def of(publisher):
    """Return the entries of a publisher, of which there are some."""
    entries = [e for e in pretrained.list_pretrained() if e.dialect == publisher]
    assert entries
    return entries


@pytest.mark.parametrize("published", pretrained.list_pretrained(), ids=lambda e: e.file)
def test_entries(published):
    assert published.model in zoo.list_models()
    assert type(published.dialect) is str
    assert published.dialect
    assert len(published.sha256) >= 8
    assert int(published.sha256, 16) >= 0
    if published.packaged:
        assert pretrained.fetch(published).is_file()
    else:
        assert published.url.startswith("https://")
        assert published.source.startswith("https://")
        assert published.sha256 in published.url
    treatment = published.preprocessing
    assert all(0 <= value <= 1 for value in treatment.mean + treatment.std)
    assert treatment.value_range in (1.0, 255.0)
    assert treatment.crop <= treatment.resize
    assert treatment.crop == zoo.spec(published.model).image_size
    assert published.top1 is None or 0 < published.top1 < 100
    assert published.top5 is None or published.top1 < published.top5 < 100
    assert pretrained.find(published.model, published.tag) is published
    assert pretrained.is_tag(published.tag)


@pytest.mark.parametrize("module", ["shufflenetv1", "shufflenetv2"])
def test_mindcv_has_the_files_that_its_package_names(module):
    configs = importlib.import_module(f"mindcv.models.{module}").default_cfgs.values()
    entries = [e for e in of("mindcv") if f"/{module}/" in e.url]
    assert {e.url for e in entries} == {config["url"] for config in configs} - {""}


def test_mindcv_treats_pictures_as_the_entries_say():
    from mindcv.data import constants

    for published in of("mindcv"):
        treatment = published.preprocessing
        np.testing.assert_allclose(np.array(treatment.mean) * 255, constants.IMAGENET_DEFAULT_MEAN)
        np.testing.assert_allclose(np.array(treatment.std) * 255, constants.IMAGENET_DEFAULT_STD)
        assert treatment.resize == treatment.crop // constants.DEFAULT_CROP_PCT


def test_torchvision_says_of_its_files_what_the_entries_say():
    from torchvision.models import get_model_weights, list_models

    theirs = {weights.url: weights for name in list_models() for weights in get_model_weights(name)}
    for published in of("torchvision"):
        weights = theirs[published.url]
        measured = weights.meta["_metrics"]["ImageNet-1K"]
        spec = zoo.spec(published.model, conventions=published.conventions)
        name = published.source.split(".")[-2]
        assert weights in set(get_model_weights(name))
        assert weights.name == f"IMAGENET1K_V{2 if published.tag.endswith('_v2') else 1}"
        assert (published.top1, published.top5) == (measured["acc@1"], measured["acc@5"])
        assert weights.meta["num_params"] == zoo.cost(spec).params
        treatment, transforms = published.preprocessing, weights.transforms()
        assert [list(treatment.mean), list(treatment.std)] == [transforms.mean, transforms.std]
        assert [[treatment.resize], [treatment.crop]] == [
            transforms.resize_size,
            transforms.crop_size,
        ]
        assert treatment.interpolation == transforms.interpolation.value


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
         "'shufflenet_v1_1.0x_g8'; there are some for shufflenet_v1_0.5x_g3, "
         "shufflenet_v1_1.0x_g3, shufflenet_v2_0.5x, shufflenet_v2_1.0x, shufflenet_v2_1.5x, "
         "shufflenet_v2_2.0x"),
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
