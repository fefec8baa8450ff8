from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, gaussian_filter
from scipy.spatial.distance import directed_hausdorff

from common.errors import InputError
from common.metrics import METRICS, overlap
from common.metrics import surface as surface_module
from common.metrics.surface import border_points, bounding_box, nearest_distances

DISTANCES = ("hd", "hd95", "asd", "asd_directed")


def box_mask(shape: tuple[int, ...], *limits: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(*limit) for limit in limits)] = True
    return mask


def disc(centre: tuple[float, float], radius: float, size: int = 48) -> np.ndarray:
    i, j = np.mgrid[:size, :size]
    return np.hypot(i - centre[0], j - centre[1]) <= radius


def blobs(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Two related random shapes that also touch the border of the image."""
    random = np.random.default_rng(seed)
    base = gaussian_filter(random.normal(size=shape), 2.5)
    other = base + 0.5 * gaussian_filter(random.normal(size=shape), 2.5)
    return base > 0.3 * base.std(), other > 0.3 * other.std()


def test_a_mask_against_itself_is_perfect():
    mask = disc((20, 22), 9)
    assert overlap(mask, mask, spacing=(1.5, 1.2)) == (1.0, *[0.0] * 8)


def test_two_squares_by_hand():
    # 4x4 squares, the second two pixels on: 8 of 16 pixels shared.
    result = overlap(box_mask((12, 12), (3, 7), (3, 7)), box_mask((12, 12), (3, 7), (5, 9)))
    assert result.dice == 0.5
    assert result.hd == 2
    # Of the fixed square's 12 border pixels the far column is 2 away (4 pixels), columns 4, 5 and 6 of the top and
    # bottom rows are 1, 0, 0 away, and the 2 inner pixels of the near column (6, inside the other square) are 1 away.
    assert result.asd_directed == pytest.approx((4 * 2 + 2 * 1 + 2 * 1) / 12)
    assert result.asd == pytest.approx(result.asd_directed)


def test_single_pixels_are_their_own_border():
    a, b = box_mask((10, 10), (2, 3), (1, 2)), box_mask((10, 10), (5, 6), (5, 6))
    result = overlap(a, b, spacing=(2, 0.5))
    assert result.dice == 0
    assert [getattr(result, name) for name in DISTANCES] == [5] * 4
    assert [getattr(result, f"{name}_mm") for name in DISTANCES] == pytest.approx([math.hypot(6, 2)] * 4)


def test_a_shifted_disc_is_as_far_as_the_shift():
    result = overlap(disc((20, 20), 10), disc((20, 25), 10))
    assert result.hd == 5
    assert 0 < result.asd < result.hd95 <= result.hd


def test_boxes_in_3d_by_hand():
    a, b = box_mask((9, 9, 9), (2, 5), (2, 5), (2, 5)), box_mask((9, 9, 9), (2, 5), (2, 5), (2, 8))
    result = overlap(a, b, spacing=(1, 1, 4))
    assert result.dice == pytest.approx(2 * 27 / (27 + 54))
    assert (result.hd, result.hd_mm) == (3, 12)
    # Of the small box's border only the middle of its far face lies inside the large box, 1 from its side.
    assert result.asd_directed == pytest.approx(1 / 26)


def test_oblong_voxels_can_change_which_point_is_nearest():
    a = box_mask((12, 12), (5, 6), (5, 6))
    b = box_mask((12, 12), (7, 8), (5, 6)) | box_mask((12, 12), (5, 6), (8, 9))
    result = overlap(a, b, spacing=(4, 1))
    assert (result.asd_directed, result.asd_directed_mm) == (2, 3)


def test_isotropic_spacing_only_scales():
    a, b = blobs(0, (30, 34))
    result = overlap(a, b, spacing=(1.25, 1.25))
    assert [1.25 * getattr(result, n) for n in DISTANCES] == [getattr(result, f"{n}_mm") for n in DISTANCES]
    nearly = overlap(a, b, spacing=(1.25, 1.2501))
    assert nearly.asd_mm == pytest.approx(result.asd_mm, rel=1e-4)
    assert overlap(
        box_mask((9, 9), (4, 5), (2, 3)), box_mask((9, 9), (4, 5), (6, 7)), (1, 1.005)
    ).hd_mm == pytest.approx(4.02)


def test_without_spacing_there_are_no_millimetres():
    result = overlap(disc((20, 20), 5), disc((20, 21), 5))
    assert all(math.isnan(getattr(result, f"{name}_mm")) for name in DISTANCES)


def test_empty_masks_have_no_distance():
    empty, mask = np.zeros((8, 8), dtype=bool), box_mask((8, 8), (2, 5), (2, 5))
    assert all(math.isnan(value) for value in overlap(empty, empty, (1, 1)))
    for pair in ((empty, mask), (mask, empty)):
        result = overlap(*pair, spacing=(1, 1))
        assert result.dice == 0
        assert all(math.isnan(value) for value in result[1:])


def test_a_mask_that_fills_the_image_has_a_border_at_its_edge():
    full, centre = np.ones((7, 7), dtype=bool), box_mask((7, 7), (3, 4), (3, 4))
    result = overlap(full, centre)
    assert result.hd == pytest.approx(math.hypot(3, 3))


@pytest.mark.parametrize("shape", [(24, 31), (11, 14, 9)])
def test_the_border_is_the_published_one(shape):
    for seed in range(5):
        masks = blobs(seed, shape)
        for mask, points in zip(masks, border_points(*masks), strict=True):
            border = np.argwhere(mask ^ binary_erosion(mask)) + 1  # the common origin has a margin of one
            assert np.array_equal(points.T, border)


@pytest.mark.parametrize("shape", [(40, 33), (14, 17, 12)])
def test_hausdorff_agrees_with_scipy(shape):
    for seed in range(5):
        a, b = blobs(seed, shape)
        points = [np.argwhere(mask ^ binary_erosion(mask)) for mask in (a, b)]
        expected = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
        assert overlap(a, b).hd == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore")  # MONAI's own deprecations
@pytest.mark.parametrize("spacing", [None, (1.4, 1.4, 1.4), (1.3, 0.8, 5.0)])
@pytest.mark.parametrize("shape", [(40, 33), (16, 18, 12)])
def test_everything_agrees_with_monai(shape, spacing):
    from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDistanceMetric

    spacing = spacing and spacing[-len(shape) :]
    metrics = {
        "hd": HausdorffDistanceMetric(include_background=True),
        "hd95": HausdorffDistanceMetric(include_background=True, percentile=95),
        "asd": SurfaceDistanceMetric(include_background=True, symmetric=True),
        "asd_directed": SurfaceDistanceMetric(include_background=True),
    }
    for seed in range(3):
        fixed, warped = blobs(seed, shape)
        ours = overlap(fixed, warped, spacing)
        # Directed distances of MONAI start at y_pred, ours at the fixed border.
        y, y_pred = (torch.from_numpy(mask)[None, None].float() for mask in (warped, fixed))
        assert ours.dice == pytest.approx(float(DiceMetric(include_background=True)(y_pred, y)), abs=1e-6)
        for name, metric in metrics.items():
            value = getattr(ours, name if spacing is None else f"{name}_mm")
            assert value == pytest.approx(float(metric(y_pred, y, spacing=spacing)), rel=1e-5), name


def test_symmetric_metrics_ignore_the_order():
    a, b = blobs(3, (30, 30))
    forth, back = overlap(a, b), overlap(b, a)
    assert forth[:4] == pytest.approx(back[:4])
    pooled = border_points(a, b)
    sizes = [points.shape[1] for points in pooled]
    assert np.average([forth.asd_directed, back.asd_directed], weights=sizes) == pytest.approx(forth.asd)


def test_position_in_the_image_does_not_matter():
    a, b = blobs(1, (20, 20))
    padded = [np.pad(mask, ((30, 5), (2, 17))) for mask in (a, b)]
    assert overlap(a, b, (1, 2)) == overlap(*padded, (1, 2))


def test_trees_and_matrix_give_the_same_distances(monkeypatch):
    points = border_points(*blobs(2, (14, 15, 13)))
    by_matrix = nearest_distances(*points)
    monkeypatch.setattr(surface_module, "MATRIX_LIMIT", 0)
    for one, other in zip(by_matrix, nearest_distances(*points), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_the_bounding_box_is_tight():
    assert bounding_box(box_mask((9, 8, 7), (2, 5), (0, 8), (6, 7))) == (slice(2, 5), slice(0, 8), slice(6, 7))


def test_masks_of_any_type_are_the_same():
    a, b = blobs(4, (20, 20))
    assert overlap(a, b) == overlap(torch.from_numpy(a).float(), (3 * b).astype(np.uint8))
    assert overlap(a, b) == overlap(-1.0 * a, b.astype(np.int16) * -2)


def test_metrics_of_the_table_are_the_fields_of_the_pass():
    a, b = blobs(5, (20, 24))
    result = overlap(a, b, (2, 1))
    for name in ("hd", "hd95", "asd"):
        assert METRICS[name].function(a, b) == getattr(result, name)
        assert METRICS[f"{name}_mm"].function(a, b, (2, 1)) == getattr(result, f"{name}_mm")
    assert METRICS["dsc"].function(a, b) == 100 * result.dice


@pytest.mark.parametrize("spacing", [(1,), (1, 0), (1, math.nan), (-1, 1), (1, 1, 1)])
def test_a_wrong_spacing_is_named(spacing):
    with pytest.raises(InputError, match="spacing"):
        overlap(np.ones((3, 3)), np.ones((3, 3)), spacing)


def test_different_shapes_are_named():
    with pytest.raises(InputError, match=r"fixed_mask \[3, 3\], warped_mask \[3, 4\]"):
        overlap(np.ones((3, 3)), np.ones((3, 4)))
