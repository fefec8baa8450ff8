"""A task of the Decathlon in small: noisy balls of growing radius in volumes of 1 mm, with two labels."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np

from tools.prepare.__main__ import main

SHAPE, SIZE = (20, 24, 18), "24,24,24"
SUBJECTS = [f"toy_{number}" for number in range(8)]


def ball(shape: tuple[int, ...], centre: np.ndarray, radius: float, spacing: float) -> np.ndarray:
    """Labels of a shell (1) and its core (2)."""
    distance = np.linalg.norm((np.stack(np.indices(shape), -1) - centre) * spacing, axis=-1)
    return (distance < radius).astype(np.uint8) + (distance < 0.6 * radius)


def save(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    """Write a NIfTI file, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def make_task(root: Path) -> Path:
    """Write the task in the official layout, all volumes but the first in LPS."""
    random = np.random.default_rng(0)
    for number, name in enumerate(SUBJECTS):
        label = ball(SHAPE, np.array(SHAPE) / 2, 5 + 0.5 * number, 1.0)
        image = (label * 100 + random.normal(0, 5, SHAPE)).astype(np.float32)
        affine = np.diag([-1.0, -1, 1, 1] if number else [1.0, 1, 1, 1])
        affine[:3, 3] = random.normal(0, 10, 3)
        save(root / f"imagesTr/{name}.nii.gz", image, affine)
        save(root / f"labelsTr/{name}.nii.gz", label, affine)
    entries = [{"image": f"imagesTr/{n}.nii.gz", "label": f"labelsTr/{n}.nii.gz"} for n in SUBJECTS]
    task = {"name": "Toy", "modality": {"0": "MRI"}, "labels": {"0": "no", "1": "shell", "2": "core"}}
    (root / "dataset.json").write_text(json.dumps({**task, "training": entries}))
    return root


def prepare_task(source: Path, output: Path) -> Path:
    """Prepare it with voxels of 1 mm, padded: 4 subjects train, 2 validate and 2 test."""
    options = ["--size", SIZE, "--spacing", "1,1,1", "--fractions", "0.5,0.25,0.25", "--jobs", "1"]
    assert main(["msd", "--source", str(source), "--output", str(output), *options]) == 0
    return output
