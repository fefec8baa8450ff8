"""Transform files of ITK, SimpleITK and ANTs: read as what ITK makes of them, or refused by name."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

from common.chain import compose, move, move_back
from common.errors import InputError
from common.fields import Affine, Field
from common.io import read_field, read_transform, write_field
from common.physical import grid_points

sitk = pytest.importorskip("SimpleITK")
POINTS = np.random.default_rng(0).uniform(-8, 8, (40, 3))
MATRIX = (1.1, 0.1, 0.0, -0.05, 0.9, 0.2, 0.1, 0.0, 1.05)


def affine() -> sitk.Transform:
    made = sitk.AffineTransform(3)
    made.SetMatrix(MATRIX)
    made.SetTranslation((3.0, -4.0, 5.0))
    made.SetCenter((10.0, 20.0, -30.0))
    return made


LINEAR = {
    "affine": affine,
    "rigid": lambda: sitk.Euler3DTransform((1, 2, 3), 0.1, 0.2, -0.3, (4, 5, 6)),
    "versor": lambda: sitk.VersorRigid3DTransform((0, 0, 1), 0.3, (1, 2, 3), (4, 5, 6)),
    "similarity": lambda: sitk.Similarity3DTransform(1.2, (0, 0, 1), 0.3, (1, 2, 3), (4, 5, 6)),
    "translation": lambda: sitk.TranslationTransform(3, (1, 2, 3)),
    "scale": lambda: sitk.ScaleTransform(3, (0.9, 1.1, 1.2)),
    "identity": lambda: sitk.Transform(3, sitk.sitkIdentity),
}


def of_sitk(transform: sitk.Transform, points: np.ndarray = POINTS) -> np.ndarray:
    return np.array([transform.TransformPoint([float(v) for v in point]) for point in points])


def field() -> Field:
    grid = np.diag([-1.5, -1.2, 2.0, 1.0])
    grid[:3, 3] = [15, 12, -16]
    return Field(2 * np.sin(grid_points((21, 21, 17), grid) / 7 + [0, 1, 2]), grid)


def as_sitk(motion: Field) -> sitk.Transform:
    image = sitk.GetImageFromArray(motion.vectors.astype(float).transpose(2, 1, 0, 3), isVector=True)
    image.SetOrigin(grid_points((1, 1, 1), motion.affine)[0, 0, 0].tolist())
    image.SetSpacing((1.5, 1.2, 2.0))
    return sitk.DisplacementFieldTransform(image)


@pytest.mark.parametrize("ending", ["tfm", "txt", "mat", "h5"])
@pytest.mark.parametrize("name", LINEAR)
def test_linear_transforms_move_points_as_itk_does(tmp_path: Path, name: str, ending: str) -> None:
    made = LINEAR[name]()
    sitk.WriteTransform(made, str(tmp_path / f"a.{ending}"))
    read = read_transform(tmp_path / f"a.{ending}")
    np.testing.assert_allclose(move(POINTS, read), of_sitk(made), atol=1e-9)
    back, left = move_back(move(POINTS, read), read)
    np.testing.assert_allclose(back, POINTS, atol=1e-9)
    assert left.max() < 1e-9


def test_a_linear_transform_of_the_plane(tmp_path: Path) -> None:
    made = sitk.Euler2DTransform((1, 2), 0.3, (4, 5))
    sitk.WriteTransform(made, str(tmp_path / "a.tfm"))
    np.testing.assert_allclose(move(POINTS[:, :2], read_transform(tmp_path / "a.tfm")), of_sitk(made, POINTS[:, :2]))


@pytest.mark.parametrize("ending", ["tfm", "h5"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (1, 0, 2), (0, 1, 0)])
def test_a_composite_moves_points_as_itk_does(tmp_path: Path, order: tuple[int, ...], ending: str) -> None:
    parts = [affine(), as_sitk(field()), LINEAR["rigid"]()]
    parts[0].SetTranslation((-1.0, 1.5, -3.0))
    parts[0].SetCenter((0.1, 0.2, -0.3))
    parts[2] = sitk.Euler3DTransform((0, 0, 0), 0.05, 0.0, -0.1, (0.5, 0.5, 0.5))
    made = sitk.CompositeTransform([parts[n] for n in order])
    sitk.WriteTransform(made, str(tmp_path / f"a.{ending}"))
    read = read_transform(tmp_path / f"a.{ending}")
    assert len(read.parts) == len(order)
    near = POINTS / 2  # within the field on every way: outside of it ITK moves nothing
    np.testing.assert_allclose(move(near, read), of_sitk(made, near), atol=1e-6)


def test_a_composed_field_is_itks_composite(itk, tmp_path: Path) -> None:
    """On the whole grid: T(p + u(p)), where the last of a composite is the first that a point goes through."""
    first, then = affine(), field()
    sitk.WriteTransform(first, str(tmp_path / "affine.mat"))
    found = compose(read_transform(tmp_path / "affine.mat"), then)
    write_field(tmp_path / "then.h5", then, "itk")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        composite = itk.CompositeTransform[itk.D, 3].New()
        for name in ("affine.mat", "then.h5"):
            composite.AddTransform(itk.transformread(str(tmp_path / name))[0])
        places = grid_points(then.shape, then.affine)[::4, ::4, ::4].reshape(-1, 3)
        theirs = np.array([list(composite.TransformPoint(place.tolist())) for place in places])
    np.testing.assert_allclose(move(places, found), theirs, atol=5e-6)  # the field is float32
    np.testing.assert_array_equal(found.affine, then.affine)


@pytest.mark.parametrize("ending", ["tfm", "mat"])
def test_an_affine_of_older_ants_is_read(tmp_path: Path, ending: str) -> None:
    path, new, old = tmp_path / f"a.{ending}", b"AffineTransform_double_3_3", b"MatrixOffsetTransformBase_double_3_3"
    sitk.WriteTransform(affine(), str(path))
    content = path.read_bytes()
    assert new in content
    if ending == "mat":
        *head, length = struct.unpack("<5i", content[:20])
        content = struct.pack("<5i", *head, length + len(old) - len(new)) + content[20:]
    path.write_bytes(content.replace(new, old))
    np.testing.assert_allclose(move(POINTS, read_transform(path)), of_sitk(affine()), atol=1e-9)


def refused(path: Path) -> str:
    for read in (read_transform, read_field):
        with pytest.raises(InputError) as caught:
            read(path)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_neither_linear_nor_a_field_is_named(tmp_path: Path) -> None:
    spline = sitk.BSplineTransformInitializer(sitk.Image([8, 8, 8], sitk.sitkFloat32), [3, 3, 3])
    sitk.WriteTransform(spline, str(tmp_path / "spline.tfm"))
    assert "holds BSplineTransform" in refused(tmp_path / "spline.tfm")
    sitk.WriteTransform(affine(), str(tmp_path / "one.tfm"))
    one = (tmp_path / "one.tfm").read_text()
    (tmp_path / "two.tfm").write_text(one + one.split("\n", 1)[1].replace("#Transform 0", "#Transform 1"))
    assert "holds 2 transforms in no order" in refused(tmp_path / "two.tfm")
    (tmp_path / "flat.tfm").write_text(one.replace("1.1 0.1 0 ", "0 0 0 ", 1))
    assert "has no inverse" in refused(tmp_path / "flat.tfm")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.mat", b"1 0 0 3\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "is a matrix without a frame, as of FSL or NiftyReg"),
        ("a.txt", b"1 0 0 3\r\n0 1 0 0\r\n0 0 1 0\r\n0 0 0 1", "is a matrix without a frame"),
        ("a_sn.mat", b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(256), "is of MATLAB"),
        ("p.0.txt", b'// elastix\n(Transform "BSplineTransform")\n', "is a parameter file of elastix"),
        ("a.lta", b"type = 1\n", "is a transform of FreeSurfer"),
        ("a.aff12.1D", b"1 0 0 0\n", "is a transform of AFNI"),
        ("a.mat", b"", "cannot be read"),
        ("a.mat", b"\0" * 5000, "cannot be read"),
        ("a.mat", struct.pack("<5i", 0, 12, 1, 0, -5) + b"MatrixOffsetTransformBase_double_3_3", "cannot be read"),
        ("a.mat", struct.pack("<5i", 0, 2**30, 1, 0, 27) + b"AffineTransform_double_3_3\0", "cannot be read"),
        ("a.txt", b"point\n1\n1 2 3\n", "cannot be read"),
        ("a.tfm", b"#Insight Transform File V1.0\nTransform: Foo_double_3_3\nParameters: 1\n", "cannot be read"),
        ("a.tfm", b"#Insight Transform File V1.0\n", "cannot be read"),
        ("a.tfm", b"#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
                  b"Parameters: 1 0 0 0 1 0 0 0 1 nan 0 0\nFixedParameters: 0 0 0\n", "cannot be read"),
    ],
)  # fmt: skip
def test_bad_transforms_are_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert said in refused(tmp_path / name)


def test_a_damaged_file_of_hdf5_says_nothing_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The 40 lines of HDF5 go past Python, to the standard error."""
    whole = write_field(tmp_path / "whole.h5", field(), "itk").read_bytes()
    for n, content in enumerate((whole[: len(whole) // 2], whole[:600], whole[:8] + bytes(len(whole) - 8))):
        (tmp_path / f"{n}.h5").write_bytes(content)
        assert "cannot be read" in refused(tmp_path / f"{n}.h5")
    assert capfd.readouterr().err == ""


def test_transforms_that_are_no_motion_are_refused() -> None:
    for matrix, offset, said in (
        (np.eye(4), np.zeros(4), "give one of 2 or 3 dimensions"),
        (np.zeros((3, 3)), np.zeros(3), "has no inverse"),
        (np.eye(3), np.array([0, np.inf, 0]), "is NaN or infinite"),
    ):
        with pytest.raises(InputError, match=said):
            Affine(matrix, offset)
