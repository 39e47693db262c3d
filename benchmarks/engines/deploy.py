"""The engines of deploy.py: every way to run one network on this processor, ours and the peers'.

All compute the same function with the same weights (the peer's), but for those of MindCV, whose
networks are other functions; ours then follow MindCV's conventions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from engines import mindspore, onnxruntime, openvino, torch
from engines.base import Engine, Network, Run, Task, material
from engines.peers import torch_name

MODELS = (
    "shufflenet_v2_0.5x",
    "shufflenet_v2_1.0x",
    "shufflenet_v2_2.0x",
    "shufflenet_v1_1.0x_g3",
    "shufflenet_v1_1.0x_g8",
)
"""What is measured if nothing else is asked for: networks that the peers have too."""

Build = Callable[[Task], Network]

EAGER, COMPILE, ORT = "PyTorch eager", "torch.compile", "ONNX Runtime"
OPENVINO, MINDSPORE = "OpenVINO", "MindSpore"


def _our_eager(task: Task, *, optimize: bool, channels_last: bool = False) -> Network:
    module = torch.ours(task, optimize=optimize)
    return torch.network(module, task.threads, channels_last=channels_last)


def _our_compiled(task: Task, *, frozen: bool, autotune: bool = False) -> Network:
    module = torch.ours(task, optimize=True)
    return torch.compiled(module, task.threads, frozen=frozen, autotune=autotune)


def _our_callable(task: Task, backend: str, *, optimize: bool) -> Network:
    """Build one of our models that are called with arrays; it runs on the threads it is allowed."""
    import zoo

    model = zoo.create(
        task.model,
        backend=backend,
        weights=material(task, "peer.pth"),
        conventions=torch_name(task.model)[0],
        optimize=optimize,
    )

    def bind(x: np.ndarray) -> Run:
        return lambda: model(x)

    return Network(0, bind)


def _ours(about: str, runtime: str, build: Build, **values: Any) -> Engine:
    """Return an engine of ours; its parameters are those as trained: optimizing folds some away."""

    def built(task: Task) -> Network:
        import zoo

        own = values.get("function") == "mindcv"
        conventions = "mindcv" if own else torch_name(task.model)[0]
        parameters = zoo.cost(task.model, conventions=conventions).params
        return replace(build(task), parameters=parameters)

    return Engine(f"ours, {about}", built, "zoo", runtime, **values)


def _peers(about: str, runtime: str, build: Build, **values: Any) -> Engine:
    return Engine(about, build, "peer", runtime, **values)


ENGINES: dict[str, Engine] = {
    "zoo-torch-plain": _ours(
        "eager, as it is trained",
        EAGER,
        lambda t: _our_eager(t, optimize=False),
        optimized=False,
    ),
    "zoo-torch": _ours("eager", EAGER, lambda t: _our_eager(t, optimize=True)),
    "zoo-torch-nhwc": _ours(
        "eager, channels last", EAGER, lambda t: _our_eager(t, optimize=True, channels_last=True)
    ),
    "peer-torch": _peers("eager", EAGER, lambda t: torch.network(torch.peer(t), t.threads)),
    "peer-torch-nhwc": _peers(
        "eager, channels last",
        EAGER,
        lambda t: torch.network(torch.peer(t), t.threads, channels_last=True),
    ),
    "zoo-compile": _ours("torch.compile", COMPILE, lambda t: _our_compiled(t, frozen=False)),
    "zoo-compile-frozen": _ours(
        "torch.compile, frozen, channels last",
        COMPILE,
        lambda t: _our_compiled(t, frozen=True),
    ),
    "peer-compile": _peers(
        "torch.compile",
        COMPILE,
        lambda t: torch.compiled(torch.peer(t), t.threads, frozen=False),
    ),
    "peer-compile-frozen": _peers(
        "torch.compile, frozen, channels last",
        COMPILE,
        lambda t: torch.compiled(torch.peer(t), t.threads, frozen=True),
    ),
    "peer-compile-max": _peers(
        "torch.compile, frozen, channels last, autotuned",
        COMPILE,
        lambda t: torch.compiled(torch.peer(t), t.threads, frozen=True, autotune=True),
        alone=True,
        extra=True,  # a minute's compiling a network, for 3 % over the above at most
    ),
    "zoo-onnx-plain": _ours(
        "ONNX Runtime, as it is trained",
        ORT,
        lambda t: _our_callable(t, "onnx", optimize=False),
        optimized=False,
    ),
    "zoo-onnx": _ours("ONNX Runtime", ORT, lambda t: _our_callable(t, "onnx", optimize=True)),
    "peer-onnx": _peers("ONNX Runtime", ORT, onnxruntime.network),
    "peer-onnx-streams": _peers(
        "ONNX Runtime, the batch in parts side by side",
        ORT,
        onnxruntime.streams,
        batches=(32,),
    ),
    "zoo-openvino-plain": _ours(
        "OpenVINO, as it is trained",
        OPENVINO,
        lambda t: _our_callable(t, "openvino", optimize=False),
        optimized=False,
    ),
    "zoo-openvino": _ours(
        "OpenVINO", OPENVINO, lambda t: _our_callable(t, "openvino", optimize=True)
    ),
    "peer-openvino": _peers("OpenVINO", OPENVINO, openvino.network),
    "peer-openvino-streams": _peers(
        "OpenVINO, the batch in parts side by side", OPENVINO, openvino.streams, batches=(32,)
    ),
    "zoo-mindspore-plain": _ours(
        "MindSpore graph mode, as it is trained",
        MINDSPORE,
        lambda t: mindspore.ours(t, optimize=False),
        optimized=False,
    ),
    "zoo-mindspore": _ours(
        "MindSpore graph mode", MINDSPORE, lambda t: mindspore.ours(t, optimize=True)
    ),
    "zoo-mindspore-mindcv": _ours(
        "MindSpore graph mode, MindCV's conventions",
        MINDSPORE,
        lambda t: mindspore.ours(t, mindcv=True, optimize=True),
        function="mindcv",
    ),
    "peer-mindcv-capped": _peers(
        "MindCV, graph mode, oneDNN limited as ours",
        MINDSPORE,
        lambda t: mindspore.peer(t, graph=True, cap=True),
        function="mindcv",
    ),
    "peer-mindcv": _peers(
        "MindCV, graph mode, as installed",
        MINDSPORE,
        lambda t: mindspore.peer(t, graph=True, cap=False),
        function="mindcv",
    ),
}
"""Name → engine. Those that are compared closely stand side by side."""
