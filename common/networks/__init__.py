"""Displacement estimators and their companions."""

from .companions import ScoringEstimator, VarianceEstimator
from .diffusemorph import DiffuseMorph
from .ensemble import EnsembleNetwork
from .label_refiner import LabelRefiner
from .registration import RegistrationNetwork
from .transmorph import TransMorph
from .voxelmorph import VoxelMorph

__all__ = [
    "DiffuseMorph",
    "EnsembleNetwork",
    "LabelRefiner",
    "RegistrationNetwork",
    "ScoringEstimator",
    "TransMorph",
    "VarianceEstimator",
    "VoxelMorph",
]
