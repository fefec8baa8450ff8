"""What a report refuses: each with one line that names the file or the option, and nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from common.errors import InputError
from tools.report.__main__ import main


@pytest.fixture
def folders(make: SimpleNamespace, tmp_path: Path) -> tuple[Path, Path]:
    names = ("vxm_mse", "vxm_hetero")
    return tuple(make.evaluation(tmp_path / name, name, size=16) for name in names)


def refused(tmp_path: Path, *arguments: str | Path) -> str:
    output = tmp_path / "out" / "report.html"
    with pytest.raises(InputError) as caught:
        main([*map(str, arguments), "--output", str(output)])
    assert "\n" not in str(caught.value)
    assert not output.parent.exists()
    return str(caught.value)


def changed(**entries: object) -> Callable[[Path], None]:
    """Return what changes entries of metrics.json; None removes one."""

    def change(folder: Path) -> None:
        summary = json.loads((folder / "metrics.json").read_text()) | entries
        kept = {key: value for key, value in summary.items() if value is not None}
        (folder / "metrics.json").write_text(json.dumps(kept))

    return change


def renamed_pair(folder: Path) -> None:
    text = (folder / "metrics.csv").read_text()
    (folder / "metrics.csv").write_text(text.replace("patient000_slice01,", "patient900_slice01,"))


def misfit_example(folder: Path) -> None:
    with np.load(folder / "examples.npz") as archive:
        arrays = dict(archive)
    np.savez(folder / "examples.npz", **(arrays | {"0/warped": np.zeros((3, 3))}))


def other_example(folder: Path) -> None:
    with np.load(folder / "examples.npz") as archive:
        arrays = dict(archive)
    meta = json.loads(str(arrays["meta"]))
    np.savez(folder / "examples.npz", **(arrays | {"meta": json.dumps(meta | {"ids": ["x", *meta["ids"][1:]]})}))


def nested(folder: Path) -> None:
    (folder / "metrics.json").write_text("[" * 100_000)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no json": (lambda folder: (folder / "metrics.json").unlink(), "metrics.json"),
    "damaged json": (lambda folder: (folder / "metrics.json").write_text("{"), "not valid JSON"),
    "other json": (lambda folder: (folder / "metrics.json").write_text("[1]"), "not written by evaluate"),
    "lacking entry": (changed(split=None), "'split'"),
    "no protocols": (changed(protocols=3), "protocols"),
    "protocol of a number": (changed(protocols={"published": 3}), "'protocols/published' is 3"),
    "metric of a text": (changed(protocols={"published": {"dsc": {"mean": "x"}}}), "'protocols/published/dsc"),
    "nested json": (nested, "not valid JSON"),
    "truth of a text": (changed(truth="x"), "'truth' is 'x'"),
    "count of a number": (changed(not_computed=5), "'not_computed' is 5"),
    "count of a text": (changed(not_computed={"a": "b"}), "'not_computed/a' is 'b'"),
    "labels of a number": (changed(labels=5), "'labels' is 5"),
    "members of texts": (changed(members=["x"]), "'members/0' is 'x'"),
    "name of a list": (changed(bundle=["x"]), "'bundle' is ['x']"),
    "pairs of a text": (changed(pairs="12"), "'pairs' is '12'"),
    "other example": (other_example, "examples.npz has pair 'x'"),
    "other data": (changed(dataset="ACDC"), "'ACDC'"),
    "other split": (changed(split="val"), "'val'"),
    "unfinished": (changed(pairs=200), "200 pairs"),
    "other pairs": (renamed_pair, "2 pairs"),
    "no csv": (lambda folder: (folder / "metrics.csv").unlink(), "metrics.csv"),
    "empty csv": (lambda folder: (folder / "metrics.csv").write_text("id,subject\n"), "no rows"),
    "ragged csv": (lambda folder: (folder / "sparsification.csv").write_text("a,b\n1\n"), "line 2"),
    "binary csv": (lambda folder: (folder / "metrics.csv").write_bytes(b"\xff\xfe\x00"), "not a CSV"),
    "damaged examples": (lambda folder: (folder / "examples.npz").write_bytes(b"PK"), "examples.npz"),
    "misfit example": (misfit_example, "warped"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_or_foreign_evaluation(damage: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    spoil, words = DAMAGE[damage]
    spoil(folders[1])
    message = refused(tmp_path, "--evaluations", *folders)
    assert words in message
    assert str(folders[1]) in message


def test_missing_folder(tmp_path: Path) -> None:
    assert "nowhere" in refused(tmp_path, "--evaluations", tmp_path / "nowhere")


def test_a_cell_that_is_no_number(folders: tuple[Path, Path], tmp_path: Path) -> None:
    lines = (folders[0] / "metrics.csv").read_text().splitlines()
    cells = lines[2].split(",")
    lines[2] = ",".join([*cells[:2], "many", *cells[3:]])
    (folders[0] / "metrics.csv").write_text("\n".join(lines))
    assert "line 3: published/dsc is 'many'" in refused(tmp_path, "--evaluations", *folders)


def test_the_same_folder_twice(folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert "given twice" in refused(tmp_path, "--evaluations", folders[0], folders[0])


def test_unknown_reference(folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert "vxm_mse, vxm_hetero" in refused(tmp_path, "--evaluations", *folders, "--against", "tsm_mse")


def test_run_without_log(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert "log.csv" in refused(tmp_path, "--evaluations", *folders, "--trainings", tmp_path / "run")


def test_another_data_set(folders: tuple[Path, Path], make: SimpleNamespace, tmp_path: Path) -> None:
    data = make.dataset(tmp_path / "data", size=16)
    content = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps(content | {"name": "CAMUS"}))
    assert "'CAMUS'" in refused(tmp_path, "--evaluations", *folders, "--dataset", data)


def test_a_data_set_on_another_grid(folders: tuple[Path, Path], make: SimpleNamespace, tmp_path: Path) -> None:
    data = make.dataset(tmp_path / "data", size=20)
    assert "[2, 20, 20]" in refused(tmp_path, "--evaluations", *folders, "--dataset", data)


def test_output_that_is_no_page(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.html"):
        main(["--evaluations", str(folders[0]), "--output", str(tmp_path / "report.pdf")])


def test_output_that_cannot_be_written(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        main(["--evaluations", str(folders[0]), "--output", str(tmp_path / "file" / "report.html")])
