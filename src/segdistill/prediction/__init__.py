"""A trained network applied to images."""

from segdistill.prediction.files import predict_files
from segdistill.prediction.load import load, load_predictor
from segdistill.prediction.predicting import Predicted, predict
from segdistill.prediction.predictor import Predictor

__all__ = [
    "Predicted",
    "Predictor",
    "load",
    "load_predictor",
    "predict",
    "predict_files",
]
