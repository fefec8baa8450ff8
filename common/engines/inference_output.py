"""From a network's prediction to files on the native grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..files import save_image
from ..io import write_displacement
from ..networks.channels import name_of
from ..spatial import warp
from .inference_cases import Case, to_batch

OUTSIDE = {"log_variance": 0.0, "score": 0.0, "displacement_log_variance": 10.0, "ddf_variance": float(np.exp(10))}
"""Map -> its value where nothing was registered: trust nothing. A log variance of 0 is a standard deviation of the
whole intensity range, a score of 0 no correspondence, a displacement's log variance of 10 (a variance of e^10 between
the fields of an ensemble) a deviation of 148 of the network's voxels."""
UNKNOWN_LABEL = 2.0
"""``label_uncertainty`` there: the error, summed over the classes, of a label that is certainly wrong."""


def write_case(case: Case, pred: Tensor, channels: Sequence[str], output_dir: str | Path) -> list[Path]:
    """Write `native_outputs` and the displacement, on the fixed image's native grid; return the files.

    Args:
        pred: (S, C, *region.shape), channels as `RegistrationNetwork` names them.

    Raises:
        InputError: a file cannot be written.
    """
    outputs, ddf = native_outputs(case, pred, channels)
    files = {name: file_of(case, name, output_dir) for name in (*outputs, "displacement")}
    for name, array in outputs.items():
        save_image(files[name], array, case.affine)
    write_displacement(files["displacement"], ddf, case.affine)
    return list(files.values())


def native_outputs(case: Case, pred: Tensor, channels: Sequence[str]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the warped image and label and the method's maps by name, (i, j[, k]), and the field, (D, i, j[, k]).

    All are on the fixed image's native grid, the field in its voxels. Outside the region that the network saw, and in
    slices that the moving image does not reach, the displacement is zero and the map has its value in `OUTSIDE`. The
    image keeps its intensities and is sampled linearly, the label to the nearest voxel; both are 0 where the
    displacement leaves the image. A network with classes that was given a moving label adds ``segmentation``, its most
    probable class (0 outside). ``label_uncertainty`` is the expected error of the classes' shares, summed over the
    classes (0 sure, 2 certainly wrong and outside); a network predicts it from the images alone, an ensemble needs the
    label.

    Args:
        pred: (S, C, *region.shape), channels as `RegistrationNetwork` names them.
    """
    dims, grid = case.spatial_dims, case.moving.shape[: case.spatial_dims]
    pred = pred.detach().float().cpu()
    ddf = where_covered(case, case.region.place_field(pred[:, :dims], grid), 0.0)
    outputs = {"warped": warped_image(case.moving.astype(np.float32), ddf, case)}
    if case.moving_label is not None:
        outputs["warped_label"] = warped_image(case.moving_label, ddf, case)
    maps = native_maps(case, pred, channels, grid)
    return outputs | {name: _unstack(array, case) for name, array in maps.items()}, _unstack(ddf, case)


def native_maps(case: Case, pred: Tensor, channels: Sequence[str], grid: Sequence[int]) -> dict[str, Tensor]:
    """The method's maps and those of labels, (S, *grid); see `native_outputs`."""
    maps = {
        name: case.region.place(pred[:, channel : channel + 1], grid, OUTSIDE[name])[:, 0]
        for channel, name in enumerate(channels)
        if name in OUTSIDE
    }
    maps |= label_maps(case, pred, channels, grid)
    nowhere = {**OUTSIDE, "segmentation": 0, "label_uncertainty": UNKNOWN_LABEL}
    return {name: where_covered(case, array, nowhere[name]) for name, array in maps.items()}


def where_covered(case: Case, values: Tensor, fill: float) -> Tensor:
    """``values`` (S, ...) with ``fill`` in the slices that the moving image does not reach."""
    if case.covered is None:
        return values
    covered = case.covered.view(-1, *[1] * (values.dim() - 1))
    return torch.where(covered, values, torch.tensor(fill, dtype=values.dtype))


def label_maps(case: Case, pred: Tensor, channels: Sequence[str], grid: Sequence[int]) -> dict[str, Tensor]:
    """``segmentation`` (uint8) and ``label_uncertainty``, as far as the channels have them, (S, *grid)."""
    maps = {}
    classes, uncertainties = (numbered(channels, name) for name in ("segmentation", "label_uncertainty"))
    labelled = case.label is not None
    if classes and labelled:
        maps["segmentation"] = case.region.place(pred[:, classes], grid).argmax(1).to(torch.uint8)
    if uncertainties and (labelled or "ddf_variance" not in channels):
        total = pred[:, uncertainties].sum(1, keepdim=True).clamp(max=UNKNOWN_LABEL)
        maps["label_uncertainty"] = case.region.place(total, grid, UNKNOWN_LABEL)[:, 0]
    return maps


def numbered(channels: Sequence[str], name: str) -> list[int]:
    """Where ``name_0``, ``name_1``, ... are among the ``channels``; [] if they are not."""
    return [number for number, channel in enumerate(channels) if name_of(channel) == name != channel]


def file_of(case: Case, name: str, output_dir: str | Path) -> Path:
    """The file of a case's output ``name``."""
    start = Path(output_dir) / case.folder / case.name
    return start.with_name(f"{start.name}_{name}.nii.gz")


def warped_image(array: np.ndarray, ddf: Tensor, case: Case) -> np.ndarray:
    """A native image (float: linear) or label (nearest) under ``ddf`` (S, D, *grid), in the shape that it has."""
    mode = "bilinear" if array.dtype.kind == "f" else "nearest"
    batch = to_batch(array, case.spatial_dims).float()
    warped = _unstack(warp(batch, ddf, mode=mode)[:, 0], case)
    return warped.astype(array.dtype)


def _unstack(maps: Tensor, case: Case) -> np.ndarray:
    """Turn (S, ...) back into (..., i, j), (..., i, j, k), whichever the native image is."""
    stack = case.spatial_dims == 2 and case.moving.ndim == 3
    return (torch.movedim(maps, 0, -1) if stack else maps[0]).numpy()
