"""What a run writes down: every term by name, once an epoch."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ignite.engine import Events
from monai.handlers import from_engine

from common.engines import SingleTrainer

MakeTrainer = Callable[..., SingleTrainer]
DISPLACEMENT = {"train/displacement/loss", "train/displacement/data", "train/displacement/smooth"}
VALIDATION = {"val/mse", "val/folding_percent", "val/published/dsc", "val/standard/dsc"}
ADACS = {f"train/companion/{term}" for term in ("loss", "scored", "regular", "variation", "momentum", "score")}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def filled(row: dict[str, str]) -> set[str]:
    return {name for name, value in row.items() if value}


def test_the_table_holds_the_terms_of_each_phase(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer("vxm_adacs", max_epochs=3, warm_up=[1, 1]).run()
    rows, always = rows_of(tmp_path / "run" / "log.csv"), {"epoch", "phase", "lr"}
    assert [(row["epoch"], row["phase"]) for row in rows] == [("1", "displacement"), ("2", "companion"), ("3", "both")]
    assert filled(rows[0]) == always | DISPLACEMENT | VALIDATION
    assert filled(rows[1]) == always | ADACS
    assert filled(rows[2]) == always | DISPLACEMENT | VALIDATION | ADACS
    assert all(math.isfinite(float(v)) for row in rows for k, v in row.items() if v and k != "phase")


def test_the_mean_of_an_epoch_is_the_mean_of_its_batches(make_trainer: MakeTrainer) -> None:
    trainer, losses = make_trainer("vxm_mse", max_epochs=1, batch_size=5), []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: losses.append(trainer.state.output[0]["loss"].item()))
    trainer.run()
    assert len(losses) == 3
    assert trainer.state.metrics["train/displacement/loss"] == pytest.approx(sum(losses) / 3, rel=1e-6)


def test_tensorboard_shows_the_same_numbers(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    make_trainer("vxm_adacs", max_epochs=3, warm_up=[1, 1]).run()
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    for row in rows_of(tmp_path / "run" / "log.csv"):
        for name in filled(row) - {"epoch", "phase"}:
            shown = {event.step: event.value for event in events.Scalars(name)}
            assert shown[int(row["epoch"])] == pytest.approx(float(row[name]), rel=1e-6)


def test_the_handlers_of_monai_find_the_loss(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer("vxm_mse", max_epochs=1)
    trainer.run()
    loss = from_engine(["loss"], first=True)(trainer.state.output)  # as `--tracking mlflow` reads it
    assert loss.shape == () and loss > 0


def test_nothing_is_written_before_the_first_epoch_ends(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer("vxm_mse", max_epochs=1)
    assert not (tmp_path / "run").exists()
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: written.extend((tmp_path / "run").glob("[!.]*")))
    written: list[Path] = []
    trainer.run()
    assert not written


def test_the_progress_bar_leaves_the_line_to_an_error(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    trainer = make_trainer("vxm_mse", max_epochs=2)

    @trainer.on(Events.ITERATION_COMPLETED(once=3))
    def fail() -> None:
        raise ValueError("told")

    with pytest.raises(ValueError, match="told"):
        trainer.run()
    shown = capsys.readouterr().err
    assert "epoch 2/2 displacement" in shown and "3/4" in shown
    assert shown.endswith("\n")
