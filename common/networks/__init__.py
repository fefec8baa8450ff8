"""Displacement estimators and their companions."""

from .companions import ScoringEstimator, VarianceEstimator
from .registration import RegistrationNetwork
from .voxelmorph import VoxelMorph

__all__ = ["RegistrationNetwork", "ScoringEstimator", "VarianceEstimator", "VoxelMorph"]
