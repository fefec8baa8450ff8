"""Points and meshes: read in LPS, and written back with everything else as it was."""

from __future__ import annotations

import json
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.io.points import is_points, read_points, write_points

CORNERS = np.array([[0.0, 0.0, 0.0], [10.5, 0.0, 0.0], [0.0, 20.25, 0.0], [0.0, 0.0, -30.125]])
FACES = [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3)]
TRIANGLES = CORNERS[np.array(FACES)].reshape(-1, 3)


def rows(points: np.ndarray = CORNERS) -> str:
    return "".join(f"{x} {y} {z}\n" for x, y, z in points)


def polygons() -> bytes:
    return b"POLYGONS 4 16\n" + b"".join(struct.pack(">4i", 3, *face) for face in FACES)


def ply(coding: str, body: bytes) -> bytes:
    header = (
        f"ply\nformat {coding} 1.0\ncomment SPACE=LPS\nelement vertex 4\nproperty uchar red\nproperty float x\n"
        "property float y\nproperty float z\nelement face 4\nproperty list uchar int vertex_indices\nend_header\n"
    )
    return header.encode() + body


MESHES = {
    "text.vtk": f"# vtk DataFile Version 3.0\nSPACE=LPS\nASCII\nDATASET POLYDATA\nPOINTS 4 float\n{rows()}"
    "POLYGONS 4 16\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\nPOINT_DATA 4\nSCALARS a float\n".encode(),
    "binary.vtk": b"# vtk DataFile Version 4.2\nMesh; SPACE=LPS\nBINARY\nDATASET POLYDATA\nPOINTS 4 float\n"
    + CORNERS.astype(">f4").tobytes() + b"\n" + polygons(),
    "surface.obj": b"# SPACE=LPS\n" + b"".join(b"v %g %g %g\n" % tuple(p) for p in CORNERS) + b"vt 0 1\nf 1 2 3\n",
    "text.ply": ply("ascii", "".join(f"255 {row}\n" for row in rows().splitlines()).encode() + b"3 0 1 2\n"),
    "small.ply": ply("binary_little_endian", b"".join(struct.pack("<B3f", 9, *p) for p in CORNERS) + b"\x03tail"),
    "big.ply": ply("binary_big_endian", b"".join(struct.pack(">B3f", 9, *p) for p in CORNERS) + b"\x03tail"),
}  # fmt: skip
STL_TEXT = "solid SPACE=LPS\n" + "".join(
    f"facet normal 0 0 1\n outer loop\n{''.join(f'  vertex {x} {y} {z}{chr(10)}' for x, y, z in TRIANGLES[n : n + 3])}"
    " endloop\nendfacet\n"
    for n in range(0, 12, 3)
)
STL_BINARY = b"SPACE=LPS".ljust(80) + struct.pack("<I", 4)
STL_BINARY += b"".join(struct.pack("<12fH", 0, 0, 1, *TRIANGLES[n : n + 3].ravel(), 7) for n in range(0, 12, 3))
LISTS = {
    "table.csv": b"name,x,y,z,weight\n" + b"".join(b"a,%g,%g,%g,5\n" % tuple(p) for p in CORNERS),
    "slicer.fcsv": b"# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n# columns = id,x,y,z\n"
    + b"".join(b"p,%g,%g,%g,0,0,0,1,1,1,0,F-1,,\n" % tuple(p) for p in CORNERS),
    "slicer.mrk.json": json.dumps({
        "markups": [{
            "type": "Fiducial", "coordinateSystem": "LPS", "measurements": [{"name": "length"}],
            "controlPoints": [{"id": str(n), "position": list(p)} for n, p in enumerate(CORNERS)]
            + [{"id": "later", "position": [0, 0, 0], "positionStatus": "undefined"}],
        }]
    }).encode(),
}  # fmt: skip
FILES = {**MESHES, **LISTS, "text.stl": STL_TEXT.encode(), "binary.stl": STL_BINARY}


def plain(word: bytes) -> bytes:
    """A number as it is shortest, so that 0.0 is 0."""
    try:
        return b"%g" % float(word)
    except ValueError:
        return word


def axes_of(name: str) -> str | None:
    return "LPS" if name == "table.csv" else None


