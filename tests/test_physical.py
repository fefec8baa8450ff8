"""Warping in physical space: known motions, inverses, and agreement with warping by voxels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.fields import Field, to_physical
from common.physical import (
    grid_points,
    invert_field,
    invert_points,
    jacobian_determinant,
    outside,
    resample_field,
    sample,
    transform_points,
    warp_image,
)
from common.spatial import warp


def random_affine(seed: int, dims: int = 3, centre: tuple[float, ...] = (), shape: tuple[int, ...] = ()) -> np.ndarray:
    """Turned, flipped and anisotropic; of a 2D grid, turned in its plane; with its middle at ``centre``."""
    random, affine = np.random.default_rng(seed), np.eye(4)
    affine[:dims, :dims] = np.linalg.qr(random.normal(size=(dims, dims)))[0] * random.uniform(0.7, 2.5, dims)
    affine[:dims, 3] = random.uniform(-50, 50, dims)
    if shape:
        middle = affine[:dims, :dims] @ ((np.array(shape) - 1) / 2)
        affine[:dims, 3] = np.array(centre) - middle
    return affine


def bump(shape: tuple[int, ...], affine: np.ndarray, size: tuple[float, ...], width: float) -> Field:
    """A smooth motion by ``size`` mm in the middle, of ``width`` mm."""
    points = grid_points(shape, affine)
    middle = points.reshape(-1, len(shape)).mean(0)
    weight = np.exp(-((points - middle) ** 2).sum(-1) / (2 * width**2))
    return Field(weight[..., None] * np.array(size), affine)


@pytest.mark.parametrize("shape", [(9, 8, 7), (9, 8, 1), (9, 8)])
def test_on_one_grid_it_is_the_warp_in_voxels(shape: tuple[int, ...]) -> None:
    random, dims = np.random.default_rng(0), len(shape)
    moving, affine = random.random(shape).astype(np.float32), random_affine(1, dims)
    ddf = random.normal(0, 2, (dims, *shape)).astype(np.float32)
    if shape[-1] == 1:
        ddf[2] = 0
    field = Field(to_physical(ddf, affine), affine)
    for order, mode in ((1, "bilinear"), (0, "nearest")):
        expected = warp(torch.tensor(moving)[None, None], torch.tensor(ddf)[None], mode)[0, 0].numpy()
        np.testing.assert_allclose(warp_image(moving, affine, field, order), expected, atol=2e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_nothing_moves_between_two_grids_but_the_samples(dims: int) -> None:
    """A linear ramp in space is the same ramp on any grid."""
    shape, other = (12, 14, 10)[:dims], (7, 6, 5)[:dims]
    affine = random_affine(2, dims, (1.0, 2.0, 3.0)[:dims], shape)
    small = random_affine(3, dims)
    small[:dims, :dims] *= 0.4
    half = (np.array(other) - 1) / 2
    small[:dims, 3] = np.array([1.0, 2.0, 3.0])[:dims] - small[:dims, :dims] @ half
    ramp = grid_points(shape, affine) @ np.array([0.3, -0.2, 0.1])[:dims] + 5
    points = grid_points(other, small)
    np.testing.assert_allclose(sample(ramp, affine, points), points @ np.array([0.3, -0.2, 0.1])[:dims] + 5, rtol=1e-5)


def test_the_field_points_from_the_fixed_to_the_moving_image() -> None:
    moving = np.zeros((20, 20, 10), np.float32)
    moving[12, 7, 5] = 1
    affine = np.diag([-1.0, 2, 3, 1])
    place = grid_points(moving.shape, affine)[12, 7, 5]
    shift = np.array([3.0, -4.0, 6.0])  # LPS mm: 3, 2 and 2 voxels
    field = Field(np.broadcast_to(shift, (*moving.shape, 3)), affine)
    warped = warp_image(moving, affine, field)
    seen = grid_points(moving.shape, affine)[np.unravel_index(warped.argmax(), warped.shape)]
    np.testing.assert_allclose(seen, place - shift, atol=1e-9)
    np.testing.assert_allclose(transform_points(seen, field), place, atol=1e-5)
    np.testing.assert_allclose(invert_points(place, field)[0], seen, atol=1e-5)


def test_outside_an_image_is_filled_and_a_field_goes_on() -> None:
    image, affine = np.ones((4, 5)), np.eye(4)
    far, half = np.array([[-50.0, 0.0]]), -np.array([[3.5, 2.0]])  # LPS: voxels 50 and 3.5
    assert sample(image, affine, far, fill=7.0) == 7.0
    assert sample(image, affine, half, fill=7.0) == pytest.approx(4.0)
    assert sample(image, affine, far, order=0, fill=7.0) == 7.0
    field = Field(np.broadcast_to([1.0, 2.0], (4, 5, 2)), affine)
    np.testing.assert_allclose(transform_points(far, field), far + [1.0, 2.0])
    np.testing.assert_array_equal(outside(np.vstack([far, half]), field), [True, False])
    around = -np.array([[-0.4, 2.0], [-0.6, 2.0], [1.0, 4.4], [1.0, 4.6]])  # LPS of these voxels
    np.testing.assert_array_equal(outside(around, field), [False, True, False, True])


def test_a_lone_slice_reaches_half_a_voxel() -> None:
    slice_, affine = np.random.default_rng(0).random((4, 5, 1)), np.diag([1.0, 1, 8, 1])
    points = grid_points(slice_.shape, affine)
    np.testing.assert_allclose(sample(slice_, affine, points + [0, 0, 3.9]), slice_, rtol=1e-6)
    assert not sample(slice_, affine, points + [0, 0, 4.1]).any()


def test_labels_keep_their_type_and_values() -> None:
    labels = np.random.default_rng(0).integers(0, 70000, (6, 7, 5)).astype(np.int32)
    field = bump(labels.shape, random_affine(1), (3, 2, 1), 4)
    warped = warp_image(labels, field.affine, field, order=0)
    assert warped.dtype == np.int32 and set(np.unique(warped)) <= set(np.unique(labels)) | {0}


@pytest.mark.parametrize("dims", [2, 3])
def test_the_inverse_undoes_the_motion_on_another_grid(dims: int) -> None:
    shape, other = (40, 36, 24)[:dims], (20, 22, 14)[:dims]
    affine = random_affine(4, dims)
    field = bump(shape, affine, (5.0, -3.0, 2.0)[:dims], 8)
    middle = grid_points(shape, affine).reshape(-1, dims).mean(0) * np.array([-1, -1, 1])[:dims]
    grid = random_affine(5, dims, tuple(middle), other)
    inverse, residual = invert_field(field, other, grid)
    assert inverse.shape == other and residual.shape == other and residual.max() < 1e-3
    points = grid_points(other, grid)
    np.testing.assert_allclose(transform_points(points + inverse.vectors, field), points, atol=1e-3)
    assert np.abs(inverse.vectors).max() > 2


def test_a_motion_that_stretches_threefold_is_inverted() -> None:
    """The plain fixed point diverges where a length more than doubles."""
    affine = np.eye(4)
    points = grid_points((31, 31), affine)
    field = Field(2.0 * (points - points.mean((0, 1))), affine)
    inverse, residual = invert_field(field, (31, 31), affine)
    assert residual.max() < 1e-3
    np.testing.assert_allclose(inverse.vectors, -2 / 3 * (points - points.mean((0, 1))), atol=1e-3)


def test_of_a_folded_field_the_error_left_is_the_true_one() -> None:
    field = Field(np.random.default_rng(0).normal(0, 6, (15, 14, 2)), random_affine(9, 2))
    assert jacobian_determinant(field).min() < 0
    inverse, residual = invert_field(field, field.shape, field.affine)
    points = grid_points(field.shape, field.affine)
    left = transform_points(points + inverse.vectors, field) - points
    np.testing.assert_allclose(residual, np.linalg.norm(left, axis=-1), atol=1e-4)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_determinant_of_an_affine_motion_is_its_own(dims: int) -> None:
    shape, affine = (6, 7, 5)[:dims], random_affine(6, dims)
    change = np.array([[0.1, 0.2, 0.0], [-0.1, -0.3, 0.1], [0.0, 0.2, 0.4]])[:dims, :dims]
    field = Field(grid_points(shape, affine) @ change.T, affine)
    np.testing.assert_allclose(jacobian_determinant(field), np.linalg.det(np.eye(dims) + change), rtol=1e-4)
    assert jacobian_determinant(field).shape == shape


def test_within_a_stack_only_its_plane_counts() -> None:
    affine = random_affine(7)
    ddf = np.zeros((2, 8, 9, 1))
    ddf[0], ddf[1] = 0.5 * np.arange(8)[:, None, None], -0.2 * np.arange(9)[None, :, None]
    field = Field(to_physical(ddf, affine), affine)
    np.testing.assert_allclose(jacobian_determinant(field), 1.5 * 0.8, rtol=1e-5)


def test_a_field_on_another_grid_is_the_same_motion() -> None:
    affine, shape = random_affine(8), (12, 11, 10)
    change = np.array([[0.1, 0.2, 0.0], [-0.1, -0.3, 0.1], [0.0, 0.2, 0.4]])
    field = Field(grid_points(shape, affine) @ change.T, affine)
    finer = affine @ np.diag([0.5, 0.4, 0.7, 1])
    again = resample_field(field, (20, 19, 12), finer)
    np.testing.assert_allclose(again.vectors, grid_points((20, 19, 12), finer) @ change.T, atol=1e-4)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"vectors of shape \[4, 5, 3\] are no field"):
        Field(np.zeros((4, 5, 3)), np.eye(4))
    with pytest.raises(InputError, match="1 vectors of the field are NaN"):
        Field(np.full((1, 1, 2), np.nan), np.eye(4))
    with pytest.raises(InputError, match="has no inverse in 3D"):
        Field(np.zeros((4, 5, 3, 3)), np.diag([1, 1, 0, 1]))
    with pytest.raises(InputError, match="has no inverse in 2D; give it as a stack of one slice"):
        Field(np.zeros((4, 5, 2)), np.eye(4)[[0, 2, 1, 3]])
    with pytest.raises(ValueError, match="order is 3"):
        sample(np.zeros((4, 5)), np.eye(4), np.zeros((1, 2)), order=3)
    with pytest.raises(ValueError, match="do not lie in an array"):
        sample(np.zeros((4, 5)), np.eye(4), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="do not lie in a 2D field"):
        transform_points(np.zeros((1, 3)), Field(np.zeros((4, 5, 2)), np.eye(4)))
