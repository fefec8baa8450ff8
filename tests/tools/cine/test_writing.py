from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ring_cine import SCALES, ring

from common.fields import Field
from common.io import read_field
from common.physical import warp_image
from tools.cine.motion import Motion
from tools.cine.reading import Cine
from tools.cine.writing import (
    warped_frames,
    warped_labels,
    write_fields,
    write_frames,
    write_motion,
    write_sequence,
)

Make = Callable[..., Motion]


@pytest.fixture
def cine(affine: np.ndarray) -> Cine:
    images = np.stack([ring(48, scale)[0][..., None] for scale in SCALES])
    return Cine(images, affine, 40.0 * np.arange(4), Path("ring.nii.gz"))


def test_the_motion_file_holds_a_vector_for_each_frame_in_lps_millimetres(tmp_path: Path, contraction: Make) -> None:
    motion = contraction(48)
    write_motion(tmp_path / "motion.nii.gz", motion, 40.0)
    image = nib.load(tmp_path / "motion.nii.gz")
    assert image.shape == (48, 48, 1, 4, 3)
    assert image.header["intent_code"] == 1007
    assert image.header.get_xyzt_units() == ("mm", "msec") and image.header["pixdim"][4] == 40
    array = np.asarray(image.dataobj)
    np.testing.assert_array_equal(np.moveaxis(array, 3, 0), motion.vectors)
    # a contraction to 0.8: what is now d from the middle was d / 0.8 away, in the world as in the image
    middle = np.array([23.5, 23.5, 0])
    offset = motion.affine[:3, :3] @ (np.array([30, 12, 0]) - middle)
    np.testing.assert_allclose(array[30, 12, 0, 2], np.array([-1, -1, 1]) * offset * (1 / 0.8 - 1), atol=1e-4)


def test_the_motion_of_a_2d_image_has_two_components(tmp_path: Path, contraction: Make) -> None:
    motion = contraction(12)
    flat = replace(motion, vectors=motion.vectors[:, :, :, 0, :2], seen=motion.seen[..., 0])
    write_motion(tmp_path / "motion.nii.gz", flat, None)
    assert nib.load(tmp_path / "motion.nii.gz").shape == (12, 12, 1, 4, 2)


def test_warping_follows_the_field_in_space(cine: Cine, contraction: Make) -> None:
    motion = contraction(48)
    warped = warped_frames(cine, motion)
    for frame in range(4):
        field = Field(motion.vectors[frame], motion.affine)
        expected = warp_image(cine.frames[0], cine.affine, field, fill=float(cine.frames[0].min()))
        np.testing.assert_allclose(warped[frame], expected, atol=2e-4)
    less = warped_frames(replace(cine, frames=cine.frames - 1500), motion)
    np.testing.assert_allclose(less + 1500, warped, atol=2e-4)
    assert warped_frames(cine, motion, fill=-7.0)[2].min() == -7
    inside = np.s_[:, 8:-8, 8:-8]
    assert np.abs(warped - cine.frames)[inside].max() < 0.12  # the edges of the ring are sharp
    assert np.abs(cine.frames[0] - cine.frames)[inside].max() > 0.3


def test_the_warped_label_is_the_ring_of_each_frame(contraction: Make) -> None:
    label = ring(96, 1)[1][..., None].astype(np.int32)
    warped = warped_labels(label, contraction(96))
    for frame, scale in enumerate(SCALES):
        assert (warped[frame, ..., 0] != ring(96, scale)[1]).mean() < 0.01


def test_fields_of_single_frames_are_read_back(tmp_path: Path, contraction: Make) -> None:
    motion = contraction(16)
    for format, name in {"nifti": "ring_frame00{}_field.nii.gz", "l2r": "disp_ring_frame00{}.nii.gz"}.items():
        files = write_fields(tmp_path / format, "ring", motion, format)
        assert [path.name for path in files] == [name.format(t) for t in (1, 2, 3)]
        for frame, path in zip((1, 2, 3), files, strict=True):
            np.testing.assert_allclose(read_field(path).vectors, motion.vectors[frame], atol=1e-3)


def test_frames_keep_their_kind(tmp_path: Path, affine: np.ndarray) -> None:
    for name, frames, kind in (
        ("a", np.ones((3, 4, 5, 2), np.int64), np.uint8),
        ("b", np.full((3, 4, 5, 2), 999), np.int32),
        ("c", np.ones((3, 4, 5)), np.float32),
    ):
        write_frames(tmp_path / f"{name}.nii.gz", frames, affine, None)
        image = nib.load(tmp_path / f"{name}.nii.gz")
        assert image.get_data_dtype() == kind
        assert image.shape == (*frames.shape[1:], *[1] * (4 - frames.ndim), 3)


def test_a_sequence_lists_its_volumes_with_their_times_and_place(tmp_path: Path, affine: np.ndarray) -> None:
    frames = np.random.default_rng(0).random((3, 6, 5, 4)).astype(np.float32)
    write_sequence(tmp_path / "a.seq.nrrd", frames, affine, np.array([0, 40, 80]))
    header, data = (tmp_path / "a.seq.nrrd").read_bytes().split(b"\n\n", 1)
    lines = dict(line.split(":", 1) for line in header.decode().splitlines()[1:])
    assert lines["sizes"] == " 3 6 5 4" and lines["kinds"] == " list domain domain domain"
    assert lines["axis 0 index values"] == "=0 40 80"
    assert lines["space directions"].split()[0] == "none"
    first = np.array([float(v) for v in lines["space directions"].split()[1].strip("()").split(",")])
    np.testing.assert_allclose(first, affine[:3, 0] * [-1, -1, 1], rtol=1e-6)
    np.testing.assert_array_equal(np.frombuffer(gzip.decompress(data), "<f4").reshape(3, 6, 5, 4, order="F"), frames)


def test_itk_finds_a_volume_of_many_components_at_its_place(tmp_path: Path, affine: np.ndarray) -> None:
    write_sequence(tmp_path / "a.seq.nrrd", np.ones((5, 6, 5, 4), np.float32), affine, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ITK's wrapping crashes where its own warnings are errors
        import itk

        reader = itk.NrrdImageIO.New()
        reader.SetFileName(str(tmp_path / "a.seq.nrrd"))
        reader.ReadImageInformation()
        shape = [reader.GetDimensions(axis) for axis in range(reader.GetNumberOfDimensions())]
        place = [(reader.GetOrigin(axis), reader.GetSpacing(axis)) for axis in range(3)]
    assert (reader.GetNumberOfComponents(), shape) == (5, [6, 5, 4])
    np.testing.assert_allclose(place, np.stack([affine[:3, 3] * [-1, -1, 1], [1.5, 1.5, 8]], axis=-1), atol=1e-5)
