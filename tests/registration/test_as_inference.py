"""On one grid a registration is what the bundle's own inference writes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from toy_registration import grid_around

from common.engines.inference import RegistrationInference
from common.engines.inference_cases import PairsToRegister
from common.io import MedicalImage, read_field, read_image, read_label, write_image
from common.registration.bundle import open_bundle
from common.registration.outcome import Outcome
from common.registration.register import register

BUNDLES = Path(__file__).parents[2] / "bundles"
pytestmark = pytest.mark.skipif(not BUNDLES.is_dir(), reason="the repository's bundles are not here")


def smooth(shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.random([-(-n // 6) for n in shape])
    for axis in range(len(shape)):
        coarse = coarse.repeat(6, axis=axis)
    return (900 * coarse[tuple(slice(n) for n in shape)]).astype(np.float32)


def files_of(folder: Path, shape: tuple[int, ...], spacing: tuple[float, ...]) -> dict[str, Path]:
    affine = grid_around(shape, spacing)
    arrays = {name: smooth(shape, seed) for seed, name in enumerate(("moving", "fixed"))}
    arrays["moving_label"] = (arrays["moving"] > 300).astype(np.uint8) + (arrays["moving"] > 600)
    return {name: write_image(folder / f"{name}.nii.gz", array, affine) for name, array in arrays.items()}


@pytest.mark.parametrize(
    ("name", "shape", "spacing"),
    [
        ("vxm_hetero_disp", (70, 64, 3), (1.4, 1.2, 8.0)),
        ("vxm_adacs", (64, 80), (1.4, 1.2)),
        ("vxm_predictive", (22, 26, 24), (1.0, 1.0, 1.0)),
    ],
)
def test_the_same_grid_gives_what_inference_writes(
    tmp_path: Path, name: str, shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    files = files_of(tmp_path, shape, spacing)
    how = {} if len(spacing) == 3 and spacing[2] == 1 else {"crop_size": 48}
    bundle = open_bundle(BUNDLES / name, **how)
    dataset = PairsToRegister(**files, spatial_dims=bundle.spatial_dims, framing=bundle.framing)
    inference = RegistrationInference("cpu", bundle.network, dataset, tmp_path / "inference")
    inference.run()
    theirs = {path.name.removesuffix(".nii.gz"): path for path in inference.files}
    moving, fixed = read_image(files["moving"]), read_image(files["fixed"])
    label = read_label(files["moving_label"])
    found = register(bundle, moving, fixed, label)
    outcome = Outcome(moving, fixed, found, label)
    np.testing.assert_allclose(found.field.vectors, read_field(theirs.pop("moving_displacement")).vectors, atol=1e-4)
    ours = {"warped": outcome.warped, "warped_label": outcome.warped_label} | found.maps
    for key, path in theirs.items():
        array, scale = np.asarray(nib.load(path).dataobj), 900 if key == "moving_warped" else 1
        differ = np.abs(ours[key.removeprefix("moving_")] - array.astype(float)) > 1e-4 * scale
        # a label may fall on the border between two voxels
        assert differ.mean() <= (1e-3 if array.dtype == np.uint8 else 0), key


def test_turned_and_resampled_images_give_the_same_motion(tmp_path: Path) -> None:
    """A network that wants RAS axes sees the same volume, however it is stored."""
    files = files_of(tmp_path, (22, 26, 24), (1.0, 1.0, 1.0))
    bundle = open_bundle(BUNDLES / "vxm_predictive")
    moving, fixed = read_image(files["moving"]), read_image(files["fixed"])
    expected = register(bundle, moving, fixed)
    stored = np.array([[2, -1.0], [0, 1.0], [1, -1.0]])
    affine = fixed.affine @ nib.orientations.inv_ornt_aff(stored, fixed.array.shape)
    other = MedicalImage(nib.orientations.apply_orientation(fixed.array, stored), affine, fixed.path)
    found = register(bundle, moving, other)
    turned = nib.orientations.apply_orientation(expected.field.vectors, stored)
    np.testing.assert_allclose(found.field.vectors, turned, atol=2e-3)
    for key, values in expected.maps.items():
        differ = np.abs(nib.orientations.apply_orientation(values, stored) - found.maps[key].astype(float)) > 2e-3
        assert differ.mean() < 1e-3, key
