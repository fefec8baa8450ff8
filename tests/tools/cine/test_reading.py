from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_frames, write_slice
from ring_cine import ring

from common.errors import InputError
from common.nifti import save_image
from tools.cine.reading import read_cine, read_reference_label

Save = Callable[..., Path]


def frames(count: int = 3, shape: tuple[int, ...] = (6, 5, 4)) -> np.ndarray:
    return np.random.default_rng(0).random((count, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("step", "unit", "expected"), [(0.04, "sec", 40), (40, "msec", 40), (40_000, "usec", 40), (1, "unknown", None)]
)
def test_a_4d_file_is_read_with_its_grid_and_times(save: Save, affine, step: float, unit: str, expected) -> None:
    cine = read_cine([save("a.nii.gz", frames(), affine, step, unit)])
    np.testing.assert_array_equal(cine.frames, frames())
    np.testing.assert_allclose(cine.affine, affine, atol=1e-4)
    assert cine.name == "a"
    if expected is None:
        assert cine.times is None
    else:
        np.testing.assert_allclose(cine.times, [0, 40, 80], rtol=1e-5)


def test_seconds_of_float32_are_whole_milliseconds(save: Save, affine) -> None:
    cine = read_cine([save("a.nii.gz", frames(), affine, 0.05, "sec")])
    assert cine.times.tolist() == [0, 50, 100]


def test_a_frame_time_that_is_given_wins(save: Save, affine) -> None:
    np.testing.assert_allclose(read_cine([save("a.nii", frames(), affine)], 25.5).times, [0, 25.5, 51])


def test_files_of_one_frame_each_make_a_cine(tmp_path: Path, affine) -> None:
    paths = [tmp_path / f"t{t}.nii.gz" for t in range(3)]
    for path, frame in zip(paths, frames(), strict=True):
        save_image(path, frame, affine)
    cine = read_cine(paths)
    np.testing.assert_array_equal(cine.frames, frames())
    assert cine.times is None and cine.name == "t0"
    save_image(paths[1], frames()[1], affine + np.diag([0, 0.1, 0, 0]))
    with pytest.raises(InputError, match="t1.nii.gz: lies on another grid than .*t0.nii.gz"):
        read_cine(paths)


def test_a_label_of_one_frame_or_of_all_is_that_of_the_reference(save: Save, affine, tmp_path: Path) -> None:
    labels = np.stack([np.stack([ring(24, scale)[1]] * 2, axis=-1) for scale in (1, 0.8)])
    cine = read_cine([save("a.nii.gz", frames(2, (24, 24, 2)), affine)])
    whole = save("gt.nii.gz", labels, affine)
    save_image(tmp_path / "one.nii.gz", labels[1], affine)
    for path in (whole, tmp_path / "one.nii.gz"):
        array, remark = read_reference_label(path, cine, 1)
        np.testing.assert_array_equal(array, labels[1])
        assert remark == ""
    np.testing.assert_array_equal(read_reference_label(whole, cine, 0)[0], labels[0])


def test_a_dicom_cine_is_read_with_the_times_of_its_triggers(tmp_path: Path) -> None:
    loop = np.random.default_rng(0).integers(0, 1000, (3, 9, 7))
    for t, trigger in enumerate((12.5, 40, 82.5)):
        write_slice(tmp_path / "beat" / f"{t}.dcm", loop[t], 0, 9 - t, TriggerTime=trigger)
    for path in (tmp_path / "beat", tmp_path / "beat" / "1.dcm"):
        cine = read_cine([path])
        np.testing.assert_array_equal(cine.frames[..., 0], loop)
        assert cine.times.tolist() == [0, 27.5, 70]
        assert read_cine([path], frame_time=40).times.tolist() == [0, 40, 80]


def test_the_third_of_three_axes_is_time(tmp_path: Path, capsys) -> None:
    loop = np.random.default_rng(0).integers(0, 1000, (7, 9, 3)).astype(np.int16)
    save_image(tmp_path / "loop.nii.gz", loop, np.eye(4))
    cine = read_cine([tmp_path / "loop.nii.gz"])
    np.testing.assert_array_equal(cine.frames[..., 0], np.moveaxis(loop, 2, 0))
    assert "taken as 3 frames of one slice, not as a volume" in capsys.readouterr().out


def test_a_dicom_loop_without_times_has_none(tmp_path: Path) -> None:
    loop = np.random.default_rng(0).integers(0, 1000, (3, 9, 7))
    assert read_cine([write_frames(tmp_path / "loop.dcm", loop, [0, 0, 0])]).times is None
    with pytest.raises(InputError, match="stack.dcm: holds one image; give a cine"):
        read_cine([write_frames(tmp_path / "volume" / "stack.dcm", loop, [0, 8, 16])])


def spoilt(number: int, value: float) -> np.ndarray:
    broken = frames()
    broken[number].flat[0 if np.isnan(value) else slice(None)] = value
    return broken


def test_what_is_no_cine_is_refused(save: Save, affine, tmp_path: Path) -> None:
    (tmp_path / "torn.nii").write_bytes(b"no image")
    save_image(tmp_path / "still.nii.gz", frames()[0, :, :, :1], affine)
    cases = {
        "absent.nii.gz: no such file": tmp_path / "absent.nii.gz",
        "torn.nii: cannot be read": tmp_path / "torn.nii",
        "still.nii.gz: holds one image": tmp_path / "still.nii.gz",
        "frame 1: 1 voxels are NaN": save("nan.nii", spoilt(1, np.nan), affine),
        "frame 2: every voxel is 7": save("flat.nii", spoilt(2, 7), affine),
        "one.nii: holds one image": save("one.nii", frames(1, (6, 5, 1)), affine),
    }
    for message, path in cases.items():
        with pytest.raises(InputError, match=message):
            read_cine([path])
    with pytest.raises(InputError, match="frame time -1: give milliseconds"):
        read_cine([save("a.nii", frames(), affine)], -1)


@pytest.mark.parametrize("step", [np.inf, np.nan, -40.0])
def test_a_frame_time_that_is_none_is_refused_unless_one_is_given(save: Save, affine, step: float) -> None:
    path = save("a.nii.gz", frames(), affine, step)
    with pytest.raises(InputError, match=r"a.nii.gz: .* ms from frame to frame by its header; .* --frame-time"):
        read_cine([path])
    assert read_cine([path], 25).times.tolist() == [0, 25, 50]


def test_a_frame_time_of_zero_is_unknown(save: Save, affine) -> None:
    assert read_cine([save("a.nii.gz", frames(), affine, 0.0)]).times is None


def test_labels_stored_the_other_way_round_are_matched_in_space(save: Save, affine, tmp_path: Path) -> None:
    cine = read_cine([save("a.nii.gz", frames(), affine)])
    label = np.zeros((6, 5, 4), np.uint8)
    label[1:3, 2:5, 1:] = 2
    turned = affine.copy()
    turned[:3, 3] += turned[:3, 0] * 5
    turned[:3, 0] *= -1
    save_image(tmp_path / "turned.nii.gz", label[::-1], turned)
    save_image(tmp_path / "larger.nii.gz", np.pad(label, ((0, 2), (0, 0), (0, 0))), affine)
    for name in ("turned", "larger"):
        array, remark = read_reference_label(tmp_path / f"{name}.nii.gz", cine, 0)
        np.testing.assert_array_equal(array, label)
        assert f"{name}.nii.gz: " in remark and "matched in space" in remark
    save_image(tmp_path / "rounded.nii.gz", label, affine.round(4))
    assert read_reference_label(tmp_path / "rounded.nii.gz", cine, 0)[1] == ""


def test_labels_that_do_not_fit_are_refused(save: Save, affine, tmp_path: Path) -> None:
    cine = read_cine([save("a.nii.gz", frames(), affine)])
    far = affine.copy()
    far[:3, 3] += 500
    save_image(tmp_path / "far.nii.gz", np.ones((6, 5, 4), np.uint8), far)
    save_image(tmp_path / "flat.nii", np.ones((6, 5), np.uint8), np.diag([1.5, 1.5, 1, 1]))
    save_image(tmp_path / "empty.nii.gz", np.zeros((6, 5, 4), np.uint8), affine)
    cases = {
        "far.nii.gz: by its header no label of it lies in a.nii.gz": tmp_path / "far.nii.gz",
        "flat.nii: 2D, but frames of .* are 3D": tmp_path / "flat.nii",
        "empty.nii.gz: no label in frame 0": tmp_path / "empty.nii.gz",
        "a.nii.gz: .*(label|whole)": cine.path,
        r"two.nii: shape \[6, 5, 4, 2\], but the cine has \[6, 5, 4, 3\]": save("two.nii", frames(2), affine),
    }
    for message, path in cases.items():
        with pytest.raises(InputError, match=message):
            read_reference_label(path, cine, 0)
