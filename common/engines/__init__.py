"""Trainers, and what evaluates and applies what they trained."""

from ..registration.region import Framing
from .evaluator import RegistrationEvaluator
from .inference import RegistrationInference
from .inference_cases import PairsToRegister
from .inferer import BatchInferer
from .segmentation import AtlasSegmentation
from .segmentation_cases import ImagesToSegment
from .trainer import AlternatingTrainer, JointTrainer, SingleTrainer

__all__ = [
    "AlternatingTrainer",
    "AtlasSegmentation",
    "BatchInferer",
    "Framing",
    "ImagesToSegment",
    "JointTrainer",
    "PairsToRegister",
    "RegistrationEvaluator",
    "RegistrationInference",
    "SingleTrainer",
]
