"""Grey values may be counted from anywhere: of images less 1500 the motion is the same, the warped image less 1500."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ring_cine import ring

from common.grids import crop_or_pad
from common.io import MedicalImage
from common.registration.api import register
from common.registration.bundle import OpenBundle, open_bundle
from common.registration.outcome import Registration
from common.registration.region import Framing

AFFINE = np.diag([1.5, 1.5, 8.0, 1.0])
BUNDLES = Path(__file__).parents[2] / "bundles"
pytestmark = pytest.mark.skipif(not BUNDLES.is_dir(), reason="the repository's bundles are not here")


def bundle(**framing: Any) -> OpenBundle:
    return open_bundle(BUNDLES / "vxm_hetero_disp", "cpu", **framing)


def pair(offset: float) -> tuple[MedicalImage, MedicalImage]:
    """Two slices; the moving image lies between the fixed one's voxels, and reaches a part of it only."""
    grey = [np.stack([np.rint(500 * ring(64, s)[0]), np.rint(300 * ring(64, s)[0]) + 90], -1) for s in (1.0, 0.85)]
    moved = AFFINE.copy()
    moved[:3, 3] = [18.7, 0.4, 0.5]
    arrays = [(each + offset).astype(np.float32) for each in grey]
    return MedicalImage(arrays[0][12:], moved, Path("m")), MedicalImage(arrays[1], AFFINE, Path("f"))


def found(offset: float, settings: dict[str, Any], **more: Any) -> Registration:
    return register(*pair(offset), bundle(**settings), **more)


@pytest.mark.parametrize("settings", [{"crop_size": 96}, {"spacing": 2.1, "crop_size": 64}, {"crop_size": 48}])
@pytest.mark.parametrize("offset", [-1500.0, 30000.0])
def test_an_offset_of_both_images_changes_nothing(settings: dict[str, Any], offset: float) -> None:
    plain, other = found(0.0, settings), found(offset, settings)
    assert np.abs(plain.field.vectors).max() > 1
    np.testing.assert_allclose(other.field.vectors, plain.field.vectors, atol=2e-2)
    np.testing.assert_allclose(other.warped - offset, plain.warped, atol=3)
    np.testing.assert_array_equal(other.seen, plain.seen)
    for when in ("before", "after"):
        first, second = (each.numbers["similarity"][when] for each in (plain, other))
        assert second == pytest.approx(first, abs=2e-3)


def test_outside_is_the_smallest_value_or_what_is_asked_for() -> None:
    moving = pair(-1024)[0].array
    assert found(-1024, {}).warped.min() == moving.min() < 0
    assert found(-1024, {}, fill=-3000.0).warped.min() == -3000


def test_a_region_that_is_resized_and_leaves_the_image_is_scaled_by_the_image_alone() -> None:
    image = 200 + 500 * ring(40, 1.0)[0]
    framing = Framing(crop_size=56, network_size=[37, 37])
    box = framing.boxes(image, image, 2)
    plain, less = (framing.cut((image - by).astype(np.float32), box) for by in (0, 1500))
    np.testing.assert_allclose(plain, less, atol=1e-5)
    assert plain.max() == 1


def test_what_a_box_adds_is_as_it_is_told() -> None:
    box = crop_or_pad(np.ones((2, 3)), (-1, 0), (4, 3), fill=-1024)
    assert (box[[0, 3]] == -1024).all() and (box[1:3] == 1).all()
