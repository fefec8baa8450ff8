"""Files: images on their native grid, displacement fields in physical space, points, weights."""

from ..lazy import attributes

_IMAGES = ["MedicalImage", "read_affine", "read_frames", "read_image", "read_label", "stem", "write_image"]
_WHERE = {
    **dict.fromkeys(_IMAGES, "images"),
    **dict.fromkeys(["read_field", "read_transform", "read_transforms", "write_field"], "fields"),
    **dict.fromkeys(["read_points", "write_points"], "points"),
    **dict.fromkeys(["load_weights", "save_weights"], "weights"),
}
__all__ = sorted(_WHERE)
__getattr__ = attributes(__name__, _WHERE)
