"""A trained network applied to images."""

from segdistill.prediction.deployable import Deployable
from segdistill.prediction.load import CHECKPOINTS, load, load_network, load_predictor, weights_file
from segdistill.prediction.predicting import Predicted, predict
from segdistill.prediction.predictor import Predictor

__all__ = [
    "CHECKPOINTS",
    "Deployable",
    "Predicted",
    "Predictor",
    "load",
    "load_network",
    "load_predictor",
    "predict",
    "weights_file",
]
