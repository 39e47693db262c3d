"""The proof of networks of tokens: it passes, and sees what could be done wrong."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch
from test_adopt_tokens import NETWORKS, drawn
from torch import nn

import zoo
from zoo.adoption.canonical import with_constants
from zoo.arch import INPUT
from zoo.arch.builder import GraphBuilder
from zoo.arch.operators import MatMul, Normalize, Softmax
from zoo.proof.adequacy import coverage
from zoo.proof.case import make_case
from zoo.proof.mutants.run import Bench, tasks
from zoo.proof.references import References
from zoo.proof.streams import of_keys

SEEN = ("LayerNorm", "ScaledDotProductAttention", "Permute", "Weight")


@functools.cache
def adopted(name):
    return zoo.adopt(drawn(NETWORKS[name]), example=(2, 3, 16, 16))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["ConvNeXt", "ViT"])
def test_training_is_proven_beside_the_original(name):
    report = zoo.parity(
        adopted(name), backends=["original", "torch", "mindspore"], level="training"
    )
    assert {finding.status for finding in report.findings} == {"passed"}


@pytest.mark.exhaustive
def test_masks_are_part_of_the_network():
    """Swin's, which its blocks make for themselves; the layer qkv is not called, only used."""
    from torchvision.models.swin_transformer import SwinTransformer

    torch.manual_seed(0)
    theirs = SwinTransformer([4, 4], 16, [2], [2], [4, 4], num_classes=5)
    net = zoo.adopt(drawn(lambda: theirs), example=(2, 3, 32, 32))
    report = zoo.parity(net, backends=["original", "torch"], level="training")
    assert {finding.status for finding in report.findings} == {"passed"}
    none = {name: np.zeros(p.shape) for name, p in net.graph.parameters.items() if p.value}
    assert len(none) == 1
    body = with_constants(net.graph, none)
    others = dataclasses.replace(net, spec=dataclasses.replace(net.spec, body=body))
    report = zoo.parity(others, backends=["original", "torch"])
    assert {finding.backend for finding in report.failures} == {"original"}


class Turned(nn.LayerNorm):
    """A layer norm of maps, as timm and torchvision have it."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", ["windows", "turned"])
def test_what_modules_hand_out_is_looked_at_where_it_is_a_node_s(name):
    layers = (nn.Conv2d(3, 8, 4, 4), nn.AdaptiveAvgPool2d(1), Turned(8), nn.Flatten())
    made = {"turned": lambda: nn.Sequential(*layers, nn.Linear(8, 5))} | NETWORKS
    net = zoo.adopt(drawn(made[name]), example=(2, 3, 16, 16))
    report = zoo.parity(net, backends=["original"], level="forward")
    assert report.findings
    assert not report.failures


def test_gradients_are_proven():
    report = zoo.parity(adopted("ViT"), backends=["original", "torch"], level="gradients")
    assert {finding.status for finding in report.findings} == {"passed"}


@pytest.mark.parametrize("name", ["ConvNeXt", "ViT"])
def test_mistakes_in_norms_attention_and_permutations_are_seen_and_named(name):
    bench = Bench(name, adopted(name).graph)
    chosen = [
        mutant
        for _, mutant in tasks(bench.graph, ["numpy"], "first", level="forward")
        if mutant.operator in SEEN
    ]
    verdicts = [bench.judge(mutant, "numpy") for mutant in chosen]
    assert [v for v in verdicts if v.status != "killed" or not v.exact] == []
    found = {f"{v.operator}: {v.mutation}" for v in verdicts}
    assert {"LayerNorm: eps × 10", "LayerNorm: eps forgotten"} <= found
    if name == "ViT":
        assert "ScaledDotProductAttention: not scaled" in found
        assert "ScaledDotProductAttention: q and k exchanged" in found


def test_an_eps_that_hardly_shows_is_not_proven():
    graph = adopted("ConvNeXt").graph
    case = make_case(graph, seed=0, images=None, weights=None, steps=2)
    assert References(case).coverage(False).gaps == ()
    large = {name: array.copy() for name, array in case.weights[False].items()}
    for role in ("weight", "bias"):
        large[f"blocks.0.conv.{role}"] *= np.float32(1000)
    values = References(make_case(graph, seed=0, images=case.images, weights=large, steps=2))
    found = coverage(graph, large, {INPUT: case.images, **values.evaluated}, training=False)
    told = [str(gap) for gap in found.gaps if gap.what == "statistics"]
    assert told == ["blocks.0.norm (evaluation): eps (=1e-06) hardly shows: the variances are too "
                    "large"]  # fmt: skip


def test_the_bias_of_keys_has_no_gradient_and_that_of_others_has():
    graph = adopted("ViT").graph
    assert of_keys(graph, graph.by_name["layers.0.qkv"]) == set(range(16, 32))
    assert of_keys(graph, graph.by_name["layers.0.proj"]) == set()
    g = GraphBuilder(3, 4)
    x = g.reshape(g.permute(g.input, 0, 2, 3, 1), 16, 3)
    q, k = (g.linear(x, 4, bias=True, name=name) for name in "qk")
    unit = g.apply(Normalize(dim=2, eps=1e-5), g.linear(x, 4, bias=True, name="n"), name="unit")
    for name, keys in (("scores", k), ("cosines", unit)):
        turned = g.permute(keys, 0, 2, 1, name=f"{name}_turned")
        g.apply(Softmax(dim=2), g.apply(MatMul(), q, turned, name=name), name=f"{name}_softmax")
    graph = g.build("scores_softmax", "cosines_softmax")
    found = {name: of_keys(graph, graph.by_name[name]) for name in "qkn"}
    assert found == {"q": set(), "k": {0, 1, 2, 3}, "n": set()}
