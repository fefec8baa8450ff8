"""A registration from Python is what the bundle's own inference writes, to the last voxel and number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from toy_registration import grid_around

from common.io import MedicalImage, read_image, write_image
from common.registration.api import register
from common.registration.bundle import open_bundle

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "bundles"
CHILD = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}  # to the last bit
pytestmark = pytest.mark.skipif(not BUNDLES.is_dir(), reason="the repository's bundles are not here")


def smooth(shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.random([-(-n // 6) for n in shape])
    for axis in range(len(shape)):
        coarse = coarse.repeat(6, axis=axis)
    return (900 * coarse[tuple(slice(n) for n in shape)]).astype(np.float32)


def files_of(folder: Path, shape: tuple[int, ...], spacing: tuple[float, ...], off: float = 0.0) -> dict[str, Path]:
    """A pair whose moving image, with its label, lies ``off`` mm beside the fixed one's grid."""
    arrays = {name: smooth(shape, seed) for seed, name in enumerate(("moving", "fixed"))}
    arrays["moving_label"] = (arrays["moving"] > 300).astype(np.uint8) + (arrays["moving"] > 600)
    affines = {name: grid_around(shape, spacing, off=0.0 if name == "fixed" else off) for name in arrays}
    return {name: write_image(folder / f"{name}.nii.gz", array, affines[name]) for name, array in arrays.items()}


@pytest.mark.parametrize(
    ("name", "shape", "spacing"),
    [
        ("vxm_hetero_disp", (70, 64, 3), (1.4, 1.2, 8.0)),
        ("vxm_adacs", (64, 80), (1.4, 1.2)),
        ("vxm_predictive", (22, 26, 24), (1.0, 1.0, 1.0)),
    ],
)
def test_inference_writes_the_same_files_voxels_and_numbers(
    tmp_path: Path, name: str, shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    files = files_of(tmp_path, shape, spacing, off=0.0 if len(shape) == 2 else 2.5)
    crop = [] if len(spacing) == 3 and spacing[2] == 1 else ["--crop_size", "48"]
    config = BUNDLES / name / "configs" / "inference.yaml"
    given = [word for key, file in files.items() for word in (f"--{key}", str(file))]
    command = [sys.executable, "-m", "monai.bundle", "run", "inference", "--config_file", str(config), *given, *crop]
    command += ["--output_dir", str(tmp_path / "inference"), "--device", "cpu"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=CHILD)
    options = {} if not crop else {"crop_size": 48}
    found = register(files["moving"], files["fixed"], BUNDLES / name, label=files["moving_label"], **options)
    ours = {path.name: path for path in found.save(tmp_path / "register")}
    theirs = {path.name: path for path in (tmp_path / "inference").iterdir()}
    assert np.abs(found.field.vectors).max() > 0.1
    assert_equal_images(theirs.pop("moving_displacement.nii.gz"), ours["moving_field.nii.gz"])
    assert set(ours) == set(theirs)
    for key in ours:
        if key.endswith(".nii.gz"):
            assert_equal_images(ours[key], theirs[key])
    numbers = [json.loads(files["moving.json"].read_text()) for files in (ours, theirs)]
    for each in numbers:
        assert each["network"].pop("seconds") > 0
    assert numbers[0] == numbers[1]


def assert_equal_images(one: Path, other: Path) -> None:
    """The same voxels, types and places."""
    first, second = nib.load(one), nib.load(other)
    assert first.get_data_dtype() == second.get_data_dtype()
    np.testing.assert_array_equal(first.affine, second.affine)
    np.testing.assert_array_equal(np.asarray(first.dataobj), np.asarray(second.dataobj))


def test_turned_and_resampled_images_give_the_same_motion(tmp_path: Path) -> None:
    """A network that wants RAS axes sees the same volume, however it is stored."""
    files = files_of(tmp_path, (22, 26, 24), (1.0, 1.0, 1.0))
    bundle = open_bundle(BUNDLES / "vxm_predictive")
    fixed = read_image(files["fixed"])
    expected = register(files["moving"], fixed, bundle)
    stored = np.array([[2, -1.0], [0, 1.0], [1, -1.0]])
    affine = fixed.affine @ nib.orientations.inv_ornt_aff(stored, fixed.array.shape)
    other = MedicalImage(nib.orientations.apply_orientation(fixed.array, stored), affine, fixed.path)
    found = register(files["moving"], other, bundle)
    turned = nib.orientations.apply_orientation(expected.field.vectors, stored)
    np.testing.assert_allclose(found.field.vectors, turned, atol=2e-3)
    for key, values in expected.maps.items():
        differ = np.abs(nib.orientations.apply_orientation(values, stored) - found.maps[key].astype(float)) > 2e-3
        assert differ.mean() < 1e-3, key
