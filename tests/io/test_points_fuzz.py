"""Points files of anything: InputError is all that leaves the reader, in bounded time; ``FUZZ`` is how many to try."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.io.formats import POINTS
from common.io.points import read_points, write_points

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

BUDGET = hypothesis.settings(
    max_examples=int(os.environ.get("FUZZ", "60")), deadline=timedelta(seconds=2), database=None, derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip
NUMBERS = st.sampled_from(
    ["0", "1.5", "-2", "1e5", "nan", "inf", "1e999", "0x1", "1,5", "", "9" * 40, "-1", "2000000000"]
)
WORDS = st.sampled_from(
    ["x", "y", "z", "r", "a", "s", "l", "p", "label", "defined", "#", "point", "index", "ply", "format ascii 1.0",
     "format binary_little_endian 1.0", "element vertex", "property float x", "property list uchar int v",
     "end_header", "facet normal",
     "# vtk DataFile Version 3.0", "ASCII", "BINARY", "DATASET POLYDATA", "POINTS", "float", "solid", "vertex", "v",
     "SPACE=LPS", "# CoordinateSystem = LPS", '"', "\ufeff", "\0", "outside"]
)  # fmt: skip
PARTS = st.one_of(NUMBERS, WORDS, st.sampled_from([",", ";", "\t", " ", "\n", "\n", "\r\n"]), st.text(max_size=3))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.sampled_from(["LPS", "RAS", "mm", "defined"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["markups", "controlPoints", "position", "positionStatus", "coordinateSystem", "x"]), inner
        ),
    ),
)
TEXTS = st.lists(PARTS, max_size=40).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))
CONTENTS = st.one_of(TEXTS, st.binary(max_size=200), JSON.map(lambda value: json.dumps(value).encode()))


@pytest.mark.parametrize("ending", POINTS)
def test_only_input_errors_leave_the_reader(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"

    @BUDGET
    @hypothesis.given(CONTENTS, st.sampled_from(["LPS", "RAS", None]))
    def reads(content: bytes, axes: str | None) -> None:
        path.write_bytes(content)
        try:
            points = read_points(path, axes)
        except InputError as error:
            assert "\n" not in str(error) and str(path) in str(error) or "axes" in str(error)
            return
        assert len(points.lps) and np.isfinite(points.lps).all()
        outside = np.arange(len(points.lps)) % 2 == 0
        again = read_points(write_points(tmp_path / f"b{ending}", points, points.lps, outside), axes)
        np.testing.assert_allclose(again.lps, points.lps, rtol=1e-6, atol=1e-6)

    reads()
