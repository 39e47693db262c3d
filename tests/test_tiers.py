"""What `make test` leaves out, `make test-all` runs; and nothing of ours is left out altogether."""

from __future__ import annotations

from collections import defaultdict
from fnmatch import fnmatchcase

import pytest
from conftest import COLLECTED, calls

NONE_IS_QUICK = {"test_keep_compiled.py": "its one test compiles ten networks"}
"""File → why no test of it is in the quick tier."""


def unused_rows(items):
    """Return the patterns of sweeps that no row has: what they stood for was renamed."""
    ids = defaultdict(list)
    for item in items:
        if sweep := item.get_closest_marker("sweep"):
            ids[item.nodeid.partition("[")[0], *sweep.kwargs["quick"]].append(item.callspec.id)
    return [
        f"{test}: {row}"
        for (test, *quick), found in ids.items()
        for row in quick
        if not any(fnmatchcase(each, row) for each in found)
    ]


def test_every_file_has_a_quick_test(request):
    tiers = defaultdict(set)
    for item in request.config.stash[COLLECTED]:
        tiers[item.path.name].add(item.get_closest_marker("exhaustive") is None)
    assert {name for name, found in tiers.items() if True not in found} <= set(NONE_IS_QUICK)


def test_rows_that_stand_for_all_exist(request):
    if any("::" in argument for argument in request.config.args):
        pytest.skip("not all rows were asked for")
    assert unused_rows(request.config.stash[COLLECTED]) == []


@pytest.mark.sweep(quick=["a-*", "?-2"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("letter", ["a", "b"])
def test_rows_of_a_sweep(letter, number, request):
    exhaustive = request.node.get_closest_marker("exhaustive") is not None
    assert exhaustive == ((letter, number) == ("b", 1))


def test_a_row_that_is_gone_is_named(request):
    sweep = pytest.mark.sweep(quick=["a-*", "c-*"]).mark

    class Item:
        nodeid = "test_x.py::test_y[a-1]"
        callspec = type("", (), {"id": "a-1"})

        def get_closest_marker(self, name):
            return sweep

    assert unused_rows([Item()]) == ["test_x.py::test_y: c-*"]


def test_calls_are_counted():
    with calls() as made:
        for _ in range(100):
            len("")
    assert 100 <= made.count < 110
