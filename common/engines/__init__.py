"""Trainers, and what evaluates what they trained."""

from .evaluator import RegistrationEvaluator
from .inferer import BatchInferer
from .trainer import AlternatingTrainer, JointTrainer, SingleTrainer

__all__ = ["AlternatingTrainer", "BatchInferer", "JointTrainer", "RegistrationEvaluator", "SingleTrainer"]
