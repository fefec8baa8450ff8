"""Which images a request means, and which it cannot mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.serving.studies import find, frames_of, read_studies


def ask(studies: Path, name: str, **request: Any) -> Any:
    return read_studies({"image": str(studies / f"{name}.nii.gz"), **request})


def stored(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_fixed_is_another_image_of_the_folder(studies: Path) -> None:
    pair = ask(studies, "a", fixed="b", moving_frame=0, fixed_frame="", moving_label="")
    assert np.array_equal(pair.moving.array, stored(studies / "a.nii.gz"))
    assert np.array_equal(pair.fixed.array, stored(studies / "b.nii.gz")) and pair.label is None


@pytest.mark.parametrize(("asked", "frames"), [({"moving_frame": 4, "fixed_frame": "1"}, (4, 1)),
                                               ({"fixed_frame": 2, "fixed": None}, (0, 2)),
                                               ({"fixed_frame": 3, "fixed": "cine"}, (0, 3))])  # fmt: skip
def test_frames_of_a_cine(studies: Path, asked: dict[str, Any], frames: tuple[int, int]) -> None:
    pair, cine = ask(studies, "cine", **asked), stored(studies / "cine.nii.gz")
    assert np.array_equal(pair.moving.array, cine[..., frames[0]])
    assert np.array_equal(pair.fixed.array, cine[..., frames[1]])


def test_a_frame_can_be_registered_to_an_image(studies: Path) -> None:
    pair = ask(studies, "cine", fixed="a", moving_frame=3)
    assert np.array_equal(pair.moving.array, stored(studies / "cine.nii.gz")[..., 3])
    assert np.array_equal(pair.fixed.array, stored(studies / "a.nii.gz"))


def test_a_label_is_the_servers_own_or_lies_beside_the_image(studies: Path) -> None:
    own, beside = (ask(studies, "a", fixed="b", moving_label=name).label.array for name in ("a", "a_seg"))
    assert set(np.unique(own)) == {0, 1} and np.array_equal(beside, 2 * own)


def test_images_may_lie_on_grids_of_their_own(studies: Path) -> None:
    pair = ask(studies, "a", fixed="small")
    assert (pair.moving.array.shape, pair.fixed.array.shape) == ((40, 36, 3), (30, 36, 3))


def test_frames_are_counted_in_four_axes_alone(studies: Path) -> None:
    assert frames_of(studies / "cine.nii.gz") == 5 and frames_of(studies / "a.nii.gz") is None


REFUSED = [
    ("a", {}, "single image"),
    ("cine", {}, "both moving and fixed"),
    ("cine", {"moving_frame": 2, "fixed_frame": 2}, "both moving and fixed"),
    ("cine", {"fixed_frame": 5}, "0 to 4"),
    ("cine", {"fixed_frame": -1}, "0 to 4"),
    ("cine", {"fixed_frame": "late"}, "'late'"),
    ("cine", {"fixed_frame": [1]}, "0 to 4"),
    ("a", {"fixed": "nobody"}, "'nobody' is not among"),
    ("a", {"fixed": 7}, "fixed is 7"),
    ("a", {"fixed": "text"}, "text.nii.gz"),
    ("a", {"fixed": "b", "moving_label": "b"}, "whole numbers"),
    ("a", {"fixed": "b", "moving_label": "nobody"}, "moving_label 'nobody'"),
    ("nobody", {"fixed": "a"}, "no such image"),
    ("text", {"fixed": "a"}, "text.nii.gz"),
]


@pytest.mark.parametrize(("name", "asked", "line"), REFUSED)
def test_a_request_that_means_nothing_is_refused_in_one_line(
    studies: Path, name: str, asked: dict[str, Any], line: str
) -> None:
    with pytest.raises(InputError) as error:
        ask(studies, name, **asked)
    assert line in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["../a", "labels/final/a", "/etc/passwd", "a\0", "..\\a", "", "..", None, {"a": 1}])
def test_an_id_leads_nowhere_else(studies: Path, name: Any) -> None:
    (studies.parent / "a.nii.gz").write_bytes((studies / "a.nii.gz").read_bytes())
    with pytest.raises(InputError):
        find(studies, name, "fixed", [""])
