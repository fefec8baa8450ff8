"""Tables and lists of points of other programs: read as what they say, or refused in a line that says why."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.io.points import read_points, write_points

LPS = [[1.0, -2.0, 3.5], [10.0, 20.0, -30.0]]
RAS = np.array(LPS) * [-1, -1, 1]


@pytest.mark.parametrize(
    ("name", "content", "axes"),
    [
        ("a.csv", "label,r,a,s,defined\nF-1,-1,2,3.5,1\nF-2,-10,-20,-30,1\n", None),
        ("a.csv", "label,l,p,s,defined,description\nF-1,1,-2,3.5,1,\nno place,0,0,0,0,\nF-2,10,20,-30,1,a b\n", None),
        ("a.csv", "x;y;z\n1;-2;3.5\n10;20;-30\n", "LPS"),
        ("a.csv", "name;z;y;x\na;3,5;-2,0;1\nb;-30;20,0;10\n", "LPS"),
        ("a.csv", "1,-2,3.5\n10,20,-30\n", "LPS"),
        ("a.csv", "# made by hand\n1,-2,3.5\n\n10,20,-30\n", "LPS"),
        ("a.csv", "# x,y,z\n1,-2,3.5\n10,20,-30\n", "LPS"),
        ("a.csv", "\ufeffx,y,z\r\n1,-2,3.5\r\n10,20,-30\r\n", "LPS"),
        ("a.csv", "x\ty\tz\n1\t-2\t3.5\n10\t20\t-30\n", "LPS"),
        ("a.tsv", "label\tr\ta\ts\nF\t-1\t2\t3.5\nF\t-10\t-20\t-30\n", None),
        ("a.txt", "1 -2  3.5\n10 20 -30\n", "LPS"),
        ("a.csv", "X, Y, Z, t, label\n1, -2, 3.5, 0, 1\n10, 20, -30, 0, 2\n", "LPS"),
        ("a.txt", "point\n2\n1 -2 3.5\n10 20 -30\n", None),
        ("a.pts", "\ufeffpoint\r\n2\r\n1 -2 3.5\r\n10 20 -30\r\n", None),
        ("a.csv", '"a, b",x,y,z\n"1,5",1,-2,3.5\n"it ""is""",10,20,-30\n', "LPS"),
    ],
)
def test_a_table_is_read_and_written_as_it_was(tmp_path: Path, name: str, content: str, axes: str | None) -> None:
    (tmp_path / name).write_bytes(content.encode())
    points = read_points(tmp_path / name, axes)
    np.testing.assert_allclose(points.lps, LPS)
    moved = write_points(tmp_path / f"moved_{name}", points, points.lps + [1.25, -2, 3])
    np.testing.assert_allclose(read_points(moved, axes).lps, np.array(LPS) + [1.25, -2, 3])
    same = points.moved(points.lps).decode().splitlines()
    unmoved = content.lstrip("\ufeff").splitlines()
    assert len(same) == len(unmoved) and same[-1].replace(",", ".").split()[:1] is not None
    assert [line.count(";") for line in same] == [line.count(";") for line in unmoved]


def test_a_wide_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,z\n1,-2,3.5\n10,20,-30\n", encoding="utf-16")
    np.testing.assert_allclose(read_points(tmp_path / "a.csv", "LPS").lps, LPS)


def test_what_is_outside_says_so_in_its_row(tmp_path: Path) -> None:
    outside = np.array([False, True])
    wanted = {
        "a.csv": ("label,r,a,s\nF,-1,2,3.5\nG,-10,-20,-30\n", "label,r,a,s,outside\nF,-1,2,3.5,0\nG,-10,-20,-30,1\n"),
        "b.csv": ("r,a,s,outside\n-1,2,3.5,1\n-10,-20,-30,0\n", "r,a,s,outside\n-1,2,3.5,0\n-10,-20,-30,1\n"),
        "a.fcsv": (
            "p,-1,2,3.5\nq,-10,-20,-30,0,0,0,1\n",
            "p,-1,2,3.5\nq,-10,-20,-30,0,0,0,1,,,,,outside of the field,\n",
        ),
    }
    for name, (content, expected) in wanted.items():
        (tmp_path / name).write_text(content)
        points = read_points(tmp_path / name)
        moved = write_points(tmp_path / f"moved_{name}", points, points.lps, outside)
        assert moved.read_text() == expected
        assert points.moved(points.lps, ~outside & outside).decode() == content  # nothing is: the file is as it was
    markups = {"markups": [{"controlPoints": [{"position": list(place)} for place in LPS]}]}
    (tmp_path / "a.mrk.json").write_text(json.dumps(markups))
    points = read_points(tmp_path / "a.mrk.json")
    found = json.loads(points.moved(points.lps, outside))["markups"][0]["controlPoints"]
    assert [point.get("description") for point in found] == [None, "outside of the field"]
    (tmp_path / "a.obj").write_text("# SPACE=LPS\nv 1 2 3\nv 4 5 6\n")
    mesh = read_points(tmp_path / "a.obj")
    assert mesh.moved(mesh.lps, outside) == mesh.moved(mesh.lps)


def refused(path: Path, axes: str | None = "LPS") -> str:
    """The one line that refuses ``path``, in time."""
    start = time.perf_counter()
    with pytest.raises(InputError) as caught:
        read_points(path, axes)
    assert time.perf_counter() - start < 5
    said = str(caught.value)
    assert said.startswith(str(path)) and "\n" not in said and len(said) < 500
    return said


