"""Live models called from several threads."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import BACKENDS

import zoo

# In a process of its own: without a lock, MindSpore crashes or hangs as often as it is wrong.
PROGRAM = """
    import sys, threading
    import numpy as np
    import backends, weights, zoo

    name, backend, way, units, repeats = sys.argv[1:]
    spec = zoo.spec(name, stage_repeats=tuple(map(int, units)))
    given = [weights.randomize(spec.graph, seed) for seed in (1, 2)]
    models = [zoo.create(spec, backend=backend, weights=w) for w in given]
    engine = backends.load(backend)
    if backend == "torch":
        models = [model.eval() for model in models]

    def native(model, x):
        if backend == "torch":
            import torch

            with torch.inference_mode():
                return model(torch.from_numpy(x)).numpy()
        if backend == "mindspore":
            import mindspore

            return model(mindspore.Tensor(x)).asnumpy().copy()
        return model(x)

    def run(model, x):
        return native(model, x) if way == "call" else engine.predict(model, x)[0]

    rng = np.random.default_rng(0)
    work = [
        (models[i % 2], rng.standard_normal((2, 3, 32, 32)).astype(np.float32))
        for i in range(4)
    ]
    expected = [run(model, x) for model, x in work]
    wrong = []

    def repeat(i):
        for _ in range(int(repeats)):
            if not np.array_equal(run(*work[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=repeat, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("wrong:", len(wrong))
"""


@pytest.mark.sweep(quick=["few-torch-call", "few-onnx-call", "few-numpy-call"])
@pytest.mark.parametrize(
    ("backend", "way"), [*((b, "call") for b in BACKENDS), ("mindspore", "predict")]
)
@pytest.mark.parametrize(("units", "repeats"), [("111", "12"), ("484", "30")], ids=["few", "many"])
def test_threads_get_their_own_numbers(backend, way, units, repeats):
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), "shufflenet_v1_0.5x_g3_cifar"]
    done = subprocess.run(
        [*command, backend, way, units, repeats],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.strip().endswith("wrong: 0"), (done.returncode, done.stdout, done.stderr)


def test_mindspore_computes_under_a_lock(monkeypatch):
    """What the numbers above show by chance, here for certain."""
    from mindspore import Tensor, nn

    from backends.mindspore.model import LOCK
    from backends.mindspore.run import predict

    model = zoo.create("shufflenet_v1_0.5x_g3_cifar", backend="mindspore", stage_repeats=(1, 1, 1))
    x, held = np.ones((1, 3, 32, 32), np.float32), []

    def call(cell, given):
        held.append(LOCK._is_owned())
        return given

    monkeypatch.setattr(nn.Cell, "__call__", call)
    model(Tensor(x))
    predict(model, x)
    nn.Cell.__call__(model, Tensor(x))  # the negative control
    assert held == [True, True, False]
