"""What the network is shown: which axis runs across slices, fine voxels averaged, batches of whole tasks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toy_registration import blob, grid_around, toy_bundle

from common.errors import InputError
from common.grids import crop_affine
from common.io.images import MedicalImage
from common.registration.bundle import open_bundle
from common.registration.case import Case
from common.registration.grids import NetworkGrid, slice_axis_of
from common.registration.register import register_case
from common.registration.tasks import chunks


@pytest.mark.parametrize(
    ("shape", "spacing", "across"),
    [
        ((30, 20, 9), (1.0, 1.0, 6.0), 2),
        ((30, 9, 20), (1.0, 6.0, 1.0), 1),
        ((1, 30, 20), (0.5, 1.0, 1.0), 0),  # a lone slice, however thin
        ((30, 20, 9), (1.0, 1.0, 0.995), 2),  # as large but for rounding: the last
    ],
)
def test_the_axis_across_the_slices(shape: tuple[int, ...], spacing: tuple[float, ...], across: int) -> None:
    image = MedicalImage(np.zeros(shape), grid_around(shape, spacing), Path("a.nii"))
    assert slice_axis_of(image) == across


def test_much_finer_voxels_are_averaged_before_they_are_sampled() -> None:
    coarse, fine = (12, 12, 12), (48, 48, 48)
    fixed = MedicalImage(np.zeros(coarse, np.float32), grid_around(coarse, (1.0,) * 3), Path("fixed.nii"))
    noise = np.random.default_rng(0).normal(0, 1, fine).astype(np.float32)
    brought, seen = NetworkGrid.over(fixed, 3).bring(
        MedicalImage(noise, grid_around(fine, (0.25,) * 3), Path("moving.nii"))
    )
    inside = brought[2:-2, 2:-2, 2:-2]
    assert seen.all() and inside.std() < 0.2  # 64 voxels in one: 1/8; sampled alone at most 8 would count


def test_whole_tasks_go_together_up_to_a_batch() -> None:
    def task(slices: int, size: int = 4) -> SimpleNamespace:
        return SimpleNamespace(image=torch.zeros(slices, 2, size, size))

    found = chunks(iter([task(3), task(3), task(3), task(9), task(2), task(2, 5)]), batch_size=6)
    assert [[len(each.image) for each in chunk] for chunk in found] == [[3, 3], [3], [9], [2], [2]]


def test_a_region_without_the_moving_image_is_refused(tmp_path: Path) -> None:
    shape, affine = (40, 40, 40), grid_around((40, 40, 40), (1.0, 1.0, 1.0))
    fixed = blob(shape, affine, np.array([12.0, 0, 0]), "fixed")  # LPS: towards the first voxels
    whole = blob(shape, affine, np.array([-12.0, 0, 0]), "moving")
    moving = MedicalImage(whole.array[25:], crop_affine(affine, (25, 0, 0)), whole.path)
    bundle = open_bundle(toy_bundle(tmp_path / "toy", crop_size=12, center=[8, 20, 20]))
    with pytest.raises(InputError, match="do not overlap in the region at"):
        register_case(bundle, Case(moving, fixed))