@pytest.mark.parametrize("name", FILES)
def test_points_are_found_and_moved(tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    source.write_bytes(FILES[name])
    expected = TRIANGLES if name.endswith(".stl") else CORNERS
    points = read_points(source, axes_of(name))
    np.testing.assert_allclose(points.lps, expected)
    moved = write_points(tmp_path / f"moved_{name}", points, points.lps + [1.5, -2.25, 1000])
    again = read_points(moved, axes_of(name))
    np.testing.assert_allclose(again.lps, expected + [1.5, -2.25, 1000])


@pytest.mark.parametrize("name", [*MESHES, "slicer.fcsv", "table.csv"])
def test_what_is_not_a_point_stays(tmp_path: Path, name: str) -> None:
    """Moved there and back, with the numbers of the points taken out, it is the same file."""
    source = tmp_path / name
    source.write_bytes(FILES[name])
    points = read_points(source, axes_of(name))
    assert points.moved(points.lps + 5) != FILES[name]
    back = points.moved(points.lps)
    text = name not in ("binary.vtk", "small.ply", "big.ply")
    found, first = [content.split() for content in (back, FILES[name])] if text else (back, FILES[name])
    as_numbers = [part.replace(b".0 ", b" ").replace(b".0\n", b"\n") for part in (back, FILES[name])]
    assert found == first or as_numbers[0] == as_numbers[1]


def test_an_stl_forgets_its_normals(tmp_path: Path) -> None:
    for name in ("text.stl", "binary.stl"):
        (tmp_path / name).write_bytes(FILES[name])
        points = read_points(tmp_path / name)
        moved = points.moved(points.lps)
        assert b"normal 0 0 0" in moved if name == "text.stl" else moved[84:96] == bytes(12) and moved[-2:] == b"\7\0"


def test_ras_is_turned_and_turned_back(tmp_path: Path) -> None:
    for name, content in {
        "a.csv": LISTS["table.csv"],
        "a.fcsv": LISTS["slicer.fcsv"].replace(b"LPS", b"0"),
        "a.mrk.json": LISTS["slicer.mrk.json"].replace(b'"LPS"', b'"RAS"'),
        "a.ply": MESHES["text.ply"].replace(b"LPS", b"RAS"),
    }.items():
        source = tmp_path / name
        source.write_bytes(content)
        points = read_points(source, "RAS" if name == "a.csv" else None)
        np.testing.assert_allclose(points.lps, CORNERS * [-1, -1, 1])
        moved = write_points(tmp_path / f"moved_{name}", points, points.lps + [0, 0, 1])
        np.testing.assert_allclose(read_points(moved, "RAS").lps, CORNERS * [-1, -1, 1] + [0, 0, 1])


def test_a_list_of_slicer_that_says_nothing_is_ras(tmp_path: Path) -> None:
    (tmp_path / "a.fcsv").write_bytes(LISTS["slicer.fcsv"].replace(b"# CoordinateSystem = LPS\n", b""))
    np.testing.assert_allclose(read_points(tmp_path / "a.fcsv").lps, CORNERS * [-1, -1, 1])


def test_a_table_of_a_spreadsheet_may_begin_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,z\n1,2,3\n", encoding="utf-8-sig")
    np.testing.assert_array_equal(read_points(tmp_path / "a.csv", "LPS").lps, [[1, 2, 3]])


def test_itk_reads_the_moved_mesh(itk, tmp_path: Path) -> None:
    for name in ("text.vtk", "binary.vtk"):
        (tmp_path / name).write_bytes(FILES[name].replace(b"POINT_DATA 4\nSCALARS a float\n", b""))
        points = read_points(tmp_path / name)
        moved = write_points(tmp_path / f"moved_{name}", points, points.lps + [1, 2, 3])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mesh = itk.meshread(str(moved), itk.F)
            theirs = itk.array_from_vector_container(mesh.GetPoints())
        np.testing.assert_allclose(theirs, CORNERS + [1, 2, 3])


def test_markups_keep_their_names_and_lose_their_lengths(tmp_path: Path) -> None:
    (tmp_path / "a.mrk.json").write_bytes(LISTS["slicer.mrk.json"])
    points = read_points(tmp_path / "a.mrk.json")
    markup = json.loads(points.moved(points.lps + 1))["markups"][0]
    assert [p["id"] for p in markup["controlPoints"]] == ["0", "1", "2", "3", "later"]
    assert markup["controlPoints"][4]["position"] == [0, 0, 0] and "measurements" not in markup


def test_bad_points_are_named(tmp_path: Path) -> None:
    def message(name: str, content: bytes, axes: str | None = "LPS") -> str:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_points(tmp_path / name, axes)
        assert name in str(caught.value) and "\n" not in str(caught.value)
        return str(caught.value)

    assert "give --axes" in message("a.csv", LISTS["table.csv"], None)
    assert "row 3, '4,five,6'" in message("a.csv", b"x,y,z\n1,2,3\n4,five,6\n", "LPS")
    assert "row 2, '1,2'" in message("a.csv", b"x,y,z\n1,2\n", "LPS")
    assert "row 2, 'p,1,2'" in message("a.fcsv", b"# CoordinateSystem = LPS\np,1,2\n", None)
    assert "says that its points are LPS, not RAS" in message("a.fcsv", LISTS["slicer.fcsv"], "RAS")
    assert "names no columns" in message("b.csv", b"1,2,3,4\n4,5,6,7\n")
    assert "row 2, '1,2,far'" in message("c.csv", b"x,y,z\n1,2,far\n")
    assert "NaN or infinite" in message("d.csv", b"x,y,z\n1,2,nan\n")
    assert "no points" in message("e.csv", b"x,y,z\n")
    two = [{"coordinateSystem": axes, "controlPoints": [{"position": [1, 2, 3]}]} for axes in ("LPS", "RAS")]
    assert "lists of both LPS and RAS" in message("two.mrk.json", json.dumps({"markups": two}).encode(), None)
    faces_first = MESHES["text.ply"].replace(b"element vertex", b"element edge")
    assert "its vertices do not come first" in message("edges.ply", faces_first)
    for ending in ("vtk", "ply", "stl", "obj", "mrk.json", "fcsv", "csv"):
        assert "cannot be read" in message(f"broken.{ending}", b"\x00nothing,of\nthe kind\n")
    for name in ("text.vtk", "text.ply", "binary.vtk", "small.ply"):
        end = FILES[name].rindex(b"POINTS" if "vtk" in name else b"end_header") + 30
        assert "cannot be read" in message(f"cut_{name}", FILES[name][:end])
    (tmp_path / "a.csv").write_bytes(LISTS["table.csv"])
    points = read_points(tmp_path / "a.csv", "LPS")
    with pytest.raises(InputError, match=r"points keep their format; give a name with \.csv"):
        write_points(tmp_path / "a.vtk", points, points.lps)
    with pytest.raises(InputError, match="no such file"):
        read_points(tmp_path / "absent.csv")
    assert is_points("a.CSV") and is_points("a.mrk.json") and not is_points("a.json") and not is_points("a.nii.gz")
