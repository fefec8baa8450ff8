"""common.regridding: an image on another grid, where both lie in space."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.grids import apart, same_grid
from common.io import MedicalImage
from common.regridding import filled, matched_label, on_grid

AFFINE = np.eye(4)
AFFINE[:3, :3] = np.linalg.qr(np.array([[2.0, 1.0, 0.3], [-0.5, 1.5, 0.2], [0.1, -0.4, 1.0]]))[0] * [1.2, 0.8, 6.0]
AFFINE[:3, 3] = (-31.0, 12.5, 80.0)
SHAPE = (7, 6, 5)


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(SHAPE).astype(np.float32)


@pytest.mark.parametrize("codes", ["LAS", "RPI", "SAL", "PIR"])
def test_any_order_of_the_axes_gives_every_voxel_back(codes: str) -> None:
    turn = nib.orientations.axcodes2ornt(codes)
    stored = nib.orientations.apply_orientation(image(), turn)
    affine = AFFINE @ nib.orientations.inv_ornt_aff(turn, SHAPE)
    for order, array in ((1, stored), (0, (stored * 200).astype(np.uint8))):
        values, seen = on_grid(array, affine, SHAPE, AFFINE, order)
        expected = image() if order else (image() * 200).astype(np.uint8)
        np.testing.assert_allclose(values, expected, atol=1e-6)
        assert seen.all() and values.dtype == array.dtype


def test_an_image_ends_half_a_voxel_beyond_its_outer_centres() -> None:
    ramp = np.arange(4.0, dtype=np.float32)[:, None, None] + np.zeros((4, 3, 3), np.float32)
    grid = np.diag([0.5, 1, 1, 1])
    grid[0, 3] = -1.25  # x from -1.25 on, in steps of 0.5
    values, seen = on_grid(ramp, np.eye(4), (12, 3, 3), grid)
    x = -1.25 + 0.5 * np.arange(12)
    np.testing.assert_array_equal(seen[:, 0, 0], (x > -0.5) & (x < 3.5))
    np.testing.assert_allclose(values[:, 1, 1], np.clip(x, 0, 3), atol=1e-6)
    assert (filled(values, seen, 3)[~seen] == 0).all()
    assert (filled(values, seen, 3, -1024.0)[~seen] == -1024).all()


def test_slices_are_filled_with_their_own_smallest_value() -> None:
    values, seen = image(), np.ones(SHAPE, bool)
    seen[:3], seen[..., 4] = False, False
    dark = filled(values, seen, 2)
    for k in range(4):
        assert (dark[:3, :, k] == values[3:, :, k].min()).all()
    assert (dark[..., 4] == values.min()).all()  # nothing of it is seen
    np.testing.assert_allclose(filled(values - 1500, seen, 2) + 1500, dark, atol=2e-4)


def test_small_voxels_are_averaged_so_that_none_is_left_out() -> None:
    fine = np.zeros((40, 40, 40), np.float32)
    fine[::2] = 1
    coarse = np.diag([4.0, 4, 4, 1])
    coarse[:3, 3] = 1.5
    values, _ = on_grid(fine, np.eye(4), (10, 10, 10), coarse)
    np.testing.assert_allclose(values[1:-1], 0.5, atol=0.02)


def test_grids_are_the_same_but_for_rounding_at_every_voxel() -> None:
    assert same_grid(AFFINE.astype(np.float32), AFFINE, (512, 512, 300))
    turned = AFFINE.copy()
    turned[:3, 0] *= 1.0005  # a ten-thousandth of a voxel from one to the next, a quarter at the end of the row
    assert same_grid(turned, AFFINE) and not same_grid(turned, AFFINE, (512, 512, 300))
    assert apart(turned, AFFINE, (401, 2, 2)) == pytest.approx(400 * 0.0005 * 1.2 / 0.8)
    assert not same_grid(np.full((4, 4), np.nan), AFFINE)


def test_a_label_map_goes_where_its_header_says_and_so_does_the_remark() -> None:
    label = np.zeros(SHAPE, np.uint8)
    label[1:3, 2:, :4] = 3
    like = MedicalImage(image(), AFFINE, Path("image.nii"))
    same = MedicalImage(label, AFFINE.astype(np.float32), Path("label.nii"))
    assert matched_label(same, like)[1] == "" and matched_label(same, like)[0] is label
    shifted = AFFINE.copy()
    shifted[:3, 3] += AFFINE[:3, 1] * 2
    array, remark = matched_label(MedicalImage(label, shifted, Path("label.nii")), like)
    np.testing.assert_array_equal(array[:, 4:], label[:, 2:4])
    assert "label.nii: by its header its voxels lie up to 2 voxels from those of image.nii" in remark
    shifted[:3, 3] += 500
    with pytest.raises(InputError, match="label.nii: by its header no label of it lies in image.nii"):
        matched_label(MedicalImage(label, shifted, Path("label.nii")), like)
    empty, remark = matched_label(MedicalImage(0 * label, shifted, Path("label.nii")), like)
    assert not empty.any() and remark


def test_two_dimensions_are_matched_too() -> None:
    affine = np.diag([1.5, 1.0, 1, 1])
    flipped = affine.copy()
    flipped[0, 0], flipped[0, 3] = -1.5, 1.5 * (SHAPE[0] - 1)
    values, seen = on_grid(image()[::-1, :, 0], flipped, SHAPE[:2], affine)
    np.testing.assert_allclose(values, image()[..., 0], atol=1e-6)
    assert seen.all()
