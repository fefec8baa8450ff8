"""Which weights are kept, and when a run stops."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ignite.engine import Events

from common.engines import SingleTrainer
from common.errors import InputError
from common.handlers import Validation
from common.handlers.validation import score_of
from common.networks import RegistrationNetwork, VarianceEstimator, VoxelMorph

MakeTrainer = Callable[..., SingleTrainer]


def with_scores(trainer: SingleTrainer, monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> list[int]:
    """Let validation find these Dice values, one an epoch; the list of epochs whose weights are kept."""
    kept: list[int] = []
    metrics = iter([{"mse": 1.0, "standard/dsc": score} for score in scores])
    monkeypatch.setattr("common.handlers.validation.quick_metrics", lambda *_: next(metrics))
    monkeypatch.setattr("common.handlers.validation.save_weights", lambda *_: kept.append(trainer.state.epoch))
    return kept


def test_the_weights_of_the_best_epoch_are_kept(make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer("vxm_mse", max_epochs=5, keep="best")
    kept = with_scores(trainer, monkeypatch, [50, 60, 55, 60, 61])
    trainer.run()
    assert kept == [1, 2, 5]


def test_the_weights_of_the_last_validation_are_kept_unless_the_best_is_asked_for(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer("vxm_mse", max_epochs=3)
    kept = with_scores(trainer, monkeypatch, [60, 55, 50])
    trainer.run()
    assert kept == [1, 2, 3]


def test_nothing_else_can_be_kept() -> None:
    with pytest.raises(InputError, match="keep is 'first': it must be one of last, best"):
        Validation(None, None, "model.pt", keep="first")  # type: ignore[arg-type]


def test_patience_stops_a_run(make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer("vxm_mse", max_epochs=9, patience=2, keep="best")
    kept = with_scores(trainer, monkeypatch, [50, 49, 51, 51, 50, 90])
    trainer.run()
    assert trainer.state.epoch == 5 and kept == [1, 3]


def test_a_warm_up_neither_stops_a_run_nor_gives_the_weights(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer("vxm_adacs", max_epochs=9, warm_up=[3, 1], patience=1, keep="best")
    kept = with_scores(trainer, monkeypatch, [90, 80, 70, 60, 61, 60])  # no validation in the companion's epoch
    trainer.run()
    assert kept == [1, 5, 6] and trainer.state.epoch == 7


def test_the_last_epoch_is_validated_whatever_the_interval(make_trainer: MakeTrainer) -> None:
    trainer, validated = make_trainer("vxm_mse", max_epochs=5, validation_interval=2), []
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: validated.append("val/standard/dsc" in trainer.state.metrics)
    )
    trainer.run()
    assert validated == [False, True, False, True, True]


@pytest.mark.parametrize(
    ("metrics", "score"),
    [({"mse": 0.5, "standard/dsc": 70.0}, 70.0), ({"mse": 0.5}, -0.5), ({"mse": 0.5, "standard/dsc": math.nan}, -0.5)],
)
def test_pairs_without_labels_are_judged_by_their_error(metrics: dict[str, float], score: float) -> None:
    assert score_of(metrics) == score


def test_a_label_that_no_pair_has_still_leaves_a_best_epoch(
    make_trainer: MakeTrainer, tiny_dataset: Path, tmp_path: Path
) -> None:
    description = json.loads((tiny_dataset / "dataset.json").read_text()) | {"evaluated_labels": [9]}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    for folder in ("images", "labels"):
        (tmp_path / folder).symlink_to(tiny_dataset / folder)
    make_trainer("vxm_mse", max_epochs=1, dataset_dir=str(tmp_path)).run()
    assert (tmp_path / "run" / "model.pt").is_file()


def test_the_kept_weights_load_strictly_and_are_those_of_the_end(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer("vxm_hetero", max_epochs=1, averaging=0)
    trainer.run()
    network = RegistrationNetwork(VoxelMorph(), VarianceEstimator(), "log_variance")
    network.load_state_dict(torch.load(tmp_path / "run" / "model.pt", weights_only=True), strict=True)
    for ours, theirs in zip(network.estimator.parameters(), trainer.network.parameters()):
        assert torch.equal(ours, theirs)


def test_validation_leaves_the_network_in_training(make_trainer: MakeTrainer) -> None:
    trainer, modes = make_trainer("vxm_mse", max_epochs=1), []
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: modes.append(trainer.network.training))
    trainer.run()
    assert modes == [True]


def test_its_state_goes_through_a_checkpoint(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer("vxm_mse", max_epochs=2)
    handler = Validation(trainer.network, trainer.data_loader, "unused")
    handler.attach(trainer)
    state = {"phase": "both", "best": 3.0, "since_best": 2, "best_epoch": 7}
    handler.load_state_dict(state)
    assert handler.state_dict() == state
    del state["best_epoch"]  # as of version 0.3
    handler.load_state_dict(state)
    assert handler.best_epoch == 0
