"""Labels of a pair: how well they agree before and after, and what is no label map."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from toy_registration import MOTION, PLACE, blob, grid_around, toy_bundle

from common.errors import InputError
from common.grids import crop_affine
from common.io.images import MedicalImage
from common.physical import grid_points
from common.registration.api import case_of_files, register
from common.registration.case import Case
from common.registration.labelled import is_grey, read_given
from common.registration.outcome import Registration

SHAPE, AFFINE = (40, 42, 44), grid_around((40, 42, 44), (1.0, 1.5, 1.0))


def ball(place: np.ndarray, value: int = 1, affine: np.ndarray = AFFINE, name: str = "label") -> MedicalImage:
    inside = np.linalg.norm(grid_points(SHAPE, affine) - place, axis=-1) < 6
    return MedicalImage((value * inside).astype(np.uint8), affine, Path(f"{name}.nii.gz"))


def registered(tmp_path: Path, label: MedicalImage | None, fixed_label: MedicalImage | None) -> Registration:
    images = (blob(SHAPE, AFFINE, PLACE + MOTION, "moving"), blob(SHAPE, AFFINE, PLACE, "fixed"))
    return register(*images, toy_bundle(tmp_path / "toy"), label=label, fixed_label=fixed_label)


def test_labels_that_the_motion_brings_together_agree_afterwards(tmp_path: Path) -> None:
    found = registered(tmp_path, ball(PLACE + MOTION), ball(PLACE, name="fixed_label"))
    before, after = (found.numbers["labels"]["1"][when] for when in ("before", "after"))
    assert before["dice"] < 0.6 < 0.94 < after["dice"] <= 1
    assert before["hd95_mm"] == pytest.approx(np.linalg.norm(MOTION), abs=1.5)
    assert after["hd95_mm"] <= 1.5 and after["asd_mm"] < 0.3 < before["asd_mm"]
    assert found.numbers["labels"]["mean"] == {"before": before, "after": after}
    assert found.agreement is found.numbers["labels"]


def test_a_fixed_label_may_lie_on_another_grid(tmp_path: Path) -> None:
    whole = ball(PLACE, name="fixed_label")
    part = MedicalImage(whole.array[5:], crop_affine(AFFINE, (5, 0, 0)), whole.path)
    scores = [
        registered(tmp_path / str(k), ball(PLACE + MOTION), each).agreement for k, each in enumerate((whole, part))
    ]
    assert scores[0] == scores[1]


def test_a_label_that_one_image_lacks_is_not_scored(tmp_path: Path) -> None:
    both = ball(PLACE)
    both.array[:3, :3, :3] = 7
    found = registered(tmp_path, ball(PLACE + MOTION), both).agreement
    assert set(found) == {"1", "7", "mean"}
    assert all(isnan(score) for when in found["7"].values() for score in when.values())
    assert found["mean"] == found["1"]


def test_a_fixed_label_needs_a_moving_one_and_something_in_its_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fixed_label.nii.gz: nothing to compare it with; give the moving image's"):
        registered(tmp_path, None, ball(PLACE, name="fixed_label"))
    away = ball(PLACE, affine=grid_around(SHAPE, (1, 1, 1), off=[400.0, 0, 0]), name="fixed_label")
    away.array[:] = 1
    with pytest.raises(InputError, match=r"fixed_label.nii.gz: no label of it lies in fixed.nii.gz; give the fixed"):
        registered(tmp_path / "other", ball(PLACE + MOTION), away)
    with pytest.raises(InputError, match="is 3D but flat.nii.gz is 2D"):
        image = blob(SHAPE, AFFINE, PLACE)
        Case(
            image,
            image,
            ball(PLACE),
            fixed_label=MedicalImage(np.ones((4, 4), np.uint8), np.eye(4), Path("flat.nii.gz")),
        )


def test_a_grey_image_is_no_label_map_but_an_atlas_of_many_structures_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 561, (40, 40, 4))
    grey[:10] = 0
    smooth = np.add.outer(3 * np.arange(60), 2 * np.arange(50))[..., None]
    atlas = np.kron(np.arange(1, 401).reshape(20, 20, 1), np.ones((4, 4, 3), int))
    assert is_grey(grey) and is_grey(smooth) and is_grey(grey[..., 0])
    assert not is_grey(atlas) and not is_grey(ball(PLACE).array) and not is_grey(np.zeros((3, 3, 1), int))
    nib.save(nib.Nifti1Image(grey.astype(np.int16), np.eye(4)), tmp_path / "grey.nii.gz")
    with pytest.raises(InputError, match=r"grey.nii.gz: \d+ different values, side by side: a grey image"):
        read_given(tmp_path / "grey.nii.gz")
    with pytest.raises(InputError, match="label: .* a grey image"):
        read_given((grey, np.eye(4)))


def test_a_label_of_many_frames_takes_that_of_its_image(tmp_path: Path) -> None:
    shape, affine = (20, 18, 3), grid_around((20, 18, 3), (1.0, 1.0, 6.0))
    rng = np.random.default_rng(0)
    cine = rng.random((*shape, 4)).astype(np.float32)
    labels = np.zeros((*shape, 4), np.uint8)
    for frame in range(4):
        labels[5:12, 5:12, :, frame] = frame + 1
    for name, array in {"cine": cine, "labels": labels, "one": labels[..., 1]}.items():
        nib.save(nib.Nifti1Image(array, affine), tmp_path / f"{name}.nii.gz")
    files = {name: tmp_path / f"{name}.nii.gz" for name in ("cine", "labels", "one")}

    def values(labels: tuple, **more: object) -> tuple[int, int]:
        case = case_of_files(files["cine"], files["cine"], labels, frames=(1, 3), **more)
        return int(case.label.array.max()), int(case.fixed_label.array.max())

    assert values((files["labels"], files["labels"])) == (2, 4)
    assert values((files["labels"], files["labels"]), of_labels=(0, 2)) == (1, 3)
    assert values((files["one"], files["labels"])) == (2, 4)
    assert values(((labels, affine), (labels[..., 0], affine))) == (2, 1)
    with pytest.raises(InputError, match="labels.nii.gz: holds images 0 to 3; there is no 9"):
        values((files["labels"], files["labels"]), of_labels=(9, None))
