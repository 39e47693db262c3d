"""The engines that forward.py compares; as a script, the process that one of them runs in.

``python benchmarks/engines.py torch shufflenet_v1_1.0x_g3 2`` builds an engine for two threads and
answers each JSON line ``{"batch": 1, "seconds": 0.5}`` with the seconds of every call it made.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

IMAGE_SIZE = (224, 224)

Run = Callable[[], np.ndarray]
"""One forward pass, which is over when its logits are in memory that NumPy reads."""


@dataclass(frozen=True)
class Network:
    """A built network: its size, and how to bind it to a batch of images."""

    parameters: int
    bind: Callable[[np.ndarray], Run]


class NoPeerError(LookupError):
    """The other library has no network of this name."""


def _peer(model: str) -> tuple[str, str]:
    """Return (width, groups) of one of our names, as in ``("1.0", "3")``."""
    found = re.fullmatch(r"shufflenet_v1_(\d\.\d)x_g(\d)", model)
    if found is None:
        raise NoPeerError(f"other libraries have no {model}")
    return found[1], found[2]


def _torch(module: Any, threads: int) -> Network:
    import torch

    torch.set_num_threads(threads)
    module.eval()

    def bind(x: np.ndarray) -> Run:
        images = torch.from_numpy(x)

        def run() -> np.ndarray:
            with torch.inference_mode():
                return module(images).numpy()

        return run

    return Network(sum(p.numel() for p in module.parameters()), bind)


def _mindspore(cell: Any) -> Network:
    from mindspore import Tensor

    cell.set_train(False)
    parameters = sum(p.size for p in cell.trainable_params())

    def bind(x: np.ndarray) -> Run:
        images = Tensor(x)
        # PyNative returns before it has computed: only asnumpy() waits for the result.
        return lambda: cell(images).asnumpy()

    return Network(parameters, bind)


def our_torch(model: str, threads: int, group_conv: str) -> Network:
    """Build ours in PyTorch."""
    import zoo

    return _torch(zoo.create(model, backend="torch", group_conv=group_conv), threads)


def pytorchcv(model: str, threads: int) -> Network:
    """Build pytorchcv's network of the same groups and width."""
    from pytorchcv.models import shufflenet

    width, groups = _peer(model)
    name = f"shufflenet_g{groups}_{ {'1.0': 'w1', '0.5': 'wd2'}.get(width) }"
    if not hasattr(shufflenet, name):
        raise NoPeerError(f"pytorchcv has no {model}")
    return _torch(getattr(shufflenet, name)(), threads)


def our_mindspore(model: str, threads: int, group_conv: str) -> Network:
    """Build ours in MindSpore's graph mode."""
    import mindspore as ms

    import zoo

    ms.set_context(mode=ms.GRAPH_MODE)
    return _mindspore(zoo.create(model, backend="mindspore", group_conv=group_conv))


def mindcv(model: str, threads: int, *, graph: bool, cap: bool) -> Network:
    """Build MindCV's network of the same groups and width.

    Args:
        model: our name for it.
        threads: not used, see `main`.
        graph: graph mode instead of PyNative, which is MindSpore's default.
        cap: limit oneDNN as our backend does.
    """
    import mindspore as ms
    from mindcv import create_model, is_model

    width, groups = _peer(model)
    name = f"shufflenet_v1_g{groups}_{width.replace('.', '')}"
    if not is_model(name):
        raise NoPeerError(f"MindCV has no {model}")
    if graph:
        ms.set_context(mode=ms.GRAPH_MODE)
    if cap:
        import backends.mindspore  # noqa: F401 - caps on import, before the first operator

    return _mindspore(create_model(name))


ENGINES: dict[str, tuple[str, Callable[[str, int], Network]]] = {
    "torch": ("ours, PyTorch eager", lambda m, t: our_torch(m, t, "native")),
    "pytorchcv": ("pytorchcv, PyTorch eager", pytorchcv),
    "torch-split": (
        "ours, PyTorch eager, group convolutions split",
        lambda m, t: our_torch(m, t, "split"),
    ),
    "mindspore": ("ours, MindSpore graph mode", lambda m, t: our_mindspore(m, t, "native")),
    "mindspore-split": (
        "ours, MindSpore graph mode, group convolutions split",
        lambda m, t: our_mindspore(m, t, "split"),
    ),
    "mindcv-capped": (
        "MindCV, graph mode, oneDNN limited as ours",
        lambda m, t: mindcv(m, t, graph=True, cap=True),
    ),
    "mindcv-graph": (
        "MindCV, graph mode, oneDNN as shipped",
        lambda m, t: mindcv(m, t, graph=True, cap=False),
    ),
    "mindcv": (
        "MindCV as a user gets it: PyNative, oneDNN as shipped",
        lambda m, t: mindcv(m, t, graph=False, cap=False),
    ),
}
"""Name → (what it is, how to build it). Engines that are compared closely stand side by side."""


def measure(run: Run, seconds: float) -> list[float]:
    """Return the seconds of each call of ``run``, at least one, made in about ``seconds``."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def serve(network: Network, requests: IO[str], replies: IO[str]) -> None:
    """Answer requests until there are no more; tell also what the waiting cost, and the block."""
    images = np.random.default_rng(0)
    runs: dict[int, Run] = {}
    end, cpu_end = time.perf_counter(), time.process_time()
    for line in requests:
        request = json.loads(line)
        waited, cpu_waiting = time.perf_counter() - end, time.process_time() - cpu_end
        batch = request["batch"]
        if batch not in runs:
            x = images.standard_normal((batch, 3, *IMAGE_SIZE), dtype=np.float32)
            runs[batch] = network.bind(x)
            runs[batch]()  # compiles, allocates
        cpu = time.process_time()
        times = measure(runs[batch], request["seconds"])
        end, cpu_end = time.perf_counter(), time.process_time()
        reply = {
            "times": times,
            "cpu": cpu_end - cpu,
            "waited": waited,
            "cpu_waiting": cpu_waiting,
        }
        print(json.dumps(reply), file=replies, flush=True)


def main(name: str, model: str, threads: int) -> None:
    """Build an engine, say that it is ready (or why it cannot be) and serve."""
    # What libraries print must not mix with the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if hasattr(os, "sched_setaffinity"):
        # The one limit that the thread pools of all libraries respect.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    try:
        network = ENGINES[name][1](model, threads)
    except (NoPeerError, ImportError) as error:
        print(json.dumps({"skipped": str(error)}), file=replies, flush=True)
        return
    print(json.dumps({"parameters": network.parameters}), file=replies, flush=True)
    serve(network, sys.stdin, replies)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
