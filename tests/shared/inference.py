"""What tests of inference share: a network of known output, a run of it, and a prepared set made of native files."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from torch import Tensor, nn

from common.data.prepared import Dataset, write
from common.grids import crop_affine, crop_or_pad, min_max
from common.nifti import save_image
from common.registration.inference import RegistrationInference
from common.registration.pairs import PairsToRegister


class Constant(nn.Module):
    """Move everything by ``shift`` and say ``value`` everywhere."""

    def __init__(self, shift: tuple[float, ...], map_name: str = "log_variance", value: float = -5.0) -> None:
        super().__init__()
        self.shift, self.value = nn.Parameter(torch.tensor(shift)), value
        self.spatial_dims = len(shift)
        self.channels = (*(f"ddf_{a}" for a in range(len(shift))), map_name, "warped")
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        self.seen.append(image)
        ddf = self.shift.view(1, -1, *[1] * self.spatial_dims).expand(len(image), -1, *image.shape[2:])
        return torch.cat([ddf, torch.full_like(image[:, :1], self.value), image[:, :1]], dim=1)


def infer(network: nn.Module, output: Path, **options: object) -> dict[str, np.ndarray]:
    """Register by ``network``; the images that are written as arrays, by name."""
    dataset = PairsToRegister(spatial_dims=network.spatial_dims, **options)
    inference = RegistrationInference("cpu", network, dataset, output, picture=False)
    inference.run()
    assert sorted(inference.files) == sorted(path for path in output.rglob("*") if path.is_file())
    images = [path for path in inference.files if path.suffix == ".gz"]
    return {path.name.removesuffix(".nii.gz"): np.asarray(nib.load(path).dataobj) for path in images}


ALWAYS = ("warped", "field", "inverse_field", "displacement", "jacobian", "seen")
"""What every registration writes."""


def names_of(start: str, *more: str) -> set[str]:
    """The names of the images of a registration that has ``more`` of them."""
    return {f"{start}_{name}" for name in (*ALWAYS, *more)}


def prepared_from(files: dict[str, Path], root: Path, start: tuple[int, int, int]) -> Path:
    """Write the files' region from ``start`` on as a prepared data set that knows where it was cut."""
    for name, path in files.items():
        image = nib.load(path)
        crop = crop_or_pad(np.asarray(image.dataobj), start, (16, 20, 3))
        crop = crop if name == "moving_label" else min_max(crop)
        save_image(root / path.name, crop, crop_affine(image.affine, start))
    native = {"crop_start": start, "native_shape": [37, 30, 4]} | {k: files[k].name for k in ("moving", "fixed")}
    entry = {name: path.name for name, path in files.items()} | {"subject": "a", "native": native}
    write(Dataset(root, "toy", 2, splits={"test": [{"id": f"a{k}", "slice": k, **entry} for k in range(3)]}))
    return root
