"""The engines of forward.py: ours and peers as built, in PyTorch eager and in MindSpore."""

from __future__ import annotations

from engines import mindspore, torch
from engines.base import Engine, Network, NoPeerError, Task
from engines.peers import torch_name


def _ours_in_torch(task: Task, group_conv: str) -> Network:
    return torch.network(torch.ours(task, group_conv=group_conv), task.threads)


def _pytorchcv(task: Task) -> Network:
    library, name = torch_name(task.model)
    if library != "pytorchcv":
        raise NoPeerError(f"{name} is {library}'s: deploy.py compares with it")
    return torch.network(torch.peer(task), task.threads)


ENGINES = {
    "torch": Engine("ours, PyTorch eager", lambda t: _ours_in_torch(t, "native")),
    "pytorchcv": Engine("pytorchcv, PyTorch eager", _pytorchcv),
    "torch-split": Engine(
        "ours, PyTorch eager, group convolutions split", lambda t: _ours_in_torch(t, "split")
    ),
    "mindspore": Engine(
        "ours, MindSpore graph mode", lambda t: mindspore.ours(t, group_conv="native")
    ),
    "mindspore-split": Engine(
        "ours, MindSpore graph mode, group convolutions split",
        lambda t: mindspore.ours(t, group_conv="split"),
    ),
    "mindcv-capped": Engine(
        "MindCV, graph mode, oneDNN limited as ours",
        lambda t: mindspore.peer(t, graph=True, cap=True),
    ),
    "mindcv-graph": Engine(
        "MindCV, graph mode, oneDNN as shipped",
        lambda t: mindspore.peer(t, graph=True, cap=False),
    ),
    "mindcv": Engine(
        "MindCV as a user gets it: PyNative, oneDNN as shipped",
        lambda t: mindspore.peer(t, graph=False, cap=False),
    ),
}
"""Name → engine. Those that are compared closely stand side by side."""
