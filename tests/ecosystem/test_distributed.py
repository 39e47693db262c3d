"""Networks shared among processes (one process here), and several networks in one call."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.distributed as dist
from ecosystem_material import FEW_UNITS, V1, V2, error, images, made
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.func import functional_call, stack_module_state
from torch.nn.parallel import DistributedDataParallel

import zoo


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """Join a group of this process alone."""
    store = tmp_path_factory.mktemp("group") / "store"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def gradients(model, x):
    model(x).square().mean().backward()
    found = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        gradient = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
        found[name.removeprefix("module.")] = gradient
    return found


SHARDED = {"a stage": ["stage2"], "stages and the root": ["stage2", "stage4", ""], "root": [""]}


@pytest.mark.sweep(quick=["stages and the root-*v2*", "root-*v1*"])
@pytest.mark.parametrize("name", [V1, V2])
@pytest.mark.parametrize("scopes", SHARDED)
def test_fully_sharded_parts(mesh, name, scopes):
    model, x = made(name, **FEW_UNITS).train(), images(4)
    twin = copy.deepcopy(model)
    for scope in SHARDED[scopes]:
        fully_shard(twin.get_submodule(scope), mesh=mesh)
    sharded = {n for n, p in twin.named_parameters() if isinstance(p, DTensor)}
    below = tuple(scope and scope + "." for scope in SHARDED[scopes])
    assert sharded == {n for n, _ in model.named_parameters() if n.startswith(below)}
    expected, found = gradients(model, x), gradients(twin, x)
    assert all(torch.equal(found[n], expected[n]) for n in expected)
    if "" in SHARDED[scopes]:
        assert isinstance(twin, type(model))


@pytest.mark.usefixtures("mesh")
@pytest.mark.parametrize("name", [V1, V2])
def test_distributed_data_parallel(name):
    model, x = made(name, **FEW_UNITS).train(), images(4)
    wrapped = DistributedDataParallel(copy.deepcopy(model))
    expected, found = gradients(model, x), gradients(wrapped, x)
    assert all(torch.equal(found[n], expected[n]) for n in expected)
    weights = zoo.get_weights(model)
    assert all((weights[n] == w).all() for n, w in zoo.get_weights(wrapped).items())


@pytest.mark.parametrize("name", ["resnet9", V1, V2])
def test_networks_of_several_seeds_run_as_one(name):
    models = [zoo.create(name, seed=seed).eval() for seed in (1, 2, 3)]
    x = images()
    states = stack_module_state(models)
    empty = copy.deepcopy(models[0]).to("meta")

    def run(parameters, buffers):
        return functional_call(empty, (parameters, buffers), (x,))

    with torch.no_grad():
        found = torch.vmap(run)(*states)
        expected = torch.stack([model(x) for model in models])
    assert error(found, expected) < 1e-5
    assert error(found[0], expected[1]) > 0.1
