"""A dataset.json from anyone: what is wrong in it is said in one line each, and nothing leads out of the folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.data import prepared
from common.data.dataset_schema import is_below, is_name
from common.data.prepared_check import find_problems
from common.errors import InputError
from common.nifti import save_image

PAIR = {"id": "a", "subject": "a", "moving": "a.nii.gz", "fixed": "b.nii.gz", "slice": 0}
CONTENT = {
    "format": "warpsure-pairs/1", "name": "toy", "spatial_dims": 2, "labels": {"1": "ring"}, "evaluated_labels": [1],
    "preparation": {}, "seed": 0, "splits": {"train": [PAIR], "val": [], "test": []},
}  # fmt: skip
NO_NAME: list[Any] = ["..", ".", "", " ", "../../x", "a/../../b", "/tmp/x", "a\\b", "..\\x", "a\0b", "a\nb", "\ud800",
                      "x" * 300, [], ["a"], {}, {"a": 1}, 5, 0.5, True, None]  # fmt: skip
NO_FILE: list[Any] = [*NO_NAME, "a/../../b.nii", "C:/x", "./..", "//x"]


def pair(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = deepcopy(CONTENT)
    content["splits"]["train"][0] |= changes
    return content


def top(**changes: Any) -> dict[str, Any]:
    return deepcopy(CONTENT) | changes


WRONG = [
    *(pair(**{key: value}) for key in ("id", "subject", "moving_subject") for value in NO_NAME),
    *(pair(**{key: value}) for key in ("moving", "fixed") for value in NO_FILE),
    *(pair(**{key: v}) for key in ("moving_label", "fixed_mask") for v in NO_FILE if v is not None),
    *(pair(slice=value) for value in ("0", None, -1, 0.5, [], True, 2**40)),
    *(pair(truth=value) for value in ("abc", [], 5, {"displacement": 5}, {"variance": "../x"})),
    *(pair(native=value) for value in ("abc", [], {"moving": 5}, {"crop_start": "x"})),
    *(top(splits=value) for value in (None, [], "x", {"train": {}}, {"train": [5]}, {"train": [None]}, {"train": "x"})),
    *(top(spatial_dims=value) for value in (None, "2", 1, 4, 2.5, [2], True)),
    *(top(labels=value) for value in (None, ["a"], {"a": "b"}, {"-1": "b"}, {"256": "b"}, {"1": 5}, {"²": "x"})),
    *(top(evaluated_labels=value) for value in (None, 1, ["1"], [-1], [256], [0.5])),
    *(top(seed=value) for value in ("0", 0.5, 2**70, [])),
    *(top(preparation=value) for value in ("x", [1], 3)),
    *(top(name=value) for value in (None, 5, [])),
    *(top(format=value) for value in (None, "warpsure-pairs/2", [])),
    *([], None, 5, "x", {}),
]  # fmt: skip


def refusal(folder: Path, text: str) -> str:
    """What `read` says of a dataset.json, and `prepare check` says as well."""
    (folder / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        prepared.read(folder)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 400 and "dataset.json" in said
    assert find_problems(folder)[0] == f"error: {said}"
    assert [path.name for path in folder.iterdir()] == ["dataset.json"]
    return said


@pytest.mark.parametrize("content", WRONG, ids=range(len(WRONG)))
def test_wrong_content_is_refused_in_a_line(tmp_path: Path, content: Any) -> None:
    refusal(tmp_path, json.dumps(content))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, '{"a":' * 100_000, json.dumps(top(seed=float("inf"))), json.dumps(top(seed=float("nan"))),
     '{"seed": 1' + "0" * 5000 + "}", "\ufeff{}", json.dumps(CONTENT).replace('"seed": 0', '"seed": 1e999')],
    ids=["empty", "cut", "lists", "objects", "infinity", "nan", "digits", "mark", "1e999"],
)  # fmt: skip
def test_no_json_is_refused_in_a_line(tmp_path: Path, text: str) -> None:
    refusal(tmp_path, text)


def test_bytes_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(InputError, match="not readable as JSON"):
        prepared.read(tmp_path)


def test_every_fault_is_told_at_once_and_the_first_on_reading(tmp_path: Path) -> None:
    content = top(evaluated_labels=["x"])
    content["splits"]["train"] = [PAIR | {"id": "../x", "slice": None}, {"id": "b"}]
    said = refusal(tmp_path, json.dumps(content))
    assert f"{tmp_path / 'dataset.json'}: evaluated_labels/0 is 'x', expected integer; prepare" in said
    told = [line.split("dataset.json: ")[1].split("; prepare")[0] for line in find_problems(tmp_path)]
    assert told == [
        "evaluated_labels/0 is 'x', expected integer",
        "train pair 0: id is '../x', expected a plain name",
        "train pair 0: slice is None, expected integer",
        "train pair 1 has no subject, moving, fixed",
        "train pair 1 has no slice",
    ]


@pytest.mark.parametrize("call", [Path.is_dir, Path.is_file, Path.read_text])
def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any]
) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps(CONTENT))

    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, call.__name__, refuse)
    with pytest.raises(InputError, match=r"dataset\.json: not readable .*Permission denied"):
        prepared.read(tmp_path)


def test_usual_names_are_plain() -> None:
    assert all(map(is_name, ["patient 001", "ä-1_x.y", "...", "山田　太郎", "-x", "a" * 200]))
    assert all(map(is_below, ["a.nii.gz", "images/a b.nii.gz", "./a/b", "a/..b", "a//b"]))
    assert not any(map(is_below, ["", "/", "..", "a/..", "/a", "c:\\x", "c:x", "a/\n", "./", "\ud800"]))


@pytest.mark.parametrize("value", [-1.0, 0.5, np.nan, np.inf, 256.0, 1e30, 1.4])
@pytest.mark.parametrize("key", ["moving_label", "fixed_mask"])
def test_labels_that_would_become_others_are_refused(tmp_path: Path, key: str, value: float) -> None:
    label = np.zeros((8, 8, 1))
    label[2:4, 2:4] = value
    save_image(tmp_path / "a.nii.gz", label, np.eye(4))
    dataset = prepared.Dataset(tmp_path, "toy", 2)
    with pytest.raises(
        InputError, match=r"a.nii.gz: pair a: (a label map has whole numbers only|label value .* is not in 0)"
    ):
        prepared.load_arrays(dataset, {**PAIR, key: "a.nii.gz"}, [key])


def test_labels_as_some_programs_write_them_are_whole(tmp_path: Path) -> None:
    save_image(tmp_path / "a.nii.gz", np.full((8, 8, 1), 2.000004), np.eye(4))
    dataset = prepared.Dataset(tmp_path, "toy", 2)
    label = prepared.load_arrays(dataset, {**PAIR, "moving_label": "a.nii.gz"}, ["moving_label"])["moving_label"]
    assert label.dtype == np.uint8 and (label == 2).all()


@pytest.mark.parametrize("name", ["../x.nii.gz", "/etc/x.nii.gz", "a/../../x.nii.gz", "..", ""])
def test_sources_lie_in_their_folder(tmp_path: Path, name: str) -> None:
    dataset = prepared.Dataset(tmp_path, "toy", 2)
    with pytest.raises(InputError, match="does not lie below .*leave out --source"):
        prepared.source_file(dataset, tmp_path / "source", name)
    inside = tmp_path / "source" / "a.nii.gz"
    assert prepared.source_file(dataset, tmp_path / "source", str(inside)) == inside
