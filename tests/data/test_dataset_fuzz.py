"""Any dataset.json is read as it is meant or refused in one line, and what is read stays in its folder."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from common.data import prepared
from common.data.prepared_check import find_problems
from common.errors import InputError

hypothesis = pytest.importorskip("hypothesis", reason="fuzzing needs hypothesis")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))  # of the short form
FILES = {"moving": "images/a.nii.gz", "fixed": "images/b.nii.gz"}
PAIR = {"id": "a", "subject": "a", **FILES, "slice": 0, "moving_label": "labels/a.nii.gz",
        "truth": {"variance": "truth/a.nii.gz"}, "native": {**FILES, "crop_start": [0, 0, 0]}}  # fmt: skip
CONTENT = {"format": "warpsure-pairs/1", "name": "toy", "spatial_dims": 2, "labels": {"1": "ring"}, "licence": "",
           "evaluated_labels": [1], "preparation": {"size": [8, 8, 8]}, "seed": 0,
           "splits": {"train": [PAIR], "val": [], "test": []}}  # fmt: skip
NAUGHTY = st.sampled_from(
    ["..", "../x", "/x", "a/../../x", "", ".", "\0", "a\\b", "C:x", "\ud800", "é", " ", "1", "train"]
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | NAUGHTY
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON document."""
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys:
        yield content, key
        yield from places(content[key])


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """A good dataset.json with up to three entries changed, removed or added; at times something else altogether."""
    content = deepcopy(CONTENT)
    for _ in range(draw(st.integers(0, 3))):
        container, key = draw(st.sampled_from(list(places(content))))
        action = draw(st.sampled_from(["change", "change", "remove", "add"]))
        if action == "change":
            container[key] = draw(VALUES)
        elif action == "remove":
            del container[key]
        elif isinstance(container, dict):
            container[draw(st.text(max_size=8) | NAUGHTY)] = draw(VALUES)
    return content if draw(st.integers(0, 19)) else draw(VALUES)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES <= 60, suppress_health_check=[*HealthCheck])
@given(content=documents())
def test_any_document_is_read_or_refused_in_a_line(content: Any) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "set"
        root.mkdir()
        (root / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
        try:
            dataset = prepared.read(root)
        except InputError as error:
            assert "\n" not in str(error) and "dataset.json" in str(error)
            assert find_problems(root)[0] == f"error: {error}"
            return
        for pair in (pair for pairs in dataset.splits.values() for pair in pairs):
            for name in (pair["id"], pair["subject"], pair["moving"], pair["fixed"], pair.get("moving_label") or "x"):
                path = (root / name).resolve()
                assert path.is_relative_to(root.resolve()) and path != root.resolve()
            assert isinstance(pair["slice"] if dataset.spatial_dims == 2 else 0, int | float)
        assert all("\n" not in line for line in find_problems(root))
