"""A bundle behind MONAI Label: a request becomes a pair of images, the prediction an image on the native grid."""

from ..lazy import attributes

_WHERE = {"ImageOfPrediction": "response", "PairOfRequest": "request"}
__all__ = sorted(_WHERE)
__getattr__ = attributes(__name__, _WHERE)