PLY = b"ply\nformat %s 1.0\nelement vertex %s\nproperty float x\nproperty float y\nproperty %s z\nend_header\n"
VTK = b"# vtk DataFile Version 3.0\nt SPACE=LPS\n%s\nDATASET POLYDATA\nPOINTS %s float\n1 2 3\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("long.csv", b"x,y,z\n" + b"1" * 2_000_000 + b",2,3\n", "field larger than field limit"),
        ("wide.csv", b"x,y,z\n" + b"a" * 200_000 + b",2,3\n", "has no number for each coordinate"),
        ("both.csv", b"x,y,z,r,a,s\n1,2,3,4,5,6\n", "names columns of x,y,z and r,a,s; keep one"),
        ("twice.csv", b"x,y,x,z\n1,2,3,4\n", "names the column x twice"),
        ("labelled.csv", b"a,1,2,3\nb,1,2,3\n", "names no columns"),
        ("uneven.csv", b"1,2,3\n1,2\n", "names no columns"),
        ("words.csv", b"one,two,three\n1,2,3\n", "row 1, 'one,two,three', has no number"),
        ("nan.csv", b"x,y,z\n1,2,3\nnan,2,3\n", "NaN or infinite"),
        ("inf.csv", b"1 inf 3\n", "NaN or infinite"),
        ("far.csv", b"x,y,z\n1,2,1e300\n", "has a coordinate of 1e+300 mm"),
        ("nul.csv", b"x,y,z\n1,\0,3\n", "cannot be read"),
        ("latin.csv", b"x,y,z,n\xe4me\n1,2,3,a\n", "cannot be read"),
        ("empty.csv", b"", "no points"),
        ("voxels.txt", b"index\n1\n1 2 3\n", "are voxels of the fixed image"),
        ("less.txt", b"point\n3\n1 2 3\n", "says 3 points and has 1"),
        ("count.txt", b"point\nmany\n1 2 3\n", "does not say how many"),
        ("bare.txt", b"point\n", "does not say how many"),
        ("mixed.txt", b"point\n2\n1 2 3\n1 2\n", "do not have two or three numbers each"),
        ("out.txt", b"Point\t0\t; InputIndex = [ 1 2 3 ]\t; InputPoint = [ 1 2 3 ]\n", "are what transformix made"),
        ("huge.vtk", VTK % (b"ASCII", b"2000000000"), "fewer points than it says"),
        ("huge_binary.vtk", VTK % (b"BINARY", b"2000000000"), "fewer points than it says"),
        ("many.vtk", VTK % (b"ASCII", b"9" * 30), "fewer points than it says"),
        ("digits.vtk", VTK % (b"ASCII", b"9" * 5000), "cannot be read"),
        ("none.vtk", VTK % (b"ASCII", b"0"), "fewer points than it says"),
        ("plain.ply", PLY.replace(b"format %s 1.0\n", b"") % (b"1", b"float"), "its format is None"),
        ("other.ply", PLY % (b"utf8", b"1", b"float"), "its format is utf8"),
        ("1e20.ply", PLY % (b"ascii", b"1e20", b"float"), "cannot be read"),
        ("1e20_binary.ply", PLY % (b"binary_little_endian", b"1" + b"0" * 20, b"float"), "too short for them"),
        ("minus.ply", PLY % (b"binary_little_endian", b"-1", b"float") + bytes(24), "too short for them"),
        ("whole.ply", PLY % (b"binary_little_endian", b"1", b"int") + bytes(12), "in float or double"),
        ("odd.ply", PLY % (b"ascii", b"1", b"quad") + b"1 2 3\n", "cannot be read"),
        ("nested.mrk.json", b'{"markups": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "cannot be read"),
        ("flat.mrk.json", b'{"markups": [{"controlPoints": [{"position": [1, 2]}]}]}', "[1, 2], not three numbers"),
        ("text.mrk.json", b'{"markups": [{"controlPoints": [{"position": ["1", 2, 3]}]}]}', "not three numbers"),
        ("big.mrk.json", b'{"markups": [{"controlPoints": [{"position": [1, 2, 1%s]}]}]}' % (b"0" * 400), "cannot be"),
        ("inf.mrk.json", b'{"markups": [{"controlPoints": [{"position": [1, 2, Infinity]}]}]}', "NaN or infinite"),
        ("unit.mrk.json", b'{"markups": [{"coordinateUnits": "m", "controlPoints": []}]}', "are in m, not in mm"),
        ("ijk.mrk.json", b'{"markups": [{"coordinateSystem": "IJK"}]}', "its coordinate system is 'IJK'"),
        ("list.mrk.json", b"[1]", "cannot be read"),
        ("axes.fcsv", b"# CoordinateSystem = 7\np,1,2,3\n", "its coordinate system is '7'"),
        ("lines.stl", b"solid x" + b"\n" * 150_000, "no points"),
        ("blanks.stl", b"solid x" + b" \n" * 150_000 + b" " * 150_000, "no points"),
        ("vertex.stl", b"solid x\n" + b"vertex 1 " * 50_000, "could not convert"),
    ],
)
def test_hostile_points_end_in_a_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    axes = None if name.endswith((".txt", ".fcsv", ".json", ".vtk")) else "LPS"
    assert said in refused(tmp_path / name, axes)
