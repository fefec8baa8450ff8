"""The program that applies a field: what moves where, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.fields import Field
from common.io import read_image, read_label, write_field, write_image
from common.io.points import read_points
from common.physical import grid_points
from tools import warp

SHAPE, MOVING_SHAPE = (24, 22, 18), (20, 26, 21)


def grid(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Turned and anisotropic, with its middle at the origin of space."""
    random, affine = np.random.default_rng(seed), np.eye(4)
    affine[:3, :3] = np.linalg.qr(random.normal(size=(3, 3)))[0] * random.uniform(0.8, 1.4, 3)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


FIXED, MOVING = grid(1, SHAPE), grid(2, MOVING_SHAPE)
MARK = np.array([[1.5, -2.0, 2.5]])  # of the moving image, LPS mm


def blob(shape: tuple[int, ...], affine: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.exp(-((grid_points(shape, affine) - centre) ** 2).sum(-1) / 8).astype(np.float32)


def centre_of(image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return (grid_points(image.shape, affine) * image[..., None]).sum((0, 1, 2)) / image.sum()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A field of a smooth motion of some mm, a moving image of a blob with its label, and a landmark in its middle."""
    points = grid_points(SHAPE, FIXED)
    vectors = np.array([4.0, -3.0, 2.0]) * np.exp(-(points**2).sum(-1) / 1200)[..., None]
    write_field(tmp_path / "field.nii.gz", Field(vectors, FIXED))
    image = blob(MOVING_SHAPE, MOVING, MARK[0])
    write_image(tmp_path / "moving.nii.gz", image, MOVING)
    write_image(tmp_path / "label.nii.gz", (image > 0.5) * 300, MOVING)
    (tmp_path / "mark.csv").write_text("name,X,Y,Z\napex,{},{},{}\n".format(*MARK[0]))
    return tmp_path


def run(folder: Path, source: str, output: str, *options: str) -> Path:
    warp.main([str(folder / "field.nii.gz"), str(folder / source), "--output", str(folder / output), *options])
    return folder / output


def test_a_landmark_and_the_image_around_it_move_together(folder: Path) -> None:
    image = read_image(run(folder, "moving.nii.gz", "warped.nii.gz"))
    np.testing.assert_allclose(image.affine, FIXED, atol=1e-4)
    mark = read_points(run(folder, "mark.csv", "moved.csv", "--axes", "LPS"), "LPS").lps
    assert np.linalg.norm(mark - MARK) > 3
    np.testing.assert_allclose(centre_of(image.array, image.affine), mark[0], atol=0.15)
    label = read_label(run(folder, "label.nii.gz", "warped_label.nii.gz", "--label"))
    assert set(np.unique(label.array)) == {0, 300}
    np.testing.assert_allclose(centre_of(label.array, label.affine), mark[0], atol=0.3)


def test_the_inverse_brings_both_back(folder: Path) -> None:
    run(folder, "moving.nii.gz", "warped.nii.gz")
    run(folder, "mark.csv", "moved.csv", "--axes", "LPS")
    reference = str(folder / "moving.nii.gz")
    image = read_image(run(folder, "warped.nii.gz", "back.nii.gz", "--inverse", "--reference", reference))
    np.testing.assert_allclose(image.affine, MOVING, atol=1e-4)
    np.testing.assert_allclose(centre_of(image.array, image.affine), MARK[0], atol=0.15)
    mark = read_points(run(folder, "moved.csv", "back.csv", "--inverse", "--axes", "lps"), "LPS").lps
    np.testing.assert_allclose(mark, MARK, atol=1e-3)


def test_axes_of_points_are_stated_and_matter(folder: Path) -> None:
    (folder / "ras.csv").write_text("x,y,z\n{},{},{}\n".format(*(MARK[0] * [-1, -1, 1])))
    ras = read_points(run(folder, "ras.csv", "moved_ras.csv", "--axes", "RAS"), "RAS").lps
    lps = read_points(run(folder, "mark.csv", "moved.csv", "--axes", "LPS"), "LPS").lps
    np.testing.assert_allclose(ras, lps, atol=1e-6)
    assert (folder / "moved.csv").read_text().startswith("name,X,Y,Z\napex,")


def test_a_mesh_moves_as_its_points(folder: Path) -> None:
    line = " ".join(str(v) for v in MARK[0])
    (folder / "mesh.obj").write_text(f"# SPACE=LPS\nv {line}\nv 0 0 0\nv 1 0 0\nf 1 2 3\n")
    mesh = read_points(run(folder, "mesh.obj", "moved.obj")).lps
    mark = read_points(run(folder, "mark.csv", "moved.csv", "--axes", "LPS"), "LPS").lps
    np.testing.assert_allclose(mesh[0], mark[0], atol=1e-6)


def test_another_grid_shows_the_same_picture(folder: Path) -> None:
    fine = FIXED @ np.diag([0.5, 0.5, 0.5, 1])
    write_image(folder / "fine.nii.gz", np.arange(48 * 44 * 36.0).reshape(48, 44, 36), fine)
    image = read_image(run(folder, "moving.nii.gz", "fine_warped.nii.gz", "--reference", str(folder / "fine.nii.gz")))
    coarse = read_image(run(folder, "moving.nii.gz", "warped.nii.gz"))
    assert image.array.shape == (48, 44, 36)
    np.testing.assert_allclose(image.array[::2, ::2, ::2], coarse.array, atol=1e-4)


def test_a_frame_of_a_cine_is_warped(folder: Path) -> None:
    import nibabel as nib

    moving = read_image(folder / "moving.nii.gz")
    nib.save(nib.Nifti1Image(np.stack([0 * moving.array, moving.array], -1), MOVING), folder / "cine.nii")
    one = read_image(run(folder, "cine.nii", "one.nii.gz", "--frame", "1"))
    np.testing.assert_allclose(one.array, read_image(run(folder, "moving.nii.gz", "w.nii.gz")).array, atol=1e-6)


def test_points_off_the_field_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "far.csv").write_text("x,y,z\n0,0,0\n500,0,0\n")
    run(folder, "far.csv", "moved.csv", "--axes", "LPS")
    assert "2 points" in (said := capsys.readouterr().out) and "1 outside of the field" in said


def test_an_image_elsewhere_is_remarked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    away = MOVING.copy()
    away[:3, 3] += 500
    write_image(folder / "away.nii.gz", read_image(folder / "moving.nii.gz").array, away)
    run(folder, "away.nii.gz", "warped.nii.gz")
    assert "nothing of it lies there: do they share a space?" in capsys.readouterr().out


def test_a_2d_field_moves_2d_images_and_points(tmp_path: Path) -> None:
    affine = np.diag([-1.5, -0.5, 1, 1])
    write_field(tmp_path / "field.nii.gz", Field(np.broadcast_to([1.5, 1.0], (12, 10, 2)), affine))
    image = np.random.default_rng(0).random((12, 10)).astype(np.float32)
    write_image(tmp_path / "moving.nii.gz", image, affine)
    warped = read_image(run(tmp_path, "moving.nii.gz", "warped.nii.gz"))
    np.testing.assert_allclose(warped.array[:-1, :-2], image[1:, 2:], atol=1e-6)
    (tmp_path / "points.csv").write_text("x,y\n6,3\n")
    moved = read_points(run(tmp_path, "points.csv", "moved.csv", "--axes", "LPS"), "LPS")
    np.testing.assert_allclose(moved.lps, [[4.5, 2.0]], atol=1e-6)


@pytest.mark.parametrize(
    ("source", "output", "options", "said"),
    [
        ("absent.nii.gz", "o.nii.gz", [], "absent.nii.gz: no such file"),
        ("moving.nii.gz", "moving.nii.gz", [], "is an input too"),
        ("moving.nii.gz", "o.png", [], "written as NIfTI; give a name with .nii.gz"),
        ("moving.nii.gz", "o.nii.gz", ["--axes", "RAS"], "states its own axes"),
        ("moving.nii.gz", "o.nii.gz", ["--label"], "a label map has whole numbers only"),
        ("flat.nii.gz", "o.nii.gz", [], "flat.nii.gz: 2D, but the field is 3D"),
        ("moving.nii.gz", "o.nii.gz", ["--reference", "FOLDER/flat.nii.gz"], "2D, but the field is 3D"),
        ("mark.csv", "o.csv", [], "does not say whether its points are LPS"),
        ("mark.csv", "o.vtk", ["--axes", "LPS"], "points keep their format"),
        ("mark.csv", "o.csv", ["--axes", "LPS", "--label"], "--label, --reference and --fill are for images"),
        ("mark.csv", "o.csv", ["--axes", "LPS", "--frame", "0"], "--frame is for images, and for the motion of a cine"),
        ("moving.nii.gz", "o.nii.gz", ["--frame", "1"], "holds images 0 to 0; there is no 1"),
        ("label.nii.gz", "o.nii.gz", ["--label", "--fill", "1"], "a label map is 0 outside"),
        ("flat.csv", "o.csv", ["--axes", "LPS"], "points without z, but the images are 3D"),
    ],
)
def test_what_does_not_fit_is_said(folder: Path, source: str, output: str, options: list[str], said: str) -> None:
    write_image(folder / "flat.nii.gz", np.random.default_rng(0).random((5, 4)), np.eye(4))
    (folder / "flat.csv").write_text("x,y\n1,2\n")
    before = sorted(folder.iterdir())
    with pytest.raises(InputError, match=said) as caught:
        run(folder, source, output, *[option.replace("FOLDER", str(folder)) for option in options])
    assert "\n" not in str(caught.value) and sorted(folder.iterdir()) == before
