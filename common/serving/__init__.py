"""A bundle behind MONAI Label: a request becomes a pair of images, the prediction an image on the native grid."""

from .request import PairOfRequest
from .response import ImageOfPrediction

__all__ = ["ImageOfPrediction", "PairOfRequest"]
