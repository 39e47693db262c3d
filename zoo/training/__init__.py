"""Training: the loop over epochs that every framework shares, and what a run leaves behind."""

from zoo.training.run import Run as Run
from zoo.training.run import open_run as open_run
from zoo.training.start import resume as resume
from zoo.training.start import train as train
