"""Files: images and pairs on their native grid, displacement fields in physical space, weights."""

from ..fields import Field, to_physical, to_voxels
from ..lazy import attributes
from .displacement import read_displacement, write_displacement
from .fields import read_field, write_field
from .images import MedicalImage, read_affine, read_frames, read_image, read_label, stem, write_image
from .pairs import NativePair, read_pair

# readers need no torch
__getattr__ = attributes(__name__, dict.fromkeys(["load_weights", "save_weights"], "weights"))
__all__ = [
    "Field",
    "MedicalImage",
    "NativePair",
    "load_weights",
    "read_affine",
    "read_displacement",
    "read_field",
    "read_frames",
    "read_image",
    "read_label",
    "read_pair",
    "save_weights",
    "stem",
    "to_physical",
    "to_voxels",
    "write_displacement",
    "write_field",
    "write_image",
]
