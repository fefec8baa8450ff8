"""A bundle behind MONAI Label: a request becomes a pair of images, the prediction an image on the native grid."""

from .inferer import StackInferer
from .request import PairOfRequest
from .response import ImageOfPrediction, native_outputs

__all__ = ["ImageOfPrediction", "PairOfRequest", "StackInferer", "native_outputs"]
