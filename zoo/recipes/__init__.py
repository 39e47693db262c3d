"""Training runs as values: recipes and the parts that they are made of.

    from zoo.recipes import SGD, Normalize, OneCycle, RandomCrop, Recipe

A recipe takes instances of these, or the dictionaries that they are in JSON.
"""

from typing import TYPE_CHECKING

from zoo.recipes.catalog import RECIPES, list_recipes, open_recipe, recipe
from zoo.recipes.definition import Mix, Precision, Recipe
from zoo.recipes.memory import check_slots, decayed, slot_names
from zoo.recipes.optimizers import SGD, Adam, Optimizer
from zoo.recipes.schedules import Constant, Cosine, Linear, OneCycle, Schedule, values_at
from zoo.recipes.transforms import (
    RANDOM,
    CenterCrop,
    ColorJitter,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
    Transform,
)
from zoo.renamed import former

__all__ = [
    "RANDOM",
    "RECIPES",
    "SGD",
    "Adam",
    "CenterCrop",
    "ColorJitter",
    "Constant",
    "Cosine",
    "Linear",
    "Mix",
    "Normalize",
    "OneCycle",
    "Optimizer",
    "Precision",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Recipe",
    "Resize",
    "Schedule",
    "Transform",
    "check_slots",
    "decayed",
    "list_recipes",
    "open_recipe",
    "recipe",
    "slot_names",
    "values_at",
]

if not TYPE_CHECKING:
    __getattr__ = former(__name__, globals(), {"at": "values_at"})
