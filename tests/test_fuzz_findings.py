"""What the fuzzer found (tests/fuzz.py), each refused by name or read since."""

from __future__ import annotations

import contextlib

import pytest

from zoo.errors import TrainingError
from zoo.training.log import Log


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"a,b\n1,2\n", None),
        (b"step,epoch\n1,\n,\n", None),  # what a kill cut in two
        (b"step,epoch\n\xff,1\n", "'utf-8' codec can't decode byte 0xff"),
        (b"step,epoch\n" + b"9" * 5000 + b",1\n", "Exceeds the limit"),
        (
            b"step,epoch\n" + b"9" * 140_000 + b",1\n",
            "field larger than field limit|Exceeds the limit",
        ),  # which others may move
    ],
)
def test_a_damaged_log_of_steps(text, told, tmp_path):
    (tmp_path / "steps.csv").write_bytes(text)
    with contextlib.ExitStack() as stack:
        if told:
            error = pytest.raises(TrainingError, match=rf"steps\.csv: cannot be read: ({told})")
            stack.enter_context(error)
        stack.enter_context(Log(tmp_path, [], 3))
    assert told or (tmp_path / "steps.csv").read_text().startswith("step,epoch,lr,momentum,loss")
