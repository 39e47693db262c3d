"""What a trained network does on images: accuracy, confusions, predictions."""

from zoo.evaluation.agreement import Agreement as Agreement
from zoo.evaluation.agreement import compare as compare
from zoo.evaluation.evaluating import evaluate as evaluate
from zoo.evaluation.evaluation import Evaluation as Evaluation
from zoo.evaluation.predicting import predict as predict
from zoo.evaluation.predictions import Predictions as Predictions
