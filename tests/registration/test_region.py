"""Where in an image a network looks, and how what it gives comes back onto the native grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from inference import Constant

from common.errors import InputError
from common.grids import crop_affine, resample, resize, resize_affine
from common.registration.api import case_of_files
from common.registration.case import native_region
from common.registration.region import Framing, Region, detect_centre
from common.registration.tasks import tasks


def test_a_linear_field_survives_the_way_back_to_the_native_grid() -> None:
    rng = np.random.default_rng(0)
    native, affine = rng.random((40, 31)).astype(np.float32), np.diag([1.3, 0.7, 1, 1])
    small, smaller = resize(native, (16, 20)), resize_affine(affine, (40, 31), (16, 20))
    region = native_region(
        {"crop_start": [3, -2, 0], "native_shape": [40, 31, 1], "resampled_shape": [16, 20, 1]},
        (10, 24),
        crop_affine(smaller, (3, -2)),
        affine,
        dims=2,
    )
    # the field whose value is the native place itself, sampled where the prepared voxels are
    places = np.stack(np.meshgrid(*[np.arange(n) for n in (10, 24)], indexing="ij"))
    world = (np.linalg.inv(affine) @ crop_affine(smaller, (3, -2)))[:2]
    ddf = world[:, :2] @ places.reshape(2, -1) + world[:, 3:]
    voxels = torch.tensor(ddf.reshape(2, 10, 24) / np.array(region.step)[:, None, None])[None]
    back = region.place_field(voxels, native.shape)[0].numpy()
    target = np.stack(np.meshgrid(*[np.arange(n) for n in native.shape], indexing="ij"))
    inner = np.s_[10:30, :]
    np.testing.assert_allclose(back[0][inner], target[0][inner], atol=1e-9)
    np.testing.assert_allclose(back[1][inner], target[1][inner], atol=1e-9)
    assert not back[:, :5].any()
    assert small.shape == (16, 20)


def test_a_resampled_volume_finds_its_place(affine: np.ndarray) -> None:
    resampled, new = resample(np.random.default_rng(0).random((12, 10, 6)), affine, (2.1, 2.0, 3.3))
    start, size = (1, -2, 2), (5, 6, 4)
    native = {"crop_start": start, "native_shape": [12, 10, 6], "resampled_shape": resampled.shape}
    region = native_region(native, size, crop_affine(new, start), affine, dims=3)
    truth = np.linalg.inv(affine) @ crop_affine(new, start)
    np.testing.assert_allclose(region.first, truth[:3, 3], atol=1e-9)
    np.testing.assert_allclose(np.diag(region.step), truth[:3, :3], atol=1e-9)


def test_whole_voxels_are_placed_exactly() -> None:
    values = torch.rand(2, 1, 6, 5)
    placed = Region.box((3, -2), (6, 5)).place(values, (8, 9), fill=7.0)
    assert torch.equal(placed[:, :, 3:8, :3], values[:, :, :5, 2:])
    assert (placed[:, :, :3] == 7).all()
    assert (placed[:, :, :, 3:] == 7).all()


def test_what_moves_is_found() -> None:
    still = np.random.default_rng(0).random((90, 70, 3)).astype(np.float32)
    moved = still.copy()
    moved[50:60, 20:30] = 1 - moved[50:60, 20:30]
    np.testing.assert_allclose(detect_centre(still, moved), (54.5, 24.5), atol=3)
    assert detect_centre(still, still) == (44.5, 34.5)
    start, size = Framing(20, "detect").boxes(still, moved, 2)
    assert size == (20, 20)
    np.testing.assert_allclose(np.add(start, 10), (54.5, 24.5), atol=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"center": "heart"}, 'center is \'heart\'; give "auto", "image", "detect" or a voxel'),
        ({"center": (200, 10)}, "center is .200, 10."),
        ({"center": (1, 2, 3)}, "center is .1, 2, 3."),
        ({"crop_size": (8, 8, 8)}, "crop_size is .8, 8, 8.; give 2 whole numbers"),
        ({"crop_size": "large"}, "crop_size is 'large'"),
        ({"network_size": (8,)}, "network_size is .8.; give 2 numbers"),
    ],
)
def test_a_framing_that_makes_no_sense_is_refused(
    files: dict[str, Path], options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        next(tasks(Constant((0.0, 0.0)), Framing(**options), [case_of_files(files["moving"], files["fixed"])]))


def test_a_center_from_the_command_line_is_read() -> None:
    image = np.random.default_rng(0).random((50, 40))
    assert Framing(10, "25,12").boxes(image, image, 2) == Framing(10, (25, 12)).boxes(image, image, 2)
    assert Framing((10, -1), (25, 12)).boxes(image, image, 2) == ((20, 0), (10, 40))


def test_a_label_is_cut_as_the_image_is_and_keeps_its_values() -> None:
    label = np.random.default_rng(0).integers(0, 4, (9, 7)).astype(np.uint8)
    box = (-2, 1), (8, 4)
    cut = Framing().cut_label(label, box)
    np.testing.assert_array_equal(cut[2:], label[:6, 1:5])
    assert not cut[:2].any()
    doubled = Framing(network_size=(16, 8)).cut_label(label, box)
    np.testing.assert_array_equal(doubled[::2, ::2], cut)
    np.testing.assert_array_equal(doubled[1::2, 1::2], cut)


@pytest.mark.parametrize("percentiles", [[99, 1], [0, 101], [5], "low", None])
def test_percentiles_that_make_no_sense_are_refused(percentiles: object) -> None:
    with pytest.raises(InputError, match="give two numbers from 0 to 100"):
        Framing(percentiles=percentiles)
