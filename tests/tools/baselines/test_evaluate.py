"""The files are those of a bundle's evaluation; failures are counted; a stopped run goes on."""

from __future__ import annotations

import csv
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common.data.pairs import PreparedPairs
from common.engines.evaluator import RegistrationEvaluator
from common.errors import InputError
from common.spatial import warp
from tools.baselines.__main__ import main
from tools.baselines.evaluate import Request, evaluate

FILES = {"metrics.csv", "patients.csv", "metrics.json", "sparsification.csv", "examples.npz"}


class Still(nn.Module):
    """A network that moves nothing."""

    spatial_dims, channels = 2, ("ddf_0", "ddf_1", "warped")

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([0 * image, warp(image[:, :1], 0 * image)], dim=1)


def rows(folder: Path, name: str = "metrics.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def arguments(name: str, dataset: Path, output: Path, *more: object) -> list[str]:
    return list(map(str, [name, "--dataset", dataset, "--output", output, *more]))


def test_undeformed_writes_what_the_evaluator_writes(tiny_dataset: Path, tmp_path: Path) -> None:
    main(arguments("undeformed", tiny_dataset, tmp_path / "ours"))
    RegistrationEvaluator("cpu", Still(), PreparedPairs(tiny_dataset, "val"), tmp_path / "theirs").run()
    assert {path.name for path in (tmp_path / "ours").iterdir()} == FILES
    ours, theirs = rows(tmp_path / "ours"), rows(tmp_path / "theirs")
    for our, their in zip(ours, theirs, strict=True):
        assert list(our) == list(their)
        assert {key for key in our if our[key] != their[key]} <= {"seconds"}
        undeformed = {key.removeprefix("undeformed/"): our[key] for key in our if key.startswith("undeformed/")}
        assert undeformed and all(our[key] == value for key, value in undeformed.items())
    for name in ("patients.csv", "sparsification.csv"):
        header, reference = ((tmp_path / each / name).read_text().splitlines()[0] for each in ("ours", "theirs"))
        assert header == reference
    arrays, reference = (np.load(tmp_path / each / "examples.npz") for each in ("ours", "theirs"))
    assert set(arrays) == set(reference)
    for key in set(arrays) - {"meta"}:
        np.testing.assert_allclose(arrays[key], reference[key], atol=1e-5)
    summary, reference = (json.loads((tmp_path / each / "metrics.json").read_text()) for each in ("ours", "theirs"))
    assert set(reference) <= set(summary)
    assert (summary["bundle"], summary["checkpoint"], summary["threads"]) == ("undeformed", None, 1)


def test_the_report_takes_it(tiny_dataset: Path, tmp_path: Path) -> None:
    main(arguments("undeformed", tiny_dataset, tmp_path / "undeformed"))
    read = import_module("tools.report.evaluations").read_evaluation(tmp_path / "undeformed")
    assert read.name == "undeformed" and len(read.pairs) == 4


def test_failed_pairs_are_nan_counted_and_tried_again(fragile, dataset_of, tmp_path, capsys) -> None:
    dataset = dataset_of("work", "exit", "work", "hang", "raise")
    request = Request("fragile", dataset, "val", tmp_path / "out", timeout=2, package=fragile.package)
    summary = evaluate(request)
    assert (summary["pairs"], summary["failed"], fragile.calls) == (5, 3, 5)
    said = capsys.readouterr().err
    for text in ("fragile failed on 1_exit: it crashed", "3_hang: it ran past 2 s", "4_raise: RuntimeError"):
        assert text in said
    table = rows(request.output)
    assert [row["standard/dsc"] == "" for row in table] == [False, True, False, True, True]
    assert [row["seconds"] == "" for row in table] == [False, True, False, True, True]
    assert all(row["undeformed/standard/dsc"] == "100" for row in table)
    evaluate(request)
    assert fragile.calls == 8  # the three
    assert (request.output / "fields").is_dir()


def test_a_stopped_run_goes_on(fragile, dataset_of, tmp_path, monkeypatch) -> None:
    module = import_module("tools.baselines.evaluate")
    request = Request("fragile", dataset_of(*["work"] * 4), "val", tmp_path / "out", package=fragile.package)
    score, scored = module.score_example, []

    def stopping(*given: object) -> object:
        if len(scored) == 2:
            raise KeyboardInterrupt
        scored.append(given)
        return score(*given)

    monkeypatch.setattr(module, "score_example", stopping)
    with pytest.raises(KeyboardInterrupt):
        evaluate(request)
    assert fragile.calls == 3 and not (request.output / "metrics.json").exists()
    damaged = next((request.output / "fields").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:100])
    monkeypatch.setattr(module, "score_example", score)
    assert evaluate(request)["failed"] == 0
    assert fragile.calls == 5  # one was left, one damaged
    assert {path.name for path in request.output.iterdir()} == FILES


def test_fields_are_of_their_settings(fragile, dataset_of, tmp_path) -> None:
    dataset = dataset_of("work", "raise")
    for text in ("shift=1", "shift=2", "shift=2"):
        evaluate(Request("fragile", dataset, "val", tmp_path / "out", [text], package=fragile.package))
    assert fragile.calls == 5  # only the last found a field: it tried the failed pair again
    assert np.load(tmp_path / "out" / "examples.npz")["0/ddf"].max() == 2


def test_nothing_is_written_where_nothing_worked(fragile, dataset_of, tmp_path) -> None:
    with pytest.raises(InputError, match="not one of 2 pairs could be registered; the last: 1_raise: RuntimeError"):
        evaluate(Request("fragile", dataset_of("nan", "raise"), "val", tmp_path / "out", package=fragile.package))
    assert not list((tmp_path / "out").iterdir())


def test_a_limit_is_spread_over_the_split(fragile, dataset_of, tmp_path) -> None:
    dataset = dataset_of(*["work"] * 5)
    evaluate(Request("fragile", dataset, "val", tmp_path / "out", limit=3, package=fragile.package))
    assert [row["id"] for row in rows(tmp_path / "out")] == ["0_work", "2_work", "4_work"]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["pairs"] == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--override", "sigma=1"], "--override sigma=1: no such setting; this one has none"),
        (["--timeout", "0"], "--timeout 0"),
        (["--timeout", "nan"], "--timeout nan"),
        (["--split", "train"], "no pairs in split 'train'"),
    ],
)
def test_bad_options_are_one_line(dataset_of, tmp_path, options: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        main(arguments("undeformed", dataset_of("work"), tmp_path / "out", *options))
    assert not (tmp_path / "out").exists()
