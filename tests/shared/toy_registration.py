"""What tests of registration share: a network that finds a blob, a bundle of it, and blobs on any grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from common.files import file_hash
from common.io.images import MedicalImage, write_image
from common.io.weights import save_weights
from common.physical import grid_points

PLACE, MOTION = np.array([3.0, -4.0, 5.0]), np.array([4.0, 2.0, -3.0])  # LPS mm: of the fixed blob, and to the moving
SD = 3.0  # of a blob, mm


class CentreOfMass(nn.Module):
    """Move everything by the way from the fixed to the moving image's centre of mass; say ``value`` everywhere."""

    def __init__(self, spatial_dims: int = 3, map_name: str = "displacement_log_variance", value: float = 0.5) -> None:
        super().__init__()
        self.spatial_dims, self.inputs, self.num_classes = spatial_dims, 2, None
        self.value = nn.Parameter(torch.tensor(value))
        self.channels = (*(f"ddf_{a}" for a in range(spatial_dims)), map_name, "warped")

    def forward(self, image: Tensor) -> Tensor:
        axes = torch.meshgrid(*[torch.arange(float(n)) for n in image.shape[2:]], indexing="ij")
        centres = [(image * axis).flatten(2).sum(2) / image.flatten(2).sum(2).clamp(min=1e-6) for axis in axes]
        ddf = torch.stack([each[:, 0] - each[:, 1] for each in centres], dim=1)
        ddf = ddf.view(len(image), -1, *[1] * len(axes)).expand(-1, -1, *image.shape[2:])
        return torch.cat([ddf, torch.zeros_like(image[:, :1]) + self.value, image[:, :1]], dim=1)


def toy_bundle(
    folder: Path, spatial_dims: int = 3, spacing: object = None, axes: str = "stored", **more: object
) -> Path:
    """Write a bundle of `CentreOfMass` that sees the whole image."""
    network = {"_target_": "toy_registration.CentreOfMass", "spatial_dims": spatial_dims}
    config = {
        "bundle_root": ".",
        "checkpoint": '$@bundle_root + "/models/model.pt"',
        "crop_size": "all",
        "center": "image",
        "network_size": None,
        "spacing": spacing,
        "axes": axes,
        "network_def": network,
        "run": [],
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.yaml").write_text(yaml.safe_dump(config | more))
    (folder / "configs" / "metadata.json").write_text('{"version": "1.2.3"}')
    save_weights(CentreOfMass(spatial_dims), folder / "models" / "model.pt")
    return folder


def grid_around(
    shape: tuple[int, ...], spacing: tuple[float, ...], rotation: np.ndarray | None = None, off: object = 0.0
) -> np.ndarray:
    """The RAS affine of a grid whose middle is ``off`` (RAS mm) from the origin of space."""
    affine = np.eye(4)
    n = len(shape)
    affine[:n, :n] = (np.eye(3) if rotation is None else rotation)[:n, :n] @ np.diag(spacing)
    affine[:n, 3] = off - affine[:n, :n] @ ((np.array(shape) - 1) / 2)
    return affine


def blob(shape: tuple[int, ...], affine: np.ndarray, place: np.ndarray = PLACE, name: str = "blob") -> MedicalImage:
    """An image of a Gaussian at ``place`` (LPS mm), 0 to 100, exactly 0 from 3 SD on."""
    distance = np.linalg.norm(grid_points(shape, affine) - place[: len(shape)], axis=-1) / SD
    values = np.where(distance < 3, 100 * np.exp(-0.5 * distance**2), 0)
    return MedicalImage(values.astype(np.float32), affine, Path(f"{name}.nii.gz"))


def written(image: MedicalImage, path: Path) -> Path:
    """``image`` as a file."""
    return write_image(path, image.array, image.affine)


def named_bundle(folder: Path, spatial_dims: int = 2, **more: object) -> Path:
    """A toy bundle with a second set of weights, "us", of whole images that had been resized to 24 x 16.

    They say 0.25 where the default, "mr", says 0.5.
    """
    chosen = {"imports": ["$import common.bundle as bundle"], "weights": None, "crop_size": None, "center": "auto"}
    chosen["checkpoint"] = "$bundle.checkpoint(@bundle_root, @weights)"
    toy_bundle(folder, spatial_dims, **chosen | more)
    save_weights(CentreOfMass(spatial_dims, value=0.25), folder / "models" / "model_us.pt")
    cards = {
        "mr": {"file": "models/model.pt", "spacing_mm": [1.5, 1.5], "size": [32, 32], "modality": "MR", "data": "A"},
        "us": {"file": "models/model_us.pt", "spacing_mm": None, "size": [24, 16], "resized": True, "modality": "US"},
    }
    about = {name: {**card, "sha256": file_hash(folder / card["file"])} for name, card in cards.items()}
    about["us"]["data"] = "B, 300 patients"
    metadata = folder / "configs" / "metadata.json"
    metadata.write_text(json.dumps({"version": "1.2.3", "weights": about}))
    return folder
