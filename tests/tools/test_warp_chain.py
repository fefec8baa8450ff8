"""The program that applies a field: several transforms in a row, those of other programs, and cines."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.fields import Field
from common.io import read_image, read_label, write_field, write_image
from common.io.points import read_points
from common.physical import background, grid_points, sample, transform_points
from tools import warp
from tools.cine.writing import write_motion

SHAPE = (16, 15, 12)
GRID = np.diag([-1.5, -1.2, 2.0, 1.0])
GRID[:3, 3] = [11, 9, -12]
MARKS = np.array([[0.5, -1.0, 2.0], [3.0, 1.0, -4.0]])


def field_of(seed: float) -> Field:
    return Field(1.5 * np.sin(grid_points(SHAPE, GRID) / 7 + [seed, 1, 2 * seed]), GRID)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two fields, an affine, a moving image and its landmarks."""
    sitk = pytest.importorskip("SimpleITK")
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((1.05, 0.02, 0, -0.03, 0.97, 0.04, 0, 0.01, 1.02))
    affine.SetTranslation((1.0, -0.5, 0.7))
    sitk.WriteTransform(affine, str(tmp_path / "affine.mat"))
    write_field(tmp_path / "a.nii.gz", field_of(0))
    write_field(tmp_path / "b.nii.gz", field_of(1))
    image = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    write_image(tmp_path / "moving.nii.gz", image, GRID)
    write_image(tmp_path / "label.nii.gz", (image > 0.5).astype(np.uint8), GRID)
    (tmp_path / "marks.csv").write_text("x,y,z\n" + "\n".join(",".join(map(str, mark)) for mark in MARKS))
    return tmp_path


def run(folder: Path, field: str, source: str, output: str, *options: str) -> Path:
    words = [str(folder / field), str(folder / source), "--output", str(folder / output)]
    warp.main([*words, *(str(folder / o) if "." in o and not o[0].isdigit() else o for o in options)])
    return folder / output


def by_affine(points: np.ndarray) -> np.ndarray:
    return points @ np.array([[1.05, 0.02, 0], [-0.03, 0.97, 0.04], [0, 0.01, 1.02]]).T + [1.0, -0.5, 0.7]


def test_the_last_transform_is_applied_to_the_image_first_and_it_is_interpolated_once(folder: Path) -> None:
    image = read_image(folder / "moving.nii.gz").array
    points = transform_points(grid_points(SHAPE, GRID), field_of(0))
    for last, there in (("affine.mat", by_affine(points)), ("b.nii.gz", transform_points(points, field_of(1)))):
        found = read_image(run(folder, "a.nii.gz", "moving.nii.gz", "w.nii.gz", "--field", last))
        expected = sample(image, GRID, there, 1, background(image))
        np.testing.assert_allclose(found.array, expected, atol=1e-6)
    three = read_image(
        run(folder, "a.nii.gz", "moving.nii.gz", "w3.nii.gz", "--field", "b.nii.gz", "--field", "affine.mat")
    )
    there = by_affine(transform_points(points, field_of(1)))
    np.testing.assert_allclose(three.array, sample(image, GRID, there, 1, background(image)), atol=1e-6)


def test_ants_orders_transforms_in_the_same_way(folder: Path) -> None:
    ants = pytest.importorskip("ants", reason="antspyx is not installed")
    image = ants.image_read(str(folder / "moving.nii.gz"))
    listed = [str(folder / "a.nii.gz"), str(folder / "affine.mat")]
    theirs = ants.apply_transforms(image, image, transformlist=listed, interpolator="linear").numpy()
    ours = read_image(run(folder, "a.nii.gz", "moving.nii.gz", "w.nii.gz", "--field", "affine.mat")).array
    inner = (slice(4, -4),) * 3
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=1e-5)


def test_landmarks_go_through_a_row_and_back(folder: Path) -> None:
    more = ("--field", "b.nii.gz", "--field", "affine.mat", "--axes", "LPS")
    moved = read_points(run(folder, "a.nii.gz", "marks.csv", "moved.csv", *more), "LPS").lps
    there = by_affine(transform_points(transform_points(moved, field_of(0)), field_of(1)))
    np.testing.assert_allclose(there, MARKS, atol=1e-3)
    back = read_points(run(folder, "a.nii.gz", "moved.csv", "back.csv", "--inverse", *more), "LPS").lps
    np.testing.assert_allclose(back, MARKS, atol=1e-3)


def test_an_affine_alone_moves_points_and_needs_a_grid_for_images(folder: Path) -> None:
    moved = read_points(run(folder, "affine.mat", "marks.csv", "m.csv", "--inverse", "--axes", "LPS"), "LPS").lps
    np.testing.assert_allclose(moved, by_affine(MARKS), atol=1e-6)
    with pytest.raises(InputError, match="has no grid; give an image that has"):
        run(folder, "affine.mat", "moving.nii.gz", "w.nii.gz")
    found = read_image(run(folder, "affine.mat", "moving.nii.gz", "w.nii.gz", "--reference", "label.nii.gz")).array
    image = read_image(folder / "moving.nii.gz").array
    there = by_affine(grid_points(SHAPE, GRID))
    np.testing.assert_allclose(found, sample(image, GRID, there, fill=background(image)), atol=1e-6)


