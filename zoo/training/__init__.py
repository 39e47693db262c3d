"""Training: the loop over epochs that every framework shares, and what a run leaves behind."""

from zoo.training.api import resume as resume
from zoo.training.api import train as train
from zoo.training.run import Run as Run
from zoo.training.run import open_run as open_run
