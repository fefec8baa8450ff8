"""Headers and bytes of anything: only an InputError leaves the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nifti_headers import put

from common.errors import InputError
from common.io import read_frames, read_image, read_label

IMAGE = np.random.default_rng(0).integers(0, 4000, (20, 16, 8)).astype(np.int16)
FIELDS = {
    "dim": st.tuples(st.integers(0, 7), st.sampled_from([-32768, -1, 0, 1, 2, 5, 8, 16, 20, 32767])),
    "pixdim": st.tuples(st.integers(0, 7), st.floats(width=32)),
    "srow_x": st.tuples(st.integers(0, 3), st.floats(width=32)),
    "srow_z": st.tuples(st.integers(0, 3), st.floats(width=32)),
}
NUMBERS = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "scl_slope", "scl_inter", "vox_offset")
WHOLES = ("qform_code", "sform_code", "datatype", "bitpix", "intent_code")
CHANGES = st.lists(
    st.one_of(
        *(st.tuples(st.just(name), change) for name, change in FIELDS.items()),
        st.tuples(st.sampled_from(NUMBERS), st.floats(width=32)),
        st.tuples(st.sampled_from(WHOLES), st.integers(-(2**15), 2**15 - 1) | st.integers(0, 70)),
        st.tuples(st.just("xyzt_units"), st.integers(0, 255)),
        st.tuples(st.just("datatype"), st.sampled_from([2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1536, 1792])),
    ),
    max_size=6,
)
QUICK = settings(
    max_examples=80, database=None, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LONG = settings(QUICK, max_examples=5000)


def fuzz(folder: Path, changes: list[tuple[str, Any]], end: int | None) -> None:
    """Only InputError leaves the reader, and what it returns can be worked with."""

    def change(header: Any) -> None:
        for name, value in changes:
            if isinstance(value, tuple):
                header[name][value[0]] = value[1]
            else:
                header[name] = value

    path = put(folder / "a.nii", IMAGE, np.diag([2, 3, 4, 1.0]), change)
    path.write_bytes(path.read_bytes()[:end])
    for read in (read_image, read_label, lambda path: read_frames(path)[0]):
        try:
            image = read(path)
        except InputError as error:
            assert "a.nii" in str(error) and "\n" not in str(error)
            continue
        assert np.isfinite(image.affine).all() and abs(np.linalg.det(image.affine)) > 0
        assert np.isfinite(image.array).all() and 0 not in image.array.shape


@QUICK
@given(changes=CHANGES, end=st.none() | st.integers(0, 6000))
def test_only_a_line_leaves_the_reader(tmp_path: Path, changes: list[tuple[str, Any]], end: int | None) -> None:
    fuzz(tmp_path, changes, end)


@pytest.mark.slow
@LONG
@given(changes=CHANGES, end=st.none() | st.integers(0, 6000))
def test_only_a_line_leaves_the_reader_for_long(
    tmp_path: Path, changes: list[tuple[str, Any]], end: int | None
) -> None:
    fuzz(tmp_path, changes, end)


@QUICK
@given(content=st.binary(max_size=600), ending=st.sampled_from(["nii", "nii.gz", "mha", "nrrd", "mgz", "hdr"]))
def test_bytes_of_anything_are_refused(tmp_path: Path, content: bytes, ending: str) -> None:
    (tmp_path / f"a.{ending}").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.{ending}: ") as caught:
        read_image(tmp_path / f"a.{ending}")
    assert "\n" not in str(caught.value)
