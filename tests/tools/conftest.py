"""Runs that only pretend: what training and evaluation would write, without networks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tools.campaign import execution
from tools.campaign.runs import Run

Pretend = Callable[..., Run]
SUBJECTS = ("a", "a", "b", "b", "c", "c")
CHILD = """
import json, os, pathlib, sys, time
action, folder, request = sys.argv[1], pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
overrides, epochs = request["overrides"], request["overrides"].get("max_epochs", 3)
(folder.parent.parent.parent.parent / "calls.txt").open("a").write(f"{action} {folder}\\n")
(folder / "environment.json").write_text(json.dumps(dict(os.environ)))
print(f"{action} as asked", flush=True)
if action == "training":
    log = folder / "train" / "log.csv"
    log.parent.mkdir(exist_ok=True)
    begun = len(log.read_text().splitlines()) - 1 if log.exists() else 0
    rows = [f"{epoch},{70 + epoch}.5" for epoch in range(1, epochs + 1)]
    for done in range(begun + 1, epochs + 1):
        log.write_text("\\n".join(["epoch,val/published/dsc", *rows[:done]]) + "\\n")
        if overrides.get("learning_rate") == -done or (folder / "break").exists():
            sys.exit("error: nothing is to be learnt so")
    if (folder / "hang").exists():
        time.sleep(60)
else:
    val = folder / request["split"]
    val.mkdir(exist_ok=True)
    (val / "metrics.json").write_text(json.dumps(request["metrics"]))
    (val / "metrics.csv").write_text(request["table"])
"""


def dice_of(run: Run) -> float:
    """What a pretended run reaches: best at a smoothness of 0.02, half a point better with hetero."""
    smooth = abs(float(run.overrides.get("smooth_weight", 0.02)) - 0.02)
    return 80 - 50 * smooth + 0.1 * run.seed + 0.5 * ("hetero" in run.bundle)


def outcome(run: Run, dataset: str = "tiny", split: str = "val") -> dict[str, Any]:
    """The evaluation of a pretended run: the content of its files."""
    dsc = dice_of(run)
    values = {name: {"mean": dsc, "sd": 1.0, "n": 6} for name in ("dsc", "hd", "hd95", "asd")}
    protocols = {"published": values, "standard": values}
    metrics = {"dataset": dataset, "split": split, "pairs": 6, "protocols": protocols, "undeformed": protocols}
    metrics |= {"folding_percent": 0.0, "sd_log_jacobian": 0.1, "ause": None, "seconds_per_pair": 0.01}
    rows = [f"p{n},{s},{dsc + n / 7},{dsc if n else ''}" for n, s in enumerate(SUBJECTS)]
    return {"metrics": metrics, "table": "\n".join(["id,subject,published/dsc,standard/dsc", *rows]) + "\n"}


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[str]]:
    """Have commands pretend; returns those that were run so far, as ``action bundle/variant/seed``."""
    script = tmp_path / "pretend.py"
    script.write_text(CHILD)

    def command(action: str, run: Run, output: Path, dataset: Path, split: str, pairing: str = "listed") -> list[str]:
        request = json.dumps({"overrides": dict(run.overrides), "split": split, **outcome(run, split=split)})
        return [sys.executable, str(script), action, str(run.folder(output).resolve()), request]

    monkeypatch.setattr(execution, "command", command)

    def calls(output: Path) -> list[str]:
        log = output.parent / "calls.txt"
        lines = log.read_text().splitlines() if log.is_file() else []
        return [f"{line.split()[0]} {'/'.join(Path(line.split()[1]).parts[-3:])}" for line in lines]

    return lambda output=tmp_path / "runs": calls(output)


@pytest.fixture
def finished() -> Pretend:
    """``finished(bundle, output, seed, **overrides)``: a run that is over, with weights and a checkpoint."""

    def make(bundle: str, output: Path, seed: int = 0, size: int = 1, **overrides: Any) -> Run:
        run = Run(bundle, overrides, seed)
        folder, files = run.folder(output), outcome(run)
        for name in ("train", "val"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "val" / "metrics.json").write_text(json.dumps(files["metrics"]))
        (folder / "val" / "metrics.csv").write_text(files["table"])
        torch.save({"w": torch.zeros(size)}, folder / "train" / "model.pt")
        settings = {"dataset": "x", "smooth_weight": 0.02, "seed": seed} | overrides
        torch.save({"settings": settings}, folder / "train" / "checkpoint.pt")
        return run

    return make
