"""Files: images and pairs on their native grid, displacement fields in physical space, weights."""

from ..lazy import attributes
from .displacement import read_displacement, to_physical, to_voxels, write_displacement
from .images import MedicalImage, read_affine, read_image, read_label, stem
from .pairs import NativePair, read_pair

# readers need no torch
__getattr__ = attributes(__name__, dict.fromkeys(["file_hash", "load_weights", "save_weights"], "weights"))
__all__ = [
    "MedicalImage",
    "NativePair",
    "file_hash",
    "load_weights",
    "read_affine",
    "read_displacement",
    "read_image",
    "read_label",
    "read_pair",
    "save_weights",
    "stem",
    "to_physical",
    "to_voxels",
    "write_displacement",
]
