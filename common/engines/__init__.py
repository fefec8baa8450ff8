"""Trainers, and what evaluates and applies what they trained."""

from .trainer import AlternatingTrainer, JointTrainer, SingleTrainer

__all__ = ["AlternatingTrainer", "JointTrainer", "SingleTrainer"]
