"""A small data set called ACDC, weights, and evaluations that are pretended: they write what the real ones would."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from common.data.pairs import PreparedPairs
from common.engines.evaluation_scores import examples_of, score_example
from common.engines.evaluation_tables import about_evaluation, write_evaluation
from tools.compare import __main__ as program
from tools.compare import evaluate

BEFORE = 60.0


@pytest.fixture(scope="session")
def acdc(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set under a name that numbers are published for."""
    folder = tmp_path_factory.mktemp("acdc") / "dataset"
    shutil.copytree(tiny_dataset, folder)
    content = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(content | {"name": "ACDC"}))
    return folder


def weights(path: Path, dsc: float, uncertain: bool = False) -> Path:
    """Write weights which, evaluated, have a Dice of ``dsc``; -1 makes the evaluation fail."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([dsc, uncertain]))
    return path


def make_run(runs: Path, bundle: str, variant: str, seed: int, dsc: float, finished: bool = True) -> Path:
    """Write what a run leaves, its own evaluation not counted."""
    folder = runs / bundle / variant / f"seed_{seed}"
    weights(folder / "train" / "model.pt", dsc)
    if finished:
        (folder / "val").mkdir()
        (folder / "val" / "metrics.json").write_text("{}")
    return folder


def write_pretended(options: dict[str, str], bundle: str, dsc: float, uncertain: bool) -> None:
    """Write the files of an evaluation with this Dice in both protocols."""
    pairs = PreparedPairs(options["dataset_dir"], options["split"])
    still = {"ddf": np.zeros((2, 32, 32), np.float32), "warped": np.full((32, 32), 0.5, np.float32)}
    if uncertain:
        still["uncertainty"] = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    name = "log_variance" if uncertain else None
    scored = [score_example(pairs, i, still, name, (1,), 0.01) for i in range(len(pairs))]
    for number, each in enumerate(scored):
        for protocol in ("published", "standard"):
            each.row.update({f"{protocol}/dsc": dsc + number - 1.5, f"undeformed/{protocol}/dsc": BEFORE})
    ids = json.loads(options.get("examples", "[]")) or [pairs.pairs[i]["id"] for i in examples_of(2, len(pairs))]
    kept = {each.row["id"]: each.arrays for each in scored if each.row["id"] in ids}
    about = about_evaluation(pairs, bundle, (1,), options.get("checkpoint"), 1_234_567)
    rows, curves = [each.row for each in scored], [each.curve for each in scored]
    write_evaluation(Path(options["output_dir"]), rows, curves, kept, name, about)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Evaluations that only write what one would; the options of those that ran."""
    ran: list[dict[str, str]] = []

    def execute(command: Sequence[str], log) -> int:
        classical = "tools.baselines" in command
        start = command.index("tools.baselines") + 2 if classical else command.index("--config_file")
        options = {key.removeprefix("--"): each for key, each in zip(command[start::2], command[start + 1 :: 2])}
        if classical:
            options |= {"dataset_dir": options["dataset"], "output_dir": options["output"]}
            bundle, dsc, uncertain = command[start - 1], BEFORE if command[start - 1] == "undeformed" else 70.0, False
        else:
            bundle = Path(options["config_file"]).parts[-3]
            dsc, uncertain = json.loads(Path(options["checkpoint"]).read_text())
        ran.append(options | {"bundle": bundle})
        if dsc < 0:
            log.write(b"much\nerror: x.pt: weights of another network.\n")
            return 1
        write_pretended(options, bundle, dsc, uncertain)
        return 0

    monkeypatch.setattr(evaluate, "execute", execute)
    return ran


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the page's figures, which take most of the time, to the tests of the page."""
    monkeypatch.setattr(program, "render", lambda comparison: "")


@pytest.fixture
def made() -> dict:
    """The makers of weights and runs."""
    return {"weights": weights, "run": make_run, "sha": lambda path: hashlib.sha256(path.read_bytes()).hexdigest()}
