"""Strain of an annulus whose motion is known: contraction, thickening, rotation, shear, oblique and oblong voxels."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import InputError
from common.metrics import carried_size, centres, strain, wall_strain
from common.metrics.strain import directions, plane_matrix

SIZE, CENTRE = 160, 79.3
INNER, OUTER = 28.0, 48.0  # mm, of the wall in the reference frame


def turned(angle: float = 0.5) -> np.ndarray:
    """A rotation about a slanting axis."""
    axis = np.array([0.5, -0.3, 0.81])
    axis /= np.linalg.norm(axis)
    cross = np.cross(np.eye(3), axis)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def grid(spacing: tuple[float, ...] = (1, 1, 1)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = turned() @ np.diag(spacing)
    affine[:3, 3] = [12, -7, 30]
    return affine


def offsets(spacing: tuple[float, float] = (1, 1)) -> np.ndarray:
    """mm from the centre, (2, SIZE, SIZE)."""
    axes = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
    return np.stack([(axis - CENTRE) * h for axis, h in zip(axes, spacing)])


def annulus(spacing: tuple[float, float] = (1, 1), fine: int = 5) -> np.ndarray:
    """The share of each voxel that is wall."""
    step = (np.arange(fine) - (fine - 1) / 2) / fine
    at = offsets(spacing)
    total = np.zeros(at.shape[1:])
    for a in step:
        for b in step:
            radius = np.hypot(at[0] + a * spacing[0], at[1] + b * spacing[1])
            total += (radius > INNER) & (radius < OUTER)
    return total / fine**2


def radial_field(reference_radius, spacing: tuple[float, float] = (1, 1)) -> np.ndarray:
    """The field in voxels that takes a point at distance r of frame t to ``reference_radius(r)``."""
    at = offsets(spacing)
    r = np.hypot(*at)
    stretch = np.divide(reference_radius(r), r, out=np.ones_like(r), where=r > 0)
    return at * (stretch - 1) / np.array(spacing)[:, None, None]


def measured(ddf: np.ndarray, spacing: tuple[float, float] = (1, 1)) -> dict[str, float]:
    wall = annulus(spacing)
    return wall_strain(wall, centres(wall), ddf, grid((*spacing, 8)))


@pytest.mark.parametrize("scale", [0.8, 1.25])
@pytest.mark.parametrize("spacing", [(1, 1), (0.7, 1.1)])
def test_a_uniform_scaling_strains_every_direction_alike(scale: float, spacing: tuple[float, float]) -> None:
    found = measured(radial_field(lambda r: r / scale, spacing), spacing)
    assert found == pytest.approx(dict.fromkeys(("radial", "circumferential"), (scale**2 - 1) / 2), rel=1e-6)


def test_a_wall_that_keeps_its_area_thickens_as_its_ring_shortens() -> None:
    # r^2 = R^2 - c, so dr/dR = R / r; the means over the annulus in the reference frame by a fine sum
    c = 480.0
    found = measured(radial_field(lambda r: np.sqrt(r**2 + c)))
    radius = np.linspace(INNER, OUTER, 100_001)
    inside, weight = radius**2 - c, radius / radius.sum()
    expected = {"radial": (radius**2 / inside - 1) / 2, "circumferential": (inside / radius**2 - 1) / 2}
    for name, values in expected.items():
        assert found[name] == pytest.approx((values * weight).sum(), rel=0.01)
    assert found["radial"] > 0.2 and found["circumferential"] < -0.14


def test_the_wall_counts_by_its_place_in_the_reference_frame() -> None:
    # R = r^2 / r0: the outer wall is pressed more, so that it takes fewer voxels of frame t than it should count
    r0 = 32.0
    found = measured(radial_field(lambda r: r**2 / r0))
    radius = np.linspace(INNER, OUTER, 100_001)
    stretch, weight = np.sqrt(r0 / radius), radius / radius.sum()
    assert found["circumferential"] == pytest.approx(((stretch**2 - 1) / 2 * weight).sum(), rel=0.01)
    assert found["radial"] == pytest.approx(((stretch**2 / 4 - 1) / 2 * weight).sum(), rel=0.01)


def test_rotation_and_shift_strain_nothing_and_keep_the_size() -> None:
    spacing = (0.8, 1.2)
    c, s = np.cos(0.4), np.sin(0.4)
    at = offsets(spacing)
    moved = np.stack([c * at[0] - s * at[1] + 2.0, s * at[0] + c * at[1] - 1.3])
    ddf = (moved - at) / np.array(spacing)[:, None, None]
    assert measured(ddf, spacing) == pytest.approx({"radial": 0, "circumferential": 0}, abs=1e-10)
    area = np.pi * (OUTER**2 - INNER**2)
    affine = grid((*spacing, 8))
    assert carried_size(annulus(spacing), ddf, affine) == pytest.approx(area, rel=1e-3)
    assert carried_size(annulus(spacing), 0 * ddf, affine) == pytest.approx(area, rel=1e-3)


def test_a_contraction_shrinks_the_area_and_the_field_points_back() -> None:
    # contraction: points of frame t lie nearer to the centre, so the field points outwards
    ddf = radial_field(lambda r: r / 0.8)
    assert ddf[0, 99, 79] > 0
    assert carried_size(annulus(), ddf, grid()) == pytest.approx(0.64 * np.pi * (OUTER**2 - INNER**2), rel=2e-3)


def test_simple_shear_has_its_known_tensor() -> None:
    # x = X + k Y e_1, so that F = [[1, k], [0, 1]] and E = [[0, k], [k, k^2]] / 2; oblong voxels
    k, spacing = 0.3, (0.5, 1.5)
    at = offsets(spacing)
    ddf = np.stack([-k * at[1] / spacing[0], np.zeros_like(at[1])])
    tensor, determinant = strain(ddf, grid((*spacing, 8)))
    np.testing.assert_allclose(tensor, np.broadcast_to([[0, k / 2], [k / 2, k * k / 2]], tensor.shape), atol=1e-9)
    np.testing.assert_allclose(determinant, 1, atol=1e-12)


def test_a_volume_has_a_longitudinal_strain_and_a_stack_none() -> None:
    wall = np.repeat(annulus()[..., None], 9, axis=2)
    at, levels = offsets(), np.arange(9) - 4.0
    across = np.broadcast_to(levels / 1.1 - levels, wall.shape)
    ddf = np.stack([*np.repeat((at / 0.9 - at)[..., None], 9, axis=3), across])
    affine = grid((1, 1, 2))
    found = wall_strain(wall, centres(wall), ddf, affine)
    inplane = (0.9**2 - 1) / 2
    expected = {"radial": inplane, "circumferential": inplane, "longitudinal": (1.1**2 - 1) / 2}
    assert found == pytest.approx(expected, rel=1e-6)
    del expected["longitudinal"]
    assert wall_strain(wall, centres(wall), ddf[:2], affine) == pytest.approx(expected, rel=1e-6)
    volume = carried_size(wall, ddf[:2], affine)
    assert volume == pytest.approx(9 * 2 * 0.81 * np.pi * (OUTER**2 - INNER**2), rel=2e-3)


def test_each_slice_of_a_stack_has_its_own_centre() -> None:
    mask = np.zeros((40, 40, 4), bool)
    mask[10:13, 20:23, 1] = mask[20:23, 20:25, 3] = True
    np.testing.assert_allclose(centres(mask), [[11, 21], [11, 21], [16, 21.5], [21, 22]])
    np.testing.assert_allclose(centres(mask[..., 1]), [[11, 21]])


def test_what_folds_does_not_count() -> None:
    ddf = radial_field(lambda r: r / 0.8)
    expected = measured(ddf)
    ddf[0, 112:114, 79] += [9, -9]
    tensor, determinant = strain(ddf, grid())
    assert (determinant <= 0).any() and np.isnan(tensor[determinant <= 0]).all()
    assert measured(ddf)["circumferential"] == pytest.approx(expected["circumferential"], rel=0.2)
    flipped = -2 * offsets()[:1]
    assert np.isnan(measured(np.concatenate([flipped, 0 * flipped]))["radial"])


def test_what_is_pressed_flat_has_no_strain() -> None:
    flat = -np.mgrid[:5, :6].astype(float) * [[[1]], [[0]]]  # every row comes from row 0 of the reference frame
    found = strain(flat, grid())
    assert np.all(found.determinant == 0) and np.isnan(found.tensor).all()


def test_directions_are_those_in_millimetres() -> None:
    points = np.array([2.0, 1.0]).reshape(2, 1, 1)  # 1 and 1 voxels from the centre, 1 and 3 mm
    found = directions(points, np.array([[1.0, 0.0]]), grid((1, 3, 1)), 2)
    assert found["radial"].ravel() == pytest.approx(np.array([1, 3]) / np.sqrt(10))
    assert found["circumferential"].ravel() == pytest.approx(np.array([-3, 1]) / np.sqrt(10))


def test_oblique_grids_have_a_plane_matrix_of_their_voxels() -> None:
    np.testing.assert_allclose(plane_matrix(grid((0.7, 1.3, 5)), 3), np.diag([0.7, 1.3, 5]), atol=1e-12)
    flipped = grid((0.7, 1.3, 5)) @ np.diag([-1, 1, -1, 1])
    np.testing.assert_allclose(plane_matrix(flipped, 2), np.diag([0.7, 1.3]), atol=1e-12)


def test_grids_that_differ_and_empty_labels_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[5, 5\] does not fit a ddf of \[2, 6, 6\]"):
        carried_size(np.ones((5, 5)), np.zeros((2, 6, 6)), np.eye(4))
    with pytest.raises(InputError, match="is empty"):
        centres(np.zeros((5, 5)))
