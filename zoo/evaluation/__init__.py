"""What a trained network does on images: accuracy, confusions, predictions."""

from zoo.evaluation.agreement import Agreement as Agreement
from zoo.evaluation.agreement import compare as compare
from zoo.evaluation.evaluation import Evaluation as Evaluation
from zoo.evaluation.predictions import Predictions as Predictions
from zoo.evaluation.predictions import predict as predict
from zoo.evaluation.runner import evaluate as evaluate
