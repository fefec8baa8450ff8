"""prepare --align-slices: stacks come out in line, and it is said how far their slices were shifted."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from shifted_stack import SHAPE, SPACING, known_shifts, stack

from common.data import prepared
from common.data.prepared_check import find_problems
from common.errors import InputError
from common.nifti import save_image
from common.registration.case import case_of_pair
from tools.prepare.__main__ import main

AFFINE = np.diag([*SPACING, 1.0])
KNOWN = known_shifts(1)


def save_acdc(root: Path, shifts: np.ndarray) -> Path:
    """A patient in the layout of ACDC."""
    folder = root / "patient001"
    for frame, squeeze in ((1, 1.0), (9, 0.8)):
        for ending, array in zip(("", "_gt"), stack(shifts, squeeze, frame), strict=True):
            save_image(folder / f"patient001_frame{frame:02d}{ending}.nii.gz", array, AFFINE)
    (folder / "Info.cfg").write_text("ED: 1\nES: 9\nGroup: DCM\n")
    return root


def acdc(tmp_path: Path, *options: str, spatial_dims: int = 3) -> prepared.Dataset:
    root = tmp_path / "raw" if (tmp_path / "raw").exists() else save_acdc(tmp_path / "raw", KNOWN)
    output = tmp_path / "".join(("out", *options))
    arguments = ["acdc", "--source", str(root), "--output", str(output), "--spatial-dims", str(spatial_dims)]
    assert main([*arguments, "--depth", "12", "--size", "48", "--jobs", "1", *options]) == 0
    assert not [line for line in find_problems(output) if line.startswith("error:")]
    return prepared.read(output)


def pairs(root: Path, *options: str) -> int:
    arguments = ["pairs", "--source", str(root), "--output", str(root.parent / "out"), "--spatial-dims", "3"]
    return main([*arguments, "--align-slices", "--fractions", "1,0,0", "--jobs", "1", *options])


def save_pair(root: Path, shape: tuple[int, ...] = SHAPE, affine: np.ndarray = AFFINE, off: float = 0.0) -> Path:
    """A moving and a fixed image with their labels, cut to ``shape``, the fixed one ``off`` mm away in space."""
    for role, squeeze in (("moving", 1.0), ("fixed", 0.8)):
        image, label = stack(KNOWN, squeeze)
        there = affine + off * (role == "fixed") * np.eye(4, k=3)
        save_image(root / f"a_{role}.nii.gz", image[tuple(map(slice, shape))], there)
        save_image(root / f"a_{role}_label.nii.gz", label[tuple(map(slice, shape))], there)
    return root


def rough(dataset: prepared.Dataset, key: str) -> float:
    """How much the way of the labels' middle from slice to slice turns, mm."""
    label = prepared.load_arrays(dataset, dataset.pairs("train")[0], (key,))[key]
    middles = [np.argwhere(each).mean(0) for each in np.moveaxis(label > 1, 2, 0) if each.sum() > 20]
    return float(np.linalg.norm(np.diff(middles, 2, axis=0), axis=1).mean())


def test_acdc_comes_out_in_line_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = acdc(tmp_path)
    assert "aligned" not in capsys.readouterr().out + plain.spacing_policy
    dataset = acdc(tmp_path, "--align-slices")
    assert "slices aligned: the largest shift of a pair is" in capsys.readouterr().out
    assert dataset.spacing_policy.startswith("slices aligned, resampled to")
    native = dataset.pairs("train")[0]["native"]
    assert native["slice_axis"] == 2
    found = np.array(native["slice_shifts_mm"])
    assert np.linalg.norm(found - KNOWN, axis=1).mean() < 0.6
    assert "slice_axis" not in plain.pairs("train")[0]["native"]
    for key in ("moving_label", "fixed_label"):
        assert rough(dataset, key) < rough(plain, key) / 2
    with pytest.raises(InputError, match="pair patient001 was prepared with --align-slices.*leave out --source"):
        case_of_pair(dataset, dataset.pairs("train")[0], tmp_path / "raw")


def test_without_the_option_what_is_finished_stays_so(tmp_path: Path) -> None:
    output = acdc(tmp_path).root
    assert "align_slices" not in json.loads((output / ".prepare" / "settings.json").read_text())
    assert acdc(tmp_path).root == output


def test_slices_are_no_stack_in_2d(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--align-slices: in 2D every slice is a pair.*pass --spatial-dims 3"):
        acdc(tmp_path, "--align-slices", spatial_dims=2)


def test_pairs_of_ones_own_are_aligned(tmp_path: Path) -> None:
    assert pairs(save_pair(tmp_path / "raw")) == 0
    dataset = prepared.read(tmp_path / "out")
    assert np.shape(dataset.pairs("train")[0]["native"]["slice_shifts_mm"]) == (SHAPE[2], 2)
    image = nib.load(dataset.root / dataset.pairs("train")[0]["fixed"])
    assert image.shape == SHAPE and np.allclose(image.affine, AFFINE)


def test_two_slices_stay_and_a_warning_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pairs(save_pair(tmp_path / "raw", (*SHAPE[:2], 2))) == 0
    assert "a_fixed.nii.gz: shifts cannot be told of fewer than 3 slices" in capsys.readouterr().err
    assert prepared.read(tmp_path / "out").pairs("train")[0]["native"]["slice_shifts_mm"] == [[0, 0], [0, 0]]


def test_what_is_no_stack_of_one_patient_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a_moving.nii.gz: lies on another grid than a_fixed.nii.gz.*leave out"):
        pairs(save_pair(tmp_path / "apart", off=2.0))
    with pytest.raises(InputError, match=r"a_fixed.nii.gz: voxels of 1x1x1 mm are no stack of slices; leave out"):
        pairs(save_pair(tmp_path / "even", affine=np.eye(4)))
