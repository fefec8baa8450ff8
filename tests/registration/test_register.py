"""Two images of any grid: the motion found is the one in space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from toy_registration import MOTION, PLACE, blob, grid_around, toy_bundle

from common.errors import InputError
from common.grids import crop_affine
from common.io.images import MedicalImage
from common.physical import grid_points, warp_image
from common.registration.bundle import open_bundle
from common.registration.case import Case
from common.registration.register import register_case, register_cases


def turned(degrees: float) -> np.ndarray:
    """A rotation about a slanted axis."""
    axis = np.array([1.0, 2.0, 2.0]) / 3
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


PLAIN = ((40, 42, 44), (1.0, 1.0, 1.0), None, 0.0)
GRIDS = {
    "same": (PLAIN, PLAIN),
    "shifted": (PLAIN, ((44, 40, 41), (1.0, 1.0, 1.0), None, [2.3, -1.6, 0.7])),
    "flipped": (PLAIN, ((42, 44, 40), (1.0, 1.0, 1.0), np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]]), 0.0)),
    "oblique": (((44, 44, 48), (1.1, 1.0, 0.9), turned(17), 0.0), PLAIN),
    "anisotropic": (((34, 60, 20), (1.3, 0.8, 2.2), None, 0.0), ((70, 40, 30), (0.6, 1.1, 1.7), turned(-12), 1.0)),
}


def pair_on(grids: tuple) -> tuple[MedicalImage, MedicalImage]:
    fixed, moving = ((shape, grid_around(shape, spacing, turn, off)) for shape, spacing, turn, off in grids)
    return blob(*moving, PLACE + MOTION, "moving"), blob(*fixed, PLACE, "fixed")


def centre(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return (grid_points(array.shape, affine) * array[..., None]).sum(tuple(range(array.ndim))) / array.sum()


@pytest.mark.parametrize("grids", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize(
    "how", [{}, {"spacing": 1.0, "axes": "RAS"}, {"spacing": [1.5, 2.0, 1.0]}, {"network_size": [32, 40, 24]}], ids=str
)
def test_the_motion_is_that_of_the_blob_in_space(tmp_path: Path, grids: tuple, how: dict[str, object]) -> None:
    moving, fixed = pair_on(grids)
    bundle = open_bundle(toy_bundle(tmp_path / "toy", **how))
    found = register_case(bundle, Case(moving, fixed))
    assert found.field.shape == fixed.array.shape == found.seen.shape
    np.testing.assert_array_equal(found.field.affine, fixed.affine)
    assert found.seen.all() or "network_size" not in how
    np.testing.assert_allclose(found.field.vectors[found.seen].mean(0), MOTION, atol=0.06)
    assert np.ptp(found.field.vectors[found.seen], axis=0).max() < 1e-4
    warped = warp_image(moving.array, moving.affine, found.field)
    np.testing.assert_allclose(centre(warped, fixed.affine), PLACE, atol=0.15)


@pytest.mark.parametrize("across", [0, 1, 2])
def test_a_stack_is_registered_across_its_thickest_axis(tmp_path: Path, across: int) -> None:
    shape, spacing = np.insert([48, 40], across, 5), np.insert([0.9, 1.2], across, 6.0)
    affine = grid_around(tuple(shape), tuple(spacing), turned(10))
    directions = np.diag([-1, -1, 1]) @ affine[:3, :3] / spacing  # LPS
    in_plane = [axis for axis in range(3) if axis != across]
    motion = directions[:, in_plane] @ np.array([3.0, -2.0])
    fixed, moving = (blob(tuple(shape), affine, place) for place in (PLACE, PLACE + motion))
    bundle = open_bundle(toy_bundle(tmp_path / "toy", spatial_dims=2))
    found = register_case(bundle, Case(moving, fixed))
    assert found.slice_axis == across
    shown = np.moveaxis(found.field.vectors, across, 0)[2]
    np.testing.assert_allclose(shown, np.broadcast_to(motion, shown.shape), atol=0.05)
    named = register_case(bundle, Case(moving, fixed), slice_axis=across)
    np.testing.assert_array_equal(named.field.vectors, found.field.vectors)
    finer = replace(moving, array=np.flip(moving.array, across), affine=moving.affine @ nib.orientations.inv_ornt_aff(
        np.array([[a, -1.0 if a == across else 1.0] for a in range(3)]), tuple(shape)))  # fmt: skip
    np.testing.assert_allclose(register_case(bundle, Case(finer, fixed)).field.vectors, found.field.vectors, atol=1e-3)


def test_a_2d_image_may_lie_on_another_2d_grid(tmp_path: Path) -> None:
    fixed = blob((50, 60), grid_around((50, 60), (1.0, 0.8)), PLACE)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moving = blob((80, 64), grid_around((80, 64), (0.7, 0.9), quarter), PLACE + MOTION)
    for how in ({}, {"spacing": 1.25}, {"crop_size": [45, 56]}):
        found = register_case(open_bundle(toy_bundle(tmp_path / str(how), 2, **how)), Case(moving, fixed))
        np.testing.assert_allclose(found.field.vectors[found.seen].mean(0), MOTION[:2], atol=0.05)
        assert found.slice_axis is None and found.field.vectors.shape == (50, 60, 2)


def test_uncertainty_is_that_of_an_axis_in_mm(tmp_path: Path) -> None:
    moving, fixed = pair_on((PLAIN, PLAIN))
    bundle = open_bundle(toy_bundle(tmp_path / "toy", spacing=[1.0, 2.0, 2.0]))
    found = register_case(bundle, Case(moving, fixed))
    expected = np.exp(0.5 / 2) * np.sqrt((1 + 4 + 4) / 3)
    np.testing.assert_allclose(found.maps["uncertainty_mm"][found.seen], expected, rtol=1e-5)
    assert found.network_spacing == (1.0, 2.0, 2.0) and found.network_shape == (40, 21, 22)


def test_many_frames_are_found_as_each_by_itself(tmp_path: Path) -> None:
    shape, affine = (40, 36, 3), grid_around((40, 36, 3), (1.0, 1.0, 5.0))
    moving = blob(shape, affine, PLACE)
    frames = [blob(shape, affine, PLACE + step * np.array([1.0, 0.5, 0])) for step in range(5)]
    frames.append(blob((30, 42, 4), grid_around((30, 42, 4), (1.0, 1.0, 5.0)), PLACE - [2.0, 0, 0]))
    bundle = replace(open_bundle(toy_bundle(tmp_path / "toy", spatial_dims=2)), batch_size=7)
    together = register_cases(bundle, [Case(moving, frame) for frame in frames])
    for found, frame in zip(together, frames, strict=True):
        alone = register_case(bundle, Case(moving, frame))
        np.testing.assert_allclose(found.field.vectors, alone.field.vectors, atol=1e-5)
        assert found.field.shape == frame.array.shape and found.seconds > 0


def test_frames_of_one_grid_are_seen_in_one_region(tmp_path: Path) -> None:
    shape, affine = (64, 64, 2), grid_around((64, 64, 2), (1.0, 1.0, 8.0))
    moving = blob(shape, affine, np.array([0.0, 0, -4]))
    frames = [blob(shape, affine, np.array([step, 0.0, -4])) for step in (0.0, 1.0, 6.0)]
    bundle = open_bundle(toy_bundle(tmp_path / "toy", spatial_dims=2, crop_size=32, center="detect"))
    first, *others = register_cases(bundle, [Case(moving, frame) for frame in frames])
    assert 0 < first.seen.mean() < 1
    assert all(np.array_equal(first.seen, other.seen) for other in others)
    assert not first.field.vectors[~first.seen].any()
    np.testing.assert_array_equal(register_case(bundle, Case(moving, frames[2])).seen, first.seen)


def test_a_moving_image_that_covers_a_part_is_registered_there(tmp_path: Path) -> None:
    moving, fixed = pair_on((PLAIN, ((30, 40, 44), (1.0, 1.0, 1.0), None, 0.0)))
    found = register_case(open_bundle(toy_bundle(tmp_path / "toy")), Case(moving, fixed))
    assert found.overlap == pytest.approx(0.75 * 40 / 42, abs=0.04)
    np.testing.assert_allclose(found.field.vectors[found.seen].mean(0), MOTION, atol=0.1)


def test_slices_that_the_moving_image_does_not_reach_stay_where_they_are(tmp_path: Path) -> None:
    shape, affine = (40, 36, 6), grid_around((40, 36, 6), (1.0, 1.0, 2.0))
    moving, fixed = (blob(shape, affine, np.array([x, 0.0, 0])) for x in (3.0, 0.0))
    short = replace(moving, array=moving.array[:, :, 1:4], affine=crop_affine(affine, (0, 0, 1)))
    bundle = open_bundle(toy_bundle(tmp_path / "toy", 2))
    found, whole = register_case(bundle, Case(short, fixed)), register_case(bundle, Case(moving, fixed))
    assert found.seen.any((0, 1)).tolist() == [False, True, True, True, False, False]
    assert found.overlap == pytest.approx(0.5)
    np.testing.assert_allclose(found.field.vectors[:, :, 1:4], whole.field.vectors[:, :, 1:4], atol=1e-4)
    assert not found.field.vectors[:, :, [0, 4, 5]].any()
    assert (found.maps["displacement_log_variance"][:, :, [0, 4, 5]] == 10).all()


def test_what_cannot_be_registered_is_refused(tmp_path: Path) -> None:
    moving, fixed = pair_on((PLAIN, PLAIN))
    bundle, flat = open_bundle(toy_bundle(tmp_path / "3d")), open_bundle(toy_bundle(tmp_path / "2d", 2))
    away = replace(moving, affine=grid_around((40, 42, 44), (1, 1, 1), off=[500.0, 0, 0]))
    with pytest.raises(InputError, match=r"moving.nii.gz and fixed.nii.gz do not overlap in space"):
        register_case(bundle, Case(away, fixed))
    image = replace(fixed, array=fixed.array[:, :, 20])
    with pytest.raises(InputError, match=r"moving.nii.gz is 3D but fixed.nii.gz is 2D"):
        register_case(bundle, Case(moving, image))
    with pytest.raises(InputError, match=r"fixed.nii.gz: shape \[40, 42\] is no volume"):
        register_case(bundle, Case(image, image))
    with pytest.raises(InputError, match="has no slice axis"):
        register_case(flat, Case(image, image), slice_axis=1)
    with pytest.raises(InputError, match="slice axis is 3"):
        register_case(flat, Case(moving, fixed), slice_axis=3)
    with pytest.raises(InputError, match=r"at \[40.0, 40.0, 40.0\] mm only \[1, 1, 1\] voxels"):
        register_case(replace(bundle, framing=replace(bundle.framing, spacing=40.0)), Case(moving, fixed))
    empty = replace(bundle, framing=replace(bundle.framing, crop_size=4, center=[2, 2, 2]))
    with pytest.raises(InputError, match="constant in the region"):
        register_case(empty, Case(moving, fixed))
