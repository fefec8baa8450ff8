"""Displacement estimators and their companions."""

from ..lazy import attributes

_WHERE = {
    "DiffuseMorph": "diffusemorph",
    "EnsembleNetwork": "ensemble",
    "Cascaded": "cascaded",
    "LabelRefiner": "label_refiner",
    "Pyramid": "pyramid",
    "RegistrationNetwork": "registration",
    "ScoringEstimator": "companions",
    "TransMorph": "transmorph",
    "VarianceEstimator": "companions",
    "VoxelMorph": "voxelmorph",
    "from_transmorph": "transmorph_keys",
}
__all__ = sorted(_WHERE)
__getattr__ = attributes(__name__, _WHERE)
