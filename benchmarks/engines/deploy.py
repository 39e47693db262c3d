"""The engines of deploy.py: every way to run one network on this processor, ours and the peers'.

All compute the same function with the same weights (the peer's), but for those of MindCV, whose
networks are other functions; ours then follow MindCV's conventions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from engines import mindspore, onnxruntime, openvino, torch
from engines.base import Engine, Network, Task, material
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
Row = tuple[str, Engine]

EAGER, COMPILE, ORT = "PyTorch eager", "torch.compile", "ONNX Runtime"
OPENVINO, MINDSPORE = "OpenVINO", "MindSpore"
FROZEN = "torch.compile, frozen, channels last"
PARTS = "the batch in parts side by side"


def _our_eager(task: Task, *, optimize: bool = True, channels_last: bool = False) -> Network:
    module = torch.ours(task, optimize=optimize)
    return torch.network(module, task.threads, channels_last=channels_last)


def _peer_eager(task: Task, **how: bool) -> Network:
    return torch.network(torch.peer(task), task.threads, **how)


def _our_compiled(task: Task, **how: bool) -> Network:
    return torch.compiled(torch.ours(task, optimize=True), task.threads, **how)


def _peer_compiled(task: Task, **how: bool) -> Network:
    return torch.compiled(torch.peer(task), task.threads, **how)


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
    return Network(0, lambda x: lambda: model(x))


def _ours(name: str, about: str, runtime: str, build: Build, **values: Any) -> Row:
    """Return an engine of ours; its parameters are those as trained: optimizing folds some away."""

    def built(task: Task) -> Network:
        import zoo

        own = values.get("function") == "mindcv"
        conventions = "mindcv" if own else torch_name(task.model)[0]
        parameters = zoo.cost(task.model, conventions=conventions).params
        return replace(build(task), parameters=parameters)

    return f"zoo-{name}", Engine(f"ours, {about}", built, "zoo", runtime, **values)


def _both(name: str, about: str, runtime: str, build: Callable[..., Network]) -> tuple[Row, Row]:
    """Return ours as it is trained, and as it is optimized."""
    plain = partial(build, optimize=False)
    return (
        _ours(f"{name}-plain", f"{about}, as it is trained", runtime, plain, optimized=False),
        _ours(name, about, runtime, partial(build, optimize=True)),
    )


def _peers(name: str, about: str, runtime: str, build: Build, **values: Any) -> Row:
    return f"peer-{name}", Engine(about, build, "peer", runtime, **values)


def _mindcv(name: str, about: str, *, cap: bool) -> Row:
    build = partial(mindspore.peer, graph=True, cap=cap)
    return _peers(name, f"MindCV, graph mode, {about}", MINDSPORE, build, function="mindcv")


ENGINES: dict[str, Engine] = dict([
    *_both("torch", "eager", EAGER, _our_eager),
    _ours("torch-nhwc", "eager, channels last", EAGER, partial(_our_eager, channels_last=True)),
    _peers("torch", "eager", EAGER, _peer_eager),
    _peers("torch-nhwc", "eager, channels last", EAGER, partial(_peer_eager, channels_last=True)),
    _ours("compile", COMPILE, COMPILE, partial(_our_compiled, frozen=False)),
    _ours("compile-frozen", FROZEN, COMPILE, partial(_our_compiled, frozen=True)),
    _peers("compile", COMPILE, COMPILE, partial(_peer_compiled, frozen=False)),
    _peers("compile-frozen", FROZEN, COMPILE, partial(_peer_compiled, frozen=True)),
    _peers("compile-max", f"{FROZEN}, autotuned", COMPILE,
           partial(_peer_compiled, frozen=True, autotune=True), alone=True,
           extra=True),  # a minute's compiling a network, for 3 % over the above at most
    *_both("onnx", ORT, ORT, partial(_our_callable, backend="onnx")),
    _peers("onnx", ORT, ORT, onnxruntime.network),
    _peers("onnx-streams", f"{ORT}, {PARTS}", ORT, onnxruntime.streams, batches=(32,)),
    *_both("openvino", OPENVINO, OPENVINO, partial(_our_callable, backend="openvino")),
    _peers("openvino", OPENVINO, OPENVINO, openvino.network),
    _peers("openvino-streams", f"{OPENVINO}, {PARTS}", OPENVINO, openvino.streams, batches=(32,)),
    *_both("mindspore", "MindSpore graph mode", MINDSPORE, mindspore.ours),
    _ours("mindspore-mindcv", "MindSpore graph mode, MindCV's conventions", MINDSPORE,
          partial(mindspore.ours, mindcv=True, optimize=True), function="mindcv"),
    _mindcv("mindcv-capped", "oneDNN limited as ours", cap=True),
    _mindcv("mindcv", "as installed", cap=False),
])  # fmt: skip
"""Name → engine. Those that are compared closely stand side by side."""
