"""Imports point one way: no module needs, directly or through others, one that needs it."""

from __future__ import annotations

import graphlib

import grimp
import pytest

PACKAGES = ("zoo", "weights", "backends")


def require_no_circle(imports):
    """Raise `graphlib.CycleError` where modules import each other, those that are lazy included."""
    graphlib.TopologicalSorter(imports).prepare()


def test_no_circle():
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {m: graph.find_modules_directly_imported_by(m) for m in graph.modules}
    assert len(imports) > 200
    assert "zoo.proof.chart" in imports["zoo.proof.report"]  # imported in a method
    require_no_circle(imports)


def test_a_circle_is_seen():
    with pytest.raises(graphlib.CycleError):
        require_no_circle({"report": {"chart"}, "chart": {"style", "report"}, "style": set()})
