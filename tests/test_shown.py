"""What a prompt and a notebook show of what the package hands out."""

from __future__ import annotations

from pathlib import Path

import pytest

import zoo
from zoo.output import Tabled

NAME = "shufflenet_v1_1.0x_g3"
LINE = 250
"""Characters: some two lines of a terminal."""


@pytest.fixture(scope="module")
def report() -> zoo.ParityReport:
    return zoo.parity("resnet9", backends=["onnx"], image_size=32)


def test_reports_of_a_proof(report: zoo.ParityReport) -> None:
    assert repr(report) == "<ParityReport resnet9 (image_size=32): onnx agree, forward and below>"
    shown = report._repr_mimebundle_(include=None, exclude=None)
    assert shown["text/plain"] == repr(report)
    assert shown["text/html"].startswith("<pre style=")
    for words in ("names and shapes", "onnx", "every node"):
        assert words in shown["text/html"]
    assert isinstance(report, Tabled)


def test_costs_and_graphs() -> None:
    cost = zoo.cost(NAME)
    assert repr(cost) == (
        "<Cost of 170 nodes at 3×224×224: 1,864,728 parameters, 137,460,672 multiply-adds, "
        "2,408,448 bytes alive at once>"
    )
    page = cost._repr_html_()
    assert page.count("<tr>") == 9
    assert "<tr><th>total</th><td>1000</td><td>1,864,728</td><td>137,460,672</td></tr>" in page
    graph = zoo.spec(NAME).graph
    assert repr(graph) == "<Graph of 170 nodes: 3×224×224 → classifier>"


def test_a_conversion(tmp_path: Path) -> None:
    first, second = tmp_path / "a.pth", tmp_path / "b.ckpt"
    zoo.save(zoo.create("shufflenet_v2_0.5x_cifar", backend="numpy"), first)
    done = zoo.convert(first, second, verify=None)
    assert repr(done) == f"<Conversion {first} → {second}, names of zoo_mindspore>"


def test_a_report_of_nothing() -> None:
    assert repr(zoo.BenchmarkReport("net", {}, {}, {}, ())) == "<BenchmarkReport of nothing>"


def test_nothing_fills_the_screen(report: zoo.ParityReport) -> None:
    for value in (report, zoo.cost(NAME), zoo.spec(NAME).graph):
        assert len(repr(value)) <= LINE
        # The negative control: all that it holds is far more.
        assert len(str(vars(value) if hasattr(value, "__dict__") else value.nodes)) > 20 * LINE
