"""Recipes: values that travel as JSON, with errors that name the field, and PyTorch's schedules."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.errors import SpecError, UnknownNameError
from zoo.recipes import RECIPES, Mix, Recipe, list_recipes, recipe, values_at
from zoo.recipes.schedules import Constant, Cosine, Linear, OneCycle

CIFAR = RECIPES["cifar10"]


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_travels_as_json(name):
    found = recipe(name)
    assert Recipe.from_json(found.to_json()) == found
    assert found.spec.graph.nodes
    # the negative control: another value is another recipe
    assert Recipe.from_json(found.replace(seed=7).to_json()) != found


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # seed_systems.md: network, batch, epochs, learning rate, weight decay
        ("cifar10_opengenus", ("shufflenet_v1", 128, 60, 0.01, 5e-4)),
        ("cifar10_mindspore", ("shufflenet_v1", 128, 250, 0.05, 4e-5)),
        ("tiny_imagenet_sgd", ("shufflenet_v2", 1024, 100, 0.5, 4e-5)),
        ("cifar100_coarse_jovian", ("resnet9", 400, 8, 0.01, 1e-4)),
    ],
)
def test_published_recipes_are_as_published(name, published):
    found = recipe(name)
    optimizer = found.optimizer
    assert published == (
        found.spec.family, found.batch_size, found.epochs, optimizer.lr, optimizer.weight_decay
    )  # fmt: skip


def test_changes_reach_into_the_parts():
    changed = CIFAR.replace(
        **{
            "optimizer.lr": 0.3,
            "overrides.num_classes": 7,
            "mix": {"mixup": 0.4},
            "schedule": {"name": "cosine", "final": 0.1},
        }
    )
    assert changed.optimizer.lr == 0.3
    assert changed.optimizer.momentum == CIFAR.optimizer.momentum
    assert changed.spec.num_classes == 7
    assert changed.mix.mixup == 0.4
    assert changed.schedule == Cosine(final=0.1)
    assert CIFAR.optimizer.lr == 0.2


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"epochs": 0}, SpecError, "epochs (=0) must be at least 1"),
        ({"optimizer.lr": -1}, SpecError, "sgd.lr (=-1) must be greater than 0"),
        ({"optimizer.lr": "fast"}, SpecError, "optimizer.sgd.lr (='fast'): Input should be"),
        ({"optimizer.rate": 1}, UnknownNameError, "unknown field of a recipe 'optimizer.rate'"),
        ({"epoch": 1}, UnknownNameError, "unknown field of a recipe 'epoch'; did you mean 'epochs"),
        ({"optimizer": {"name": "adamw"}}, SpecError, "does not match any of the expected tags"),
        ({"schedule": {"name": "cosine", "x": 1}}, SpecError, "schedule.cosine.x (=1): Unexpected"),
        ({"train": []}, SpecError, "train must end in normalize, and have it once"),
        (
            {"evaluate": RECIPES["cifar10"].train},
            SpecError,
            "evaluate: random_crop draws numbers; an evaluation must repeat itself",
        ),
        ({"network": "shufflenet"}, UnknownNameError, "unknown model 'shufflenet'"),
        ({"overrides.num_classes": -1}, SpecError, "num_classes (=-1)"),
        (
            {"accumulate": 3},
            SpecError,
            "batch_size (=128) must be divisible by accumulate (=3)",
        ),
        ({"clip_value": 1, "clip_norm": 1}, SpecError, "cannot both be set"),
        ({"label_smoothing": 2}, SpecError, "label_smoothing (=2) must be from 0 to 1"),
        ({"ema": float("nan")}, SpecError, "ema"),
    ],
)
def test_what_does_not_fit_is_named(changes, error, text):
    with pytest.raises(error) as caught:
        recipe("cifar10", **changes)
    assert text in str(caught.value)


def test_what_is_no_recipe_is_refused():
    with pytest.raises(UnknownNameError, match="unknown recipe 'cifar'; did you mean 'cifar10'"):
        recipe("cifar")
    with pytest.raises(SpecError, match="a recipe: it must be JSON"):
        Recipe.from_json("{")
    with pytest.raises(SpecError, match="a recipe: it must be a JSON object, not list"):
        Recipe.from_json("[]")
    values = json.loads(CIFAR.to_json())
    del values["network"]
    with pytest.raises(SpecError, match="network"):
        Recipe.from_dict(values)


STEPS = 40
LR = 0.3


def _torch_rates(make) -> list[tuple[float, float]]:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=LR, momentum=0.9)
    scheduler = make(optimizer)
    rates = []
    for _ in range(STEPS):
        optimizer.step()
        (group,) = optimizer.param_groups
        rates.append((group["lr"], group["momentum"]))
        if len(rates) < STEPS:
            scheduler.step()
    return rates


SCHEDULES = {
    "linear": (
        Linear(final=0.2),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=STEPS),
    ),
    "cosine": (
        Cosine(final=0.01),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.01 * LR),
    ),
    "one_cycle": (
        OneCycle(),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, LR, total_steps=STEPS),
    ),
    "one_cycle, straight": (
        OneCycle(rise=0.25, start=0.1, end=1e-3, momenta=(0.8, 0.9), shape="linear"),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, LR, total_steps=STEPS, pct_start=0.25, anneal_strategy="linear", div_factor=10,
            final_div_factor=100, base_momentum=0.8, max_momentum=0.9,
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_pytorchs(name):
    ours, make = SCHEDULES[name]
    theirs = _torch_rates(make)
    found = [values_at(ours, step, STEPS, 10) for step in range(STEPS)]
    assert [LR * factor for factor, _ in found] == pytest.approx([lr for lr, _ in theirs], rel=1e-6)
    if ours.momentum(0, STEPS) is not None:
        assert [m for _, m in found] == pytest.approx([m for _, m in theirs], rel=1e-6)
    # the negative control: a step later is another rate
    late = [LR * values_at(ours, min(step + 1, STEPS - 1), STEPS, 10)[0] for step in range(STEPS)]
    assert late != pytest.approx([lr for lr, _ in theirs], rel=1e-6)


@settings(max_examples=100, deadline=None)
@given(
    warmup=st.floats(0, 3), steps=st.integers(1, 60),
    kind=st.sampled_from([Constant, Linear, Cosine]),
)  # fmt: skip
def test_a_warm_up_rises_to_the_full_rate(warmup, steps, kind):
    schedule = kind(warmup_epochs=warmup)
    factors = [values_at(schedule, step, steps, 7)[0] for step in range(steps)]
    length = min(round(warmup * 7), steps - 1)
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[: length + 1] == sorted(factors[: length + 1])
    assert factors[length] == 1


def test_the_public_names():
    assert zoo.recipe("cifar10") is CIFAR
    assert "cifar10_opengenus" in zoo.list_recipes("cifar10*")


def test_all_parts_of_recipes_are_public():
    import typing

    from zoo import recipes

    parts = [Mix, Recipe]
    for union in (recipes.Transform, recipes.Optimizer, recipes.Schedule):
        parts += typing.get_args(typing.get_args(union)[0])
    assert len(parts) == 16
    for part in parts:
        assert getattr(recipes, part.__name__) is part
        assert part.__name__ in recipes.__all__


def test_a_recipe_is_made_of_its_parts():
    from zoo import recipes as r

    scale = r.Normalize(mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26))
    made = Recipe(
        network="shufflenet_v2_0.5x_cifar",
        batch_size=128,
        epochs=30,
        train=(r.RandomCrop(size=32, padding=4), r.RandomHorizontalFlip(), scale),
        evaluate=(scale,),
        optimizer=r.SGD(lr=0.1, momentum=0.9, weight_decay=5e-4),
        schedule=r.OneCycle(),
    )
    assert Recipe.from_json(made.to_json()) == made
