"""DICOM files of many frames, and cines: every plane in its own place, at its own time, with its own scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import CAPTURE, ENHANCED_MR, STORAGE, UPRIGHT, item, write_file, write_frames, write_slice

from common.errors import InputError
from common.io import read_frames, read_image
from common.io.dicom import frame_times, read_series

PLACED = np.array([[-1.5, 0, 0, 50], [0, -1.5, 0, 60], [0, 0, 8, 0], [0, 0, 0, 1]])
ZS = [0, 8, 16, 24, 32, 40]


def planes(count: int) -> np.ndarray:
    """Images (count, 9, 7) whose values name them: from 1000 n on."""
    return np.arange(63).reshape(9, 7)[None] + 1000 * np.arange(count)[:, None, None]


def numbers(array: np.ndarray) -> list[Any]:
    """Which images a stack is made of."""
    return (np.asarray(array)[0, 0] // 1000).astype(int).tolist()


@pytest.mark.parametrize("sop_class", ["2.1", "2.2", "4.1", "4.4", "130", "128.1"])
def test_enhanced_and_converted_images_are_volumes(tmp_path: Path, sop_class: str) -> None:
    array, affine = read_series(write_frames(tmp_path / "a.dcm", planes(6), ZS, sop_class=STORAGE + sop_class))
    np.testing.assert_array_equal(array, np.moveaxis(planes(6), 0, -1))
    np.testing.assert_allclose(affine, PLACED)


def test_frames_are_put_in_order_of_their_positions(tmp_path: Path) -> None:
    array, affine = read_series(write_frames(tmp_path / "a.dcm", planes(6), [0, 16, 32, 8, 24, 40]))
    assert numbers(array) == [0, 3, 1, 4, 2, 5]
    np.testing.assert_allclose(affine, PLACED)


@pytest.mark.parametrize(
    "zs, message",
    [
        ([0, 8, 16, 32, 40, 48], r"from a.dcm frame 2 to a.dcm frame 3 it is 16.00 mm, .*a slice is missing"),
        ([0, 8, 0, 8, 0, 16], "1 to 3 DICOM files or frames at a position"),
    ],
)
def test_gaps_and_lost_frames_are_refused(tmp_path: Path, zs: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_series(write_frames(tmp_path / "a.dcm", planes(6), zs))


CONTENTS = {
    "index": [{"TemporalPositionIndex": n} for n in (3, 3, 1, 1, 2, 2)],
    "dimensions": [{"DimensionIndexValues": [1, 1 + n % 2, t]} for n, t in enumerate((3, 3, 1, 1, 2, 2))],
    "clock": [{"FrameAcquisitionDateTime": f"2024010112000{t}.5"} for t in (3, 3, 1, 1, 2, 2)],
}


@pytest.mark.parametrize("contents", CONTENTS.values(), ids=CONTENTS)
def test_frames_of_a_cine_are_in_order_of_time(tmp_path: Path, contents: list[dict[str, Any]]) -> None:
    path = write_frames(tmp_path / "a.dcm", planes(6), [0, 8] * 3, contents)
    array, affine = read_series(path)
    assert array.shape == (9, 7, 2, 3) and numbers(array) == [[2, 4, 0], [3, 5, 1]]
    np.testing.assert_allclose(affine, PLACED)
    times = frame_times(path)
    assert times is None or times.tolist() == [0, 1000, 2000]


@pytest.mark.parametrize("attribute", ["NominalCardiacTriggerDelayTime", "ActualCardiacTriggerDelayTime"])
def test_trigger_delays_are_the_times_of_frames(tmp_path: Path, attribute: str) -> None:
    delays = [90.5, 95.5, 30.5, 30.5, 60.0, 63.0]  # the second slice beat slower
    groups = [{"CardiacSynchronizationSequence": [item(**{attribute: delay})]} for delay in delays]
    path = write_frames(tmp_path / "a.dcm", planes(6), [0, 8] * 3, groups=groups)
    assert numbers(read_series(path)[0]) == [[2, 4, 0], [3, 5, 1]]
    np.testing.assert_allclose(frame_times(path), [0, 31, 62.5])


def test_converted_frames_keep_what_their_files_said(tmp_path: Path) -> None:
    groups = [{"UnassignedPerFrameConvertedAttributesSequence": [item(TriggerTime=t)]} for t in (40.0, 0.0, 20.0)]
    path = write_frames(tmp_path / "a.dcm", planes(3), [5] * 3, groups=groups, sop_class=STORAGE + "4.4")
    assert numbers(read_series(path)[0]) == [[1, 2, 0]] and frame_times(path).tolist() == [0, 20, 40]


def test_a_cine_of_one_slice_is_as_thick_as_it(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "a.dcm", planes(6), [0] * 6)
    array, affine = read_series(path)
    assert array.shape == (9, 7, 1, 6) and numbers(array) == [list(range(6))] and frame_times(path) is None
    np.testing.assert_allclose(affine, PLACED)
    assert [frame.array.shape for frame in read_frames(path)] == [(9, 7, 1)] * 6


def test_each_frame_has_its_own_scale(tmp_path: Path) -> None:
    groups = [
        {"PixelValueTransformationSequence": [item(RescaleSlope=f"{n + 0.5}", RescaleIntercept=f"-{n}")]}
        for n in range(6)
    ]
    array, _ = read_series(write_frames(tmp_path / "a.dcm", planes(6), ZS, groups=groups))
    want = np.moveaxis(planes(6), 0, -1) * (np.arange(6) + 0.5) - np.arange(6)
    np.testing.assert_allclose(array, want, rtol=1e-6)


def test_a_series_may_be_of_several_files_of_many_frames(tmp_path: Path) -> None:
    for t in range(2):
        stack = planes(3) + 3000 * t
        times = [{"FrameAcquisitionDateTime": f"20240101120{259 - t}"}] * 3
        write_frames(tmp_path / f"{t}.dcm", stack, ZS[:3], times)
    assert numbers(read_series(tmp_path)[0]) == [[3, 0], [4, 1], [5, 2]]


@pytest.mark.parametrize("name", ["GridFrameOffsetVector", "SliceLocationVector"])
def test_frames_by_offsets_along_the_normal(tmp_path: Path, name: str) -> None:
    place = {"ImagePositionPatient": [-50, -60, 0], "ImageOrientationPatient": UPRIGHT, "PixelSpacing": [1.5, 1.5]}
    path = write_file(tmp_path / "a.dcm", planes(3), STORAGE + "481.2", DoseGridScaling="0.5", **place)
    with pytest.raises(InputError, match="3 frames, of which it says neither where nor when"):
        read_series(path)
    write_file(path, planes(3), STORAGE + "481.2", DoseGridScaling="0.5", **place, **{name: [4.0, 12.0, 20.0]})
    array, affine = read_series(path)
    np.testing.assert_allclose(array, np.moveaxis(planes(3), 0, -1) / 2)
    np.testing.assert_allclose(affine, PLACED)


def test_an_ultrasound_loop_says_its_scale_and_its_times(tmp_path: Path) -> None:
    region = item(
        RegionSpatialFormat=1, PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3,
        PhysicalDeltaX=0.03, PhysicalDeltaY=0.05,
    )  # fmt: skip
    loop = {"sop_class": STORAGE + "3.1", "SequenceOfUltrasoundRegions": [region], "Modality": "US"}
    path = write_file(tmp_path / "a.dcm", planes(3), **loop, FrameTimeVector=[0, 20.0, 30.0])
    assert read_series(path)[0].shape == (9, 7, 1, 3) and frame_times(path).tolist() == [0, 20, 50]
    np.testing.assert_allclose(read_series(path)[1], np.diag([-0.3, -0.5, 1, 1]), atol=1e-9)
    write_file(path, planes(3), **loop, FrameTime="25")
    assert frame_times(path).tolist() == [0, 25, 50]


@pytest.mark.parametrize("distance, jitter", [(8, 0.0099), (0.005, 0.0)])
def test_positions_that_jitter_are_one(tmp_path: Path, distance: float, jitter: float) -> None:
    for t in range(2):
        for k in range(5):
            z, pixel = distance * k + jitter * t, min(1.5, distance)
            write_slice(
                tmp_path / f"{t}{k}.dcm", planes(1)[0] + t, z, 5 * t + k, TriggerTime=f"{40 * t}",
                PixelSpacing=[pixel, pixel],
            )  # fmt: skip
    if jitter:
        array, affine = read_series(tmp_path)
        assert array.shape == (9, 7, 5, 2) and frame_times(tmp_path).tolist() == [0, 40]
        np.testing.assert_allclose(affine[2, 2:], [distance, jitter / 2], atol=1e-9)
    else:  # pixels of 5 µm: what is so near is another slice
        assert read_series(tmp_path)[0].shape == (9, 7, 5, 2)


CLOCKS = {
    "trigger": ([{"TriggerTime": "10"}, {"TriggerTime": "42.5"}], 32.5),
    "acquired": ([{"AcquisitionTime": "235959.75"}, {"AcquisitionTime": "235959.850000"}], 100),
    "dated": ([{"AcquisitionDateTime": "20231231235959.9"}, {"AcquisitionDateTime": "20240101000000.1+0100"}], 200),
    "midnight": (
        [
            {"AcquisitionDate": "20231231", "AcquisitionTime": "235959"},
            {"AcquisitionDate": "20240101", "AcquisitionTime": "000001"},
        ],
        2000,
    ),
    "positions": ([{"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}], None),
    "made": ([{"ContentTime": "120000"}, {"ContentTime": "120001"}], None),
    "no time": ([{"InstanceNumber": 1, "TriggerTime": "nan"}, {"InstanceNumber": 2, "AcquisitionTime": "99"}], None),
}


@pytest.mark.parametrize("said, step", CLOCKS.values(), ids=CLOCKS)
def test_what_tells_the_time_of_a_file(tmp_path: Path, said: list[dict[str, Any]], step: float | None) -> None:
    for t, attributes in enumerate(said):
        for k in range(3):
            path = tmp_path / f"{9 - t}{k}.dcm"
            write_slice(path, planes(1)[0] + 1000 * t, 8 * k, **({"number": None} | attributes))
    assert numbers(read_series(tmp_path)[0]) == [[0, 1]] * 3
    times = frame_times(tmp_path)
    assert times is None if step is None else times == pytest.approx([0, step])


def test_frames_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    for t in range(2):
        write_slice(tmp_path / f"{t}.dcm", planes(1)[0], 0, None)
    with pytest.raises(InputError, match="no time or number tells 0.dcm, 1.dcm apart"):
        read_series(tmp_path)
    for t in range(2):
        write_slice(tmp_path / f"{t}.dcm", planes(1)[0], 0, 5, SOPInstanceUID="1.2.9")
    with pytest.raises(InputError, match="0.dcm and 1.dcm are one image twice"):
        read_series(tmp_path)


def test_positions_that_lack_different_frames_are_refused(tmp_path: Path) -> None:
    for k, present in enumerate([(1, 2, 4), (1, 3, 4)]):
        for t in present:
            write_slice(tmp_path / f"{k}{t}.dcm", planes(1)[0], 8 * k, TemporalPositionIdentifier=t)
    with pytest.raises(InputError, match="3 frames at each position, but 4 numbers of TemporalPositionIdentifier"):
        read_series(tmp_path)


def test_a_frame_that_lies_beside_the_others_is_refused(tmp_path: Path) -> None:
    for t in range(2):
        write_slice(tmp_path / f"{t}.dcm", planes(1)[0], 0, t, ImagePositionPatient=[3 * t, 0, 0])
    with pytest.raises(InputError, match="1.dcm lies 3.00 mm beside 0.dcm"):
        read_series(tmp_path)


def test_magnitude_and_phase_are_no_cine(tmp_path: Path) -> None:
    for t, kind in enumerate("MP"):
        for k in range(3):
            path = tmp_path / f"{kind}{k}.dcm"
            write_slice(path, planes(1)[0] + 1000 * t, 8 * k, t, ImageType=["ORIGINAL", "PRIMARY", kind])
    with pytest.raises(InputError, match=r"several kinds of image at one position \(.*\\M; .*\\P\)"):
        read_series(tmp_path)
    assert numbers(read_series(tmp_path / "P1.dcm")[0]) == [1, 1, 1]


def test_bits_that_are_no_value_are_left_out(tmp_path: Path) -> None:
    pixels = np.array([[0x5001, 0x0FFF], [0x0800, 0xF7FF]])
    twelve = {"BitsStored": 12, "HighBit": 11}
    path = write_slice(tmp_path / "a.dcm", pixels, 0, **twelve)
    np.testing.assert_array_equal(read_series(path)[0][..., 0], [[1, 4095], [2048, 2047]])
    write_slice(path, pixels, 0, **twelve, PixelRepresentation=1)
    np.testing.assert_array_equal(read_series(path)[0][..., 0], [[1, -1], [-2048, 2047]])


@pytest.mark.parametrize("sop_class", [CAPTURE, ENHANCED_MR, STORAGE + "1"])
def test_images_without_geometry_say_so(tmp_path: Path, sop_class: str) -> None:
    path = write_file(tmp_path / "a.dcm", planes(1)[0], sop_class, PixelSpacing=[1, 1])
    with pytest.raises(InputError, match=r"a\.dcm: .* without geometry \(no ImagePositionPatient, .*convert it to NIf"):
        read_image(path)


def test_a_folder_of_several_series_lists_them(tmp_path: Path) -> None:
    for n in range(10):
        for k in range(2):
            path = tmp_path / f"{n}{k}.dcm"
            write_slice(path, planes(1)[0] + 1000 * n, 8 * k, SeriesInstanceUID=f"1.{n}", SeriesDescription=f"sax {n}")
    with pytest.raises(InputError, match=r"10 DICOM series .*: 00.dcm and 1 more \(sax 0\); 10.*; and 2 others"):
        read_series(tmp_path)
    assert numbers(read_series(tmp_path / "31.dcm")[0]) == [3, 3]
