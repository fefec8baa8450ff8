"""The numbers, files and picture of a registration."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from toy_registration import MOTION, PLACE, blob, grid_around, toy_bundle

from common.errors import InputError
from common.fields import Field
from common.io import MedicalImage, read_field
from common.io.points import read_points
from common.registration import picture
from common.registration.bundle import open_bundle
from common.registration.case import Case
from common.registration.numbers import _correlation, _points, _region
from common.registration.outcome import By, Registration
from common.registration.outputs import check_format
from common.registration.picture import draw
from common.registration.register import register_case
from common.registration.view import choose_view

BY = By("toy", "1.2.3", None, "cpu")
SHAPE, AFFINE = (40, 42, 44), grid_around((40, 42, 44), (1.0, 1.0, 1.0))


def of_field(vectors: np.ndarray, affine: np.ndarray = AFFINE, **more: object) -> Registration:
    """An outcome of images of noise under a given field."""
    shape, rng = vectors.shape[:-1], np.random.default_rng(0)
    images = [MedicalImage(rng.random(shape).astype(np.float32), affine, Path(f"{n}.nii")) for n in ("a", "b")]
    seen = more.pop("seen", np.ones(shape, bool))
    return Registration(Case(*images), Field(vectors, affine), {}, seen, 1.0, 0.1, (1.0,), (8,), **more, by=BY)


@pytest.fixture
def outcome(tmp_path: Path) -> Registration:
    moving, fixed = blob(SHAPE, AFFINE, PLACE + MOTION, "moving"), blob(SHAPE, AFFINE, PLACE, "fixed")
    label = MedicalImage((moving.array > 50).astype(np.int32) * 300, AFFINE, Path("label.nii.gz"))
    (tmp_path / "points.csv").write_text("name,x,y,z\nblob," + ",".join(str(v) for v in PLACE + MOTION) + "\n")
    case = Case(moving, fixed, label, read_points(tmp_path / "points.csv", "LPS"))
    return replace(register_case(open_bundle(toy_bundle(tmp_path / "toy")), case), by=BY)


def test_a_translation_has_the_numbers_of_one(outcome: Registration) -> None:
    found = outcome.numbers
    length = np.linalg.norm(MOTION)
    assert found["displacement_mm"]["mean"] == pytest.approx(length, abs=0.05)
    assert found["folding_percent"] == 0
    assert found["jacobian"]["min"] == pytest.approx(1, abs=1e-4)
    assert found["inverse_consistency_mm"]["max"] < 1e-3
    before, after = found["similarity"]["before"], found["similarity"]["after"]
    assert after["mean_squared_error"] < 0.02 * before["mean_squared_error"]
    assert after["local_correlation"] > before["local_correlation"]
    assert found["maps"]["uncertainty_mm"]["mean"] == pytest.approx(np.exp(0.25), rel=1e-4)
    assert found["points"]["seen"] == [True] and found["points"]["residual_mm"][0] < 1e-3
    assert found["points"]["uncertainty_mm"][0] == pytest.approx(np.exp(0.25), rel=1e-4)
    np.testing.assert_allclose(outcome.warped_points[0][0], PLACE, atol=0.06)


def test_folds_are_counted_but_not_those_at_the_rim() -> None:
    vectors = np.zeros((20, 20, 20, 3), np.float32)
    seen = np.zeros((20, 20, 20), bool)
    seen[5:15, 5:15, 5:15] = True
    vectors[seen] = (6.0, 0, 0)  # jumps to 0 at the rim, where x - 6 folds
    outcome = of_field(vectors, grid_around((20, 20, 20), (1, 1, 1)), seen=seen)
    assert (outcome.jacobian <= 0).any()
    assert outcome.numbers["folding_percent"] == 0
    vectors[8:12, 9:11, 9:11, 0] = np.array([12.0, 6, 0, -6])[::-1, None, None]
    outcome = of_field(vectors, grid_around((20, 20, 20), (1, 1, 1)), seen=seen)
    assert outcome.numbers["folding_percent"] > 0


def test_a_slice_of_a_stack_counts_beside_one_that_was_not_seen() -> None:
    seen = np.ones((9, 8, 4), bool)
    seen[:, :, 0] = seen[0] = False
    inner = of_field(np.zeros((9, 8, 4, 3)), grid_around((9, 8, 4), (1, 1, 6)), seen=seen, slice_axis=2).inner
    assert inner[2:, :, 1:].all() and not inner[:2].any() and not inner[:, :, 0].any()


def test_only_what_has_values_before_and_after_is_compared() -> None:
    vectors = np.zeros((12, 10, 2), np.float32)
    vectors[..., 0] = 3.0  # LPS x runs against the first axis: sampled 3 voxels before
    outcome = of_field(vectors, grid_around((12, 10), (1.0, 1.0)))
    assert outcome.compared[3:].all() and not outcome.compared[:3].any()


def test_outside_of_the_moving_image_is_its_smallest_value() -> None:
    vectors = np.full((8, 8, 2), 100.0, np.float32)
    outcome = of_field(vectors, grid_around((8, 8), (1.0, 1.0)))
    assert (outcome.warped == outcome.moving.array.min()).all()
    for value in (-1000.0, 7.0):
        outcome.moving.array[:] += value - outcome.moving.array.min()
        assert (replace(outcome).warped == value).all()
    assert (replace(outcome, case=replace(outcome.case, fill=-3.0)).warped == -3).all()


def test_the_correlation_of_a_stack_weighs_slices_by_what_is_compared_of_them() -> None:
    ours, mask = np.random.default_rng(0).random((2, 20, 20, 2)).astype(np.float32), np.ones((20, 20, 2), bool)
    ours[1, :, :, 0] = ours[0, :, :, 0]
    mask[5:, :, 0] = False
    alike, other = (_correlation(*ours[..., k], mask[..., k], None) for k in (0, 1))
    assert alike > other + 0.5
    assert _correlation(*ours, mask, 2) == pytest.approx((100 * alike + 400 * other) / 500, abs=1e-6)


def test_a_point_that_was_not_seen_has_no_uncertainty(outcome: Registration) -> None:
    outcome.seen[:] = False
    found = _points(outcome)
    assert found["seen"] == [False] and np.isnan(found["uncertainty_mm"]).all()


def test_only_folds_are_black() -> None:
    vectors = np.zeros((12, 12, 2), np.float32)
    vectors[..., 0] = 0.9 * np.arange(12)[:, None]  # LPS x runs against the first axis: 1 - 0.9
    squeezed = of_field(vectors, grid_around((12, 12), (1.0, 1.0)))
    assert np.median(squeezed.jacobian) == pytest.approx(0.1, abs=1e-4)
    folded = of_field(1.3 * vectors, grid_around((12, 12), (1.0, 1.0)))
    shown = [picture._changes(each, choose_view(each))[3] for each in (squeezed, folded)]
    assert (shown[0].values >= shown[0].norm.vmin).all()
    assert (shown[1].values < shown[1].norm.vmin).all()


def test_strong_squeezing_is_not_drawn_as_a_fold() -> None:
    vectors = np.zeros((24, 24, 2), np.float32)
    vectors[..., 0] = 0.9 * np.arange(24)[:, None]
    squeezed = of_field(vectors, grid_around((24, 24), (1.0, 1.0)))
    panel = picture._changes(squeezed, choose_view(squeezed))[3]
    figure = Figure((1, 1), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(panel.values, cmap=panel.colours, norm=panel.norm, interpolation="none")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    drawn = np.asarray(Image.open(buffer).convert("RGB"))[45:55, 45:55]
    assert drawn.max(-1).min() > 90  # brown


def test_what_the_network_saw_is_told() -> None:
    seen = np.zeros((9, 8, 4), bool)
    seen[2:7, 3:8, 1:] = True
    found = of_field(np.zeros((9, 8, 4, 3)), grid_around((9, 8, 4), (1, 1, 6)), seen=seen, slice_axis=2)
    assert _region(found.seen) == {"first": [2, 3, 1], "shape": [5, 5, 3]}
    assert _region(np.zeros((3, 4), bool)) == {"first": [0, 0], "shape": [0, 0]}


def test_all_files_are_written_and_read_back(tmp_path: Path, outcome: Registration) -> None:
    named = {"nifti": ("a_field.nii.gz", "a_inverse_field.nii.gz"), "l2r": ("disp_a.nii.gz", "disp_a_inverse.nii.gz")}
    for format, fields in named.items():
        folder = tmp_path / format
        files = outcome.save(folder, "a", format)
        names = {path.name for path in files}
        images = ("warped", "warped_label", "jacobian", "uncertainty_mm", "displacement_log_variance", "seen")
        assert names == {f"a_{each}.nii.gz" for each in images} | {
            *fields, "a_points.csv", "a.json", "a.png"}  # fmt: skip
        assert {path.name for path in folder.iterdir()} == names
        np.testing.assert_allclose(read_field(folder / fields[0]).vectors, outcome.field.vectors, atol=1e-4)
        np.testing.assert_allclose(read_field(folder / fields[1]).vectors, -outcome.field.vectors, atol=1e-3)
    assert set(np.unique(nib.load(folder / "a_warped_label.nii.gz").dataobj)) == {0, 300}
    assert "blob,2.9" in (folder / "a_points.csv").read_text() or "blob,3" in (folder / "a_points.csv").read_text()
    written = json.loads((folder / "a.json").read_text())
    assert written["bundle"]["version"] == "1.2.3"
    seen = outcome.seen
    np.testing.assert_array_equal(nib.load(folder / "a_seen.nii.gz").dataobj, seen)
    assert written["network"]["seen_percent"] == pytest.approx(100 * seen.mean())
    assert all(0 < n <= size for n, size in zip(written["network"]["region"]["shape"], SHAPE, strict=True))


def test_a_number_that_cannot_be_computed_is_null(tmp_path: Path, outcome: Registration) -> None:
    outcome.numbers["folding_percent"] = float("nan")
    outcome.save(tmp_path / "out", "a")
    assert json.loads((tmp_path / "out" / "a.json").read_text())["folding_percent"] is None


def test_nothing_is_left_of_what_fails(tmp_path: Path, outcome: Registration, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("stop")

    monkeypatch.setattr(picture, "draw", fail)
    with pytest.raises(RuntimeError, match="stop"):
        outcome.save(tmp_path / "out", "a")
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot be written to"):
        outcome.save(tmp_path / "file", "a")
    with pytest.raises(InputError, match="format 'dicom' is unknown; choose one of nifti"):
        check_format("dicom", 3)
    with pytest.raises(InputError, match="l2r"):
        check_format("l2r", 2)


def test_the_picture_can_be_opened(tmp_path: Path, outcome: Registration) -> None:
    content = draw(outcome)
    (tmp_path / "a.png").write_bytes(content)
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert 800 < picture.shape[1] < 2000 and 800 < picture.shape[0] < 2500
    assert picture.std() > 20
    assert draw(outcome) == content


def test_slices_across_another_axis_have_the_head_on_top() -> None:
    affine = grid_around((14, 15, 16), (2.0, 2.0, 2.0))
    outcomes = [of_field(np.zeros((14, 15, 16, 3)), affine, slice_axis=axis) for axis in (0, 1)]
    assert [choose_view(each).letters for each in outcomes] == [("A", "P", "S", "I"), ("R", "L", "S", "I")]


STORED = {"RAS": np.eye(3), "LPI": np.diag([-1.0, -1, -1]), "PSR": np.array([[0.0, 0, 1], [-1, 0, 0], [0, 1, 0]])}


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
def test_a_slice_is_shown_as_a_reader_expects_it(stored: np.ndarray) -> None:
    """Seen from the feet: right on the left, anterior on top, whatever the axes of the file."""
    shape = (14, 15, 16)
    affine = grid_around(shape, (2.0, 2.0, 2.0), stored)
    superior = int(np.abs(stored[2]).argmax())
    spot = np.array([5.0, 7.0, 0.0])  # RAS mm: to the right and to the front
    distance = np.linalg.norm(nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1)) - spot, axis=-1)
    vectors = np.zeros((*shape, 3), np.float32)
    vectors[distance < 3] = (3.0, 2.0, 0.0)  # LPS: to the left and to the back
    view = choose_view(of_field(vectors, affine, slice_axis=superior))
    assert view.across == superior and view.letters == ("R", "L", "A", "P")
    shown = view.of(np.exp(-(distance**2)))
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert row < shown.shape[0] / 2 and column < shown.shape[1] / 2
    down, right = view.moved(of_field(vectors, affine))[:, row, column]
    assert (down, right) == pytest.approx((2.0, 3.0))