def test_a_deformation_of_spm_moves_as_the_field_that_it_means(folder: Path) -> None:
    places = (grid_points(SHAPE, GRID) + field_of(0).vectors) * [-1, -1, 1]
    image = nib.Nifti1Image(places[..., None, :].astype(np.float32), GRID)
    image.header.set_intent("vector", name="Mapping")
    nib.save(image, folder / "y_a.nii")
    ours, theirs = (read_image(run(folder, f, "moving.nii.gz", f"w_{f}")).array for f in ("a.nii.gz", "y_a.nii"))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_landmarks_off_the_field_say_so_in_their_row(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "far.csv").write_text("label,l,p,s\nin,0,0,0\nout,500,0,0\n")
    rows = run(folder, "a.nii.gz", "far.csv", "moved.csv").read_text().splitlines()
    assert rows[0] == "label,l,p,s,outside" and rows[1].endswith(",0") and rows[2].endswith(",1")
    assert "1 outside of the field" in capsys.readouterr().out


@pytest.fixture
def cine(folder: Path) -> Path:
    """The motion of three frames, as the program writes it, and a 4D image of three."""
    from tools.cine.motion import Motion

    vectors = np.stack([t * field_of(0).vectors for t in range(3)])
    write_motion(folder / "motion.nii.gz", Motion(vectors, GRID, 3, 0, np.ones(SHAPE, bool)), 40.0)
    image = read_image(folder / "moving.nii.gz").array
    four = nib.Nifti1Image(np.stack([image, 0 * image, 2 * image], -1), GRID)
    four.header.set_xyzt_units("mm", "sec")
    four.header["pixdim"][4] = 0.05
    nib.save(four, folder / "cine.nii.gz")
    return folder


def test_the_motion_of_a_cine_carries_its_reference_to_every_frame(cine: Path) -> None:
    image = nib.load(run(cine, "motion.nii.gz", "moving.nii.gz", "w.nii.gz"))
    assert image.shape == (*SHAPE, 3) and image.header.get_xyzt_units() == ("mm", "msec")
    assert image.header["pixdim"][4] == pytest.approx(40)
    one = read_image(run(cine, "a.nii.gz", "moving.nii.gz", "one.nii.gz")).array
    np.testing.assert_allclose(np.asarray(image.dataobj)[..., 1], one, atol=1e-5)
    np.testing.assert_allclose(np.asarray(image.dataobj)[..., 0], read_image(cine / "moving.nii.gz").array, atol=1e-5)
    chosen = read_image(run(cine, "motion.nii.gz", "moving.nii.gz", "frame.nii.gz", "--frame", "1")).array
    np.testing.assert_allclose(chosen, one, atol=1e-5)
    labels = np.asarray(nib.load(run(cine, "motion.nii.gz", "label.nii.gz", "l.nii.gz", "--label")).dataobj)
    assert labels.shape == (*SHAPE, 3) and labels.dtype == np.uint8
    np.testing.assert_array_equal(labels[..., 0], read_label(cine / "label.nii.gz").array)


def test_every_frame_is_warped_by_the_one_field_or_by_its_own(cine: Path) -> None:
    one = read_image(run(cine, "a.nii.gz", "moving.nii.gz", "one.nii.gz")).array
    image = nib.load(run(cine, "a.nii.gz", "cine.nii.gz", "w.nii.gz"))
    frames = np.asarray(image.dataobj)
    assert image.header["pixdim"][4] == pytest.approx(50)
    np.testing.assert_allclose(frames, np.stack([one, 0 * one, 2 * one], -1), atol=1e-5)
    own = np.asarray(nib.load(run(cine, "motion.nii.gz", "cine.nii.gz", "own.nii.gz")).dataobj)
    np.testing.assert_allclose(own[..., 0], read_image(cine / "moving.nii.gz").array, atol=1e-5)
    assert (own[..., 1] == 0).all() and np.abs(own[..., 2] - frames[..., 2]).max() > 0.1


def test_points_take_one_frame_of_a_motion(cine: Path) -> None:
    moved = [
        read_points(run(cine, field, "marks.csv", f"{n}.csv", "--axes", "LPS", *frame), "LPS").lps
        for n, (field, frame) in enumerate([("motion.nii.gz", ("--frame", "1")), ("a.nii.gz", ())])
    ]
    np.testing.assert_allclose(*moved, atol=1e-5)
    with pytest.raises(InputError, match=r"the motion of 3 frames; choose one by --frame"):
        run(cine, "motion.nii.gz", "marks.csv", "m.csv", "--axes", "LPS")
    with pytest.raises(InputError, match=r"frames 0 to 2; there is no -1"):
        run(cine, "motion.nii.gz", "marks.csv", "m.csv", "--axes", "LPS", "--frame=-1")


def test_cines_of_different_lengths_are_refused(cine: Path) -> None:
    four = nib.load(cine / "cine.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(four.dataobj)[..., :2], GRID), cine / "two.nii.gz")
    with pytest.raises(InputError, match="has 2 frames, but the motion 3"):
        run(cine, "motion.nii.gz", "two.nii.gz", "w.nii.gz")
    assert not (cine / "w.nii.gz").exists()


def test_what_lies_outside_gets_the_value_that_is_asked_for(folder: Path) -> None:
    away = GRID.copy()
    away[0, 3] += 10
    write_image(folder / "part.nii.gz", read_image(folder / "moving.nii.gz").array, away)
    found = read_image(run(folder, "a.nii.gz", "part.nii.gz", "w.nii.gz", "--fill", "-7")).array
    assert (found == -7).mean() > 0.2


def test_no_input_is_written_over(folder: Path) -> None:
    for output in ("a.nii.gz", "b.nii.gz", "moving.nii.gz", "label.nii.gz"):
        with pytest.raises(InputError, match="is an input too"):
            run(folder, "a.nii.gz", "moving.nii.gz", output, "--field", "b.nii.gz", "--reference", "label.nii.gz")
