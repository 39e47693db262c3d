"""What each of several processes runs in tests/test_training.py."""

import sys

from training_material import tiny_data, tiny_recipe

import zoo

if __name__ == "__main__":
    zoo.train(tiny_recipe(epochs=1), tiny_data(), sys.argv[1], backend="torch")
