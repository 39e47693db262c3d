"""What is asked of a GPU. That it computes so was tried on one: docs/training.md."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
import torch
from trainer_material import MOMENTUM, small_network, small_recipe, small_weights

from backends.torch.exact import exact

trainer = importlib.import_module("backends.torch.trainer")


def switches():
    return (
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
    )


@pytest.mark.parametrize(
    ("device", "inside"), [("cuda", (False, False, False, True, True)), ("cpu", None)]
)
def test_a_gpu_is_asked_for_float32_and_for_one_order_of_sums(device, inside, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = switches()
    assert before[0]  # as PyTorch has it; else this shows nothing
    seen = []
    with pytest.raises(ZeroDivisionError), exact(torch.device(device)):
        seen.append(switches()) or 1 / 0
    assert seen == [inside or before]
    assert switches() == before


@pytest.mark.parametrize(
    ("device", "layout"), [("cpu", torch.channels_last), ("meta", torch.contiguous_format)]
)
def test_channels_are_last_on_a_cpu_alone(device, layout, monkeypatch):
    """Where they are, PyTorch's padded average pools have wrong gradients on GPUs."""
    found = SimpleNamespace(
        device=torch.device(device), global_rank=0, world_size=1,
        setup=lambda model, optimizer: (model, optimizer),
    )  # fmt: skip
    monkeypatch.setattr(trainer, "_fabric", lambda: found)
    graph = small_network()
    made = trainer.trainer(graph, small_weights(graph), small_recipe(optimizer=MOMENTUM))
    filters = [p for p in made.module.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1]
    assert made.layout is layout
    assert filters
    assert all(p.is_contiguous(memory_format=layout) for p in filters)
