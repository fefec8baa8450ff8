"""Objectives: one file a method."""

from .adacs import AdaCSObjective
from .base import Objective, Terms
from .hetero import HeteroObjective
from .mse import MSEObjective

__all__ = ["AdaCSObjective", "HeteroObjective", "MSEObjective", "Objective", "Terms"]
