"""Vectors of other programs: read as what they mean, or refused by name."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.fields import Field
from common.io import read_field, read_transform, read_transforms, write_field
from common.physical import grid_points

SHAPE = (9, 8, 7)
FLIP = np.array([-1.0, -1.0, 1.0])


@pytest.fixture
def motion(oblique: np.ndarray) -> Field:
    """A smooth motion of some mm on an oblique grid."""
    return Field(3 * np.sin(grid_points(SHAPE, oblique) / 9 + [0, 1, 2]), oblique)


def stored(
    path: Path, array: np.ndarray, affine: np.ndarray, intent: int = 1007, name: str = "", p1: float = 0.0
) -> Path:
    image = nib.Nifti1Image(array.astype(np.float32), affine)
    image.header["intent_code"], image.header["intent_name"], image.header["intent_p1"] = intent, name.encode(), p1
    nib.save(image, path)
    return path


def places_ras(motion: Field) -> np.ndarray:
    return (grid_points(SHAPE, motion.affine) + motion.vectors) * FLIP


def refused(path: Path) -> str:
    """The one line of every way to read ``path``."""
    for read in (read_field, read_transform):
        with pytest.raises(InputError) as caught:
            read(path)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "intent_name", "p1", "absolute"),
    [("d.nii.gz", "NREG_TRANS", 0, True), ("u.nii.gz", "NREG_TRANS", 1, False), ("y_a.nii", "Mapping", 0, True),
     ("iy_a.nii", "Mapping", 0, True), ("y_lost_its_name.nii", "", 0, True)],
)  # fmt: skip
def test_niftyreg_and_spm_are_converted(
    tmp_path: Path, motion: Field, name: str, intent_name: str, p1: float, absolute: bool
) -> None:
    array = places_ras(motion) if absolute else motion.vectors * FLIP
    path = stored(tmp_path / name, array[..., None, :], motion.affine, 1007, intent_name, p1)
    for read in (read_field(path, convert=True), read_transform(path).parts[0]):
        np.testing.assert_allclose(read.vectors, motion.vectors, atol=1e-5)
    with pytest.raises(InputError, match=r"is a field of (SPM|NiftyReg) \(RAS mm\); warpsure warp takes it"):
        read_field(path)


def test_niftyreg_in_the_plane(tmp_path: Path) -> None:
    affine = np.diag([-1.5, 0.7, 1, 1])
    motion = Field(np.full((6, 5, 2), [1.0, -2.0]), affine)
    places = (grid_points((6, 5), affine) + motion.vectors) * FLIP[:2]
    path = stored(tmp_path / "d.nii", places[:, :, None, None], affine, 1007, "NREG_TRANS")
    np.testing.assert_allclose(read_field(path, convert=True).vectors, motion.vectors, atol=1e-5)


@pytest.mark.parametrize(
    ("intent", "name", "p1", "said"),
    [
        (2006, "", 0, "a displacement field of FSL"),
        (2007, "", 0, "spline coefficients of FSL"),
        (2008, "", 0, "cosine coefficients of FSL"),
        (2009, "", 0, "spline coefficients of FSL"),
        (2018, "", 0, "a field of FSL's topup"),
        (1007, "NREG_TRANS", 2, "a cubic spline grid of NiftyReg"),
        (1007, "NREG_TRANS", 5, "a spline velocity grid of NiftyReg"),
        (1007, "NREG_TRANS", np.nan, "NREG_TRANS, kind nan, of NiftyReg"),
        (1007, "NREG_CPP_FILE", 0, "NREG_CPP_FILE, kind 0, of NiftyReg"),
        (1007, "Velocity", 0, "holds a velocity"),
        (1005, "", 0, "has the intent 1005"),
    ],
)
def test_what_is_not_converted_is_named(
    tmp_path: Path, motion: Field, intent: int, name: str, p1: float, said: str
) -> None:
    for shape in ((*SHAPE, 1, 3), (*SHAPE, 3)):
        array = motion.vectors.reshape(shape)
        assert said in refused(stored(tmp_path / "a_field.nii.gz", array, motion.affine, intent, name, p1))


def test_flows_of_spm_and_warps_of_afni_are_named(tmp_path: Path, motion: Field) -> None:
    image = nib.Nifti1Image(motion.vectors[..., None, :], motion.affine)
    image.header["descrip"] = b"Flow Field (1)"
    nib.save(image, tmp_path / "u_rc1.nii")
    assert "holds a velocity (Flow Field (1))" in refused(tmp_path / "u_rc1.nii")
    image.header["descrip"] = b""
    image.header.extensions.append(nib.nifti1.Nifti1Extension(4, b"<AFNI_attributes/>"))
    nib.save(image, tmp_path / "anat_WARP.nii")
    assert "is of AFNI" in refused(tmp_path / "anat_WARP.nii")


def test_three_frames_are_no_field(tmp_path: Path, motion: Field) -> None:
    frames = np.full((*SHAPE, 3), 300.0)
    for name in ("cine.nii.gz", "warped.nii.gz"):
        assert "three frames, or three components?" in refused(stored(tmp_path / name, frames, motion.affine, 0))
    image = nib.Nifti1Image(frames.astype(np.float32), motion.affine)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "disp_cine.nii")
    assert "three frames" in refused(tmp_path / "disp_cine.nii")
    three = stored(tmp_path / "channels.nii.gz", frames[..., None, :], motion.affine, 0)
    assert "does not say that it holds vectors" in refused(three)


def test_a_field_of_the_challenge_is_told_by_its_name_and_ours_by_its_mark(tmp_path: Path, motion: Field) -> None:
    written = write_field(tmp_path / "result.nii.gz", motion, "l2r")
    np.testing.assert_allclose(read_field(written).vectors, motion.vectors, atol=1e-5)
    voxels = np.asarray(nib.load(written).dataobj)
    theirs = stored(tmp_path / "disp_0001_0002.nii.gz", voxels, motion.affine, 0)
    np.testing.assert_allclose(read_field(theirs).vectors, motion.vectors, atol=1e-5)


@pytest.mark.parametrize("frame", ["RAS mm", "LPS mm", "voxels"])
def test_places_of_a_program_that_says_nothing_are_refused(tmp_path: Path, motion: Field, frame: str) -> None:
    places = {
        "RAS mm": places_ras(motion), "LPS mm": places_ras(motion) * FLIP,
        "voxels": np.moveaxis(np.indices(SHAPE, dtype=float), 0, -1),
    }[frame]  # fmt: skip
    said = refused(stored(tmp_path / "a_field.nii.gz", places[..., None, :], motion.affine))
    assert f"its vectors are places ({frame})" in said


def test_a_motion_that_grows_across_the_grid_is_none(tmp_path: Path, motion: Field) -> None:
    """Scaling by 1.5 or 0.5, and a turn by 30 degrees, are no places."""
    lps = grid_points(SHAPE, motion.affine)
    turn = np.array([[np.cos(0.5), -np.sin(0.5), 0], [np.sin(0.5), np.cos(0.5), 0], [0, 0, 1]])
    for vectors in (0.5 * lps, -0.5 * lps, lps @ turn.T - lps, 0 * lps):
        path = stored(tmp_path / "a_field.nii.gz", vectors[..., None, :], motion.affine)
        np.testing.assert_allclose(read_field(path).vectors, vectors, atol=1e-4)


def test_damage_that_only_the_checksum_shows_is_refused(tmp_path: Path, motion: Field) -> None:
    whole = write_field(tmp_path / "a_field.nii.gz", motion).read_bytes()
    wrong_sum = bytearray(whole)
    wrong_sum[-7] ^= 255
    stored_plainly = bytearray(gzip.compress(gzip.decompress(whole), compresslevel=0))
    stored_plainly[1500] ^= 0x40
    bomb = gzip.compress(gzip.decompress(whole) + bytes(2**25))
    for content in (wrong_sum, stored_plainly, whole[:-9], bomb):
        (tmp_path / "b_field.nii.gz").write_bytes(content)
        said = refused(tmp_path / "b_field.nii.gz")
        assert "is the file whole?" in said or "unpacks to far more than" in said


def test_a_size_that_no_machine_holds_is_said_before_memory_is_taken(tmp_path: Path, motion: Field) -> None:
    image = nib.Nifti1Image(motion.vectors[..., None, :], motion.affine)
    image.header.set_intent("vector")
    raw = bytearray(image.to_bytes())
    raw[42:48] = np.array([32767] * 3, "<i2").tobytes()
    (tmp_path / "huge_field.nii").write_bytes(raw)
    (tmp_path / "huge_field.nii.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "huge.mha").write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 32767 32767 32767\nElementNumberOfChannels = 3\n"
        "ElementType = MET_FLOAT\nElementDataFile = LOCAL\n"
    )
    for name in ("huge_field.nii", "huge_field.nii.gz", "huge.mha"):
        assert "GB of memory, above the limit of" in refused(tmp_path / name)


def test_the_motion_of_a_cine_has_a_field_a_frame(tmp_path: Path, motion: Field) -> None:
    vectors = np.stack([motion.vectors * t for t in range(3)], axis=3)
    image = nib.Nifti1Image(vectors, motion.affine)
    image.header.set_intent("vector")
    nib.save(image, tmp_path / "a_motion.nii.gz")
    chains = read_transforms(tmp_path / "a_motion.nii.gz")
    assert len(chains) == 3
    np.testing.assert_allclose(chains[2].parts[0].vectors, 2 * motion.vectors, atol=1e-6)
    np.testing.assert_allclose(read_transform(tmp_path / "a_motion.nii.gz", 1).parts[0].vectors, motion.vectors)
    assert "the motion of 3 frames; choose one" in refused(tmp_path / "a_motion.nii.gz")
    with pytest.raises(InputError, match="frames 0 to 2; there is no 3"):
        read_transform(tmp_path / "a_motion.nii.gz", 3)


@pytest.mark.parametrize("name", ["f.mha", "f.mhd", "f.nrrd", "f.nii.gz"])
@pytest.mark.parametrize("shape", [(7, 6, 5), (7, 6)])
def test_vectors_of_double_precision_are_read(tmp_path: Path, shape: tuple[int, ...], name: str) -> None:
    """SimpleITK writes them so unless told otherwise."""
    sitk = pytest.importorskip("SimpleITK")
    vectors = np.random.default_rng(0).normal(size=(*shape, len(shape)))
    image = sitk.GetImageFromArray(np.moveaxis(vectors, range(len(shape)), range(len(shape))[::-1]), isVector=True)
    image.SetSpacing([1.5, 2.0, 3.0][: len(shape)])
    image.SetOrigin([10.0, -20.0, 30.0][: len(shape)])
    sitk.WriteImage(image, str(tmp_path / name))
    field = read_field(tmp_path / name)
    np.testing.assert_allclose(field.vectors, vectors, atol=1e-6)
    first = list(image.TransformIndexToPhysicalPoint([1, 2, 3][: len(shape)]))
    np.testing.assert_allclose(grid_points(field.shape, field.affine)[(1, 2, 3)[: len(shape)]], first, atol=1e-5)


def test_colours_and_layers_are_no_vectors(itk, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        colours = itk.image_from_array(np.zeros((4, 5, 6, 3), np.uint8), is_vector=True)
        itk.imwrite(colours, str(tmp_path / "rgb.mha"))
        layers = itk.image_from_array(np.zeros((4, 5, 6, 2), np.float32), is_vector=True)
        itk.imwrite(layers, str(tmp_path / "layers.nrrd"))
    assert "colours or layers" in refused(tmp_path / "rgb.mha")
    assert "2 values a voxel in 3D are no displacement" in refused(tmp_path / "layers.nrrd")


def test_a_metaimage_of_impossible_axes_is_refused(tmp_path: Path) -> None:
    for axes in ("-3", "0", "99999999999", "many"):
        (tmp_path / "a.mha").write_text(
            f"ObjectType = Image\nNDims = {axes}\nDimSize = 3 3 3\nElementDataFile = LOCAL\n"
        )
        assert "in its header" in (said := refused(tmp_path / "a.mha")) or "axes with the sizes" in said
