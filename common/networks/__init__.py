"""Displacement estimators and their companions."""

from .companions import ScoringEstimator, VarianceEstimator
from .diffusemorph import DiffuseMorph
from .registration import RegistrationNetwork
from .transmorph import TransMorph
from .voxelmorph import VoxelMorph

__all__ = ["DiffuseMorph", "RegistrationNetwork", "ScoringEstimator", "TransMorph", "VarianceEstimator", "VoxelMorph"]
