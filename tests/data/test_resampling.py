"""common.data.geometry: world coordinates survive every crop and every resampling."""

from __future__ import annotations

import numpy as np
import pytest

from common import grids as geometry

ROTATION = np.linalg.qr(np.array([[2.0, 1.0, 0.3], [-0.5, 1.5, 0.2], [0.1, -0.4, 1.0]]))[0]
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = ROTATION * np.array([1.2, 0.8, 6.0])
OBLIQUE[:3, 3] = (-31.0, 12.5, 80.0)


def world_image(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """An image whose value is its place in the world: (X, Y, Z, 3)."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def test_a_crop_keeps_world_coordinates_and_pads_with_zero() -> None:
    image = world_image((9, 8, 5), OBLIQUE)
    start, size = (-2, 3, 1), (14, 4, 3)
    crop = geometry.crop_or_pad(image, start, size)
    expected = world_image(size, geometry.crop_affine(OBLIQUE, start))
    assert crop.shape == (*size, 3)
    np.testing.assert_allclose(crop[2:11], expected[2:11])
    assert not crop[:2].any() and not crop[11:].any()


def test_crop_and_its_reverse_are_the_identity() -> None:
    image = np.random.default_rng(0).random((6, 7, 4))
    padded = geometry.crop_or_pad(image, (-3, -1, 0), (12, 9, 4))
    np.testing.assert_array_equal(geometry.crop_or_pad(padded, (3, 1, 0), image.shape), image)


def test_a_crop_outside_the_image_is_zero() -> None:
    assert not geometry.crop_or_pad(np.ones((4, 4)), (9, 0), (3, 3)).any()


@pytest.mark.parametrize("spacing", [(1.2, 0.8, 3.0), (2.0, 2.0, 5.0), (0.7, 1.9, 7.0)])
def test_resampling_to_a_spacing_keeps_world_coordinates(spacing: tuple[float, ...]) -> None:
    image = world_image((24, 30, 9), OBLIQUE)
    resampled, affine = geometry.resample(image, OBLIQUE, spacing)
    np.testing.assert_allclose(geometry.spacing_of(affine), spacing)
    expected = world_image(resampled.shape[:3], affine)
    inner = (slice(4, -4), slice(4, -4), slice(2, -2))
    np.testing.assert_allclose(resampled[inner], expected[inner], atol=1e-3)


@pytest.mark.parametrize("size", [(12, 15, 5), (48, 30, 5), (17, 64, 9)])
def test_resizing_keeps_world_coordinates(size: tuple[int, ...]) -> None:
    image = world_image((24, 30, 5), OBLIQUE)
    resized = geometry.resize(image, size)
    expected = world_image(size, geometry.resize_affine(OBLIQUE, image.shape[:3], size))
    inner = (slice(3, -3), slice(3, -3), slice(2, 3))
    np.testing.assert_allclose(resized[inner], expected[inner], atol=1e-3)


def test_resizing_labels_makes_no_new_value_and_keeps_the_type() -> None:
    labels = np.random.default_rng(0).choice(np.array([0, 1, 7], np.uint8), (20, 31, 3))
    resized = geometry.resize(labels, (13, 40), order=0)
    assert resized.dtype == np.uint8 and resized.shape == (13, 40, 3)
    assert set(np.unique(resized)) <= {0, 1, 7}


def test_shrinking_averages_what_a_voxel_covers() -> None:
    checkerboard = np.indices((32, 32)).sum(axis=0) % 2
    shrunk = geometry.resize(checkerboard.astype(float), (8, 8))
    np.testing.assert_allclose(shrunk[1:-1, 1:-1], 0.5, atol=0.02)


def test_equal_size_and_equal_spacing_change_nothing() -> None:
    image = np.random.default_rng(0).random((6, 5, 4)).astype(np.float32)
    np.testing.assert_array_equal(geometry.resize(image, image.shape), image)
    np.testing.assert_allclose(geometry.resample(image, OBLIQUE, geometry.spacing_of(OBLIQUE))[0], image, atol=1e-6)


def test_min_max_reaches_zero_and_one_and_ignores_the_padding() -> None:
    image = np.array([[0.0, 5.0], [10.0, 15.0]])
    inside = np.array([[False, True], [True, True]])
    np.testing.assert_allclose(geometry.min_max(image, inside=inside), [[0, 0], [0.5, 1]])
    assert geometry.min_max(image).dtype == np.float32
    assert not geometry.min_max(np.full((3, 3), 7.0)).any()


def test_percentiles_clip_what_lies_beyond() -> None:
    image = np.arange(101.0)
    scaled = geometry.min_max(image, (10, 90))
    np.testing.assert_allclose(scaled[[0, 10, 50, 90, 100]], [0, 0, 0.5, 1, 1])


def test_with_spacing_keeps_direction_and_origin() -> None:
    unit = OBLIQUE.copy()
    unit[:3, :3] = ROTATION
    np.testing.assert_allclose(geometry.with_spacing(unit, (1.2, 0.8, 6.0)), OBLIQUE)


def test_a_box_around_a_point_has_it_in_its_middle() -> None:
    assert geometry.start_around((70.4, 63.6), (128, 128)) == (6, 0)
    assert geometry.centre_start((35, 52, 34), (48, 64, 48)) == (-7, -6, -7)
