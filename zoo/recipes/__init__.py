"""Training runs as values: recipes and the parts that they are made of."""

from zoo.recipes.catalogue import RECIPES as RECIPES
from zoo.recipes.catalogue import list_recipes as list_recipes
from zoo.recipes.catalogue import recipe as recipe
from zoo.recipes.definition import Mix as Mix
from zoo.recipes.definition import Precision as Precision
from zoo.recipes.definition import Recipe as Recipe
from zoo.recipes.memory import check_slots as check_slots
from zoo.recipes.memory import decayed as decayed
from zoo.recipes.memory import slot_names as slot_names
from zoo.recipes.optimizers import SGD as SGD
from zoo.recipes.optimizers import Adam as Adam
from zoo.recipes.optimizers import Optimizer as Optimizer
from zoo.recipes.schedules import Schedule as Schedule
from zoo.recipes.schedules import at as at
from zoo.recipes.transforms import RANDOM as RANDOM
from zoo.recipes.transforms import Normalize as Normalize
from zoo.recipes.transforms import Transform as Transform
