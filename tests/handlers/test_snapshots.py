"""Snapshots: the learning rate of Eq. 8, a file at the end of each cycle, and none lost when a run is stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from torch import nn

from common.engines import SingleTrainer
from common.errors import InputError, input_error_in
from common.handlers import Checkpoint, Snapshots, cycle_epochs
from common.networks import EnsembleNetwork
from tools import render

Snapshotting = Callable[..., ConfigParser]
FILES = ("train.yaml", "snapshot_train.yaml")


@pytest.fixture
def config(tiny_dataset: Path, tmp_path: Path) -> Snapshotting:
    """``config(bundle, **overrides)``: train.yaml and snapshot_train.yaml of a bundle, as rendered now."""

    def read(name: str = "vxm_mse", **overrides: Any) -> ConfigParser:
        rendered = render.render(*render.combinations()[name])
        for file in FILES:
            (tmp_path / file).write_text(rendered[f"configs/{file}"])
        torch.manual_seed(0)
        parser = ConfigParser(ConfigParser.load_config_files([tmp_path / file for file in FILES]))
        fixed = {"dataset_dir": str(tiny_dataset), "output_dir": str(tmp_path / "run"), "device": "cpu", "seed": 0}
        small = {"network#encoder": [4, 8], "network#decoder": [8, 8], "network#final": [8]}
        parser.update({**fixed, "precision": "float32", "max_epochs": 4, "cycles": 2, **small, **overrides})
        return parser

    return read


def trainer_of(parser: ConfigParser) -> SingleTrainer:
    return parser.get_parsed_content("train#trainer")


def snapshots(run: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {file.name: torch.load(file, weights_only=True) for file in sorted((run / "snapshots").glob("*"))}


def same(ours: dict, theirs: dict) -> bool:
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name][key], theirs[name][key]) for name in ours for key in ours[name]
    )


@pytest.mark.parametrize(("epochs", "cycles"), [(20, 20), (40, 20), (41, 20), (30, 4), (7, 1)])
def test_the_learning_rate_is_that_of_equation_8(config: Snapshotting, epochs: int, cycles: int) -> None:
    parser = config(max_epochs=epochs, cycles=cycles)
    optimizer, scheduler = (parser.get_parsed_content(key) for key in ("optimizer", "scheduler"))
    assert isinstance(optimizer, torch.optim.SGD) and optimizer.param_groups[0]["momentum"] == 0.9
    length = math.ceil(epochs / cycles)
    for epoch in range(1, epochs + 1):
        expected = 0.1 / 2 * (math.cos(math.pi * ((epoch - 1) % length) / length) + 1)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)
        optimizer.step()
        scheduler.step()


def test_a_file_for_each_cycle_of_which_an_ensemble_can_be_made(config: Snapshotting, tmp_path: Path) -> None:
    parser, weights = config(), []
    trainer = trainer_of(parser)
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: weights.append([p.detach().clone() for p in trainer.network.parameters()])
    )
    trainer.run()
    model = parser.get_parsed_content("model")
    assert list(snapshots(tmp_path / "run")) == ["snapshot_01.pt", "snapshot_02.pt"]
    ensemble = EnsembleNetwork(model, str(tmp_path / "run" / "snapshots"))
    for state, epoch in zip(ensemble._states, (2, 4)):
        assert all(torch.equal(a, b) for a, b in zip(state.values(), weights[epoch - 1]))


@pytest.mark.parametrize("stopped", [1, 2, 3])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(config: Snapshotting, tmp_path: Path, stopped: int) -> None:
    trainer_of(config()).run()
    output = {"output_dir": str(tmp_path / "other")}
    first = trainer_of(config(**output))
    first.add_event_handler(Events.EPOCH_COMPLETED(once=stopped), first.terminate)
    first.run()
    trainer_of(config(**output)).run()
    assert same(snapshots(tmp_path / "other"), snapshots(tmp_path / "run"))


@pytest.mark.parametrize("epochs", [2, 4])
def test_a_run_that_died_before_its_snapshot_writes_it_when_it_goes_on(
    config: Snapshotting, tmp_path: Path, epochs: int
) -> None:
    trainer_of(config()).run()
    output = {"output_dir": str(tmp_path / "other")}
    first = trainer_of(config(**output))
    first.add_event_handler(Events.EPOCH_COMPLETED(once=epochs), first.terminate)
    first.run()
    (tmp_path / "other" / "snapshots" / f"snapshot_{epochs // 2:02}.pt").unlink()
    trainer_of(config(**output)).run()
    assert same(snapshots(tmp_path / "other"), snapshots(tmp_path / "run"))


@pytest.mark.parametrize(("name", "value"), [("cycles", 4), ("snapshot_learning_rate", 0.05), ("momentum", 0.5)])
def test_a_run_with_other_cycles_is_not_resumed(config: Snapshotting, name: str, value: float) -> None:
    first = trainer_of(config())
    first.add_event_handler(Events.EPOCH_COMPLETED(once=1), first.terminate)
    first.run()
    with pytest.raises(InputError, match=f"checkpoint.pt: trained with {name} .*, not {value}; give another"):
        trainer_of(config(**{name: value})).run()


@pytest.mark.parametrize("name", ["vxm_mse", "vxm_nll", "vxm_hetero", "tsm_mse", "dfm_mse"])
def test_any_bundle_can_be_trained_so(config: Snapshotting, name: str) -> None:
    parser = config(name)
    for part in ("encoder", "decoder", "final"):
        parser["network"].pop(part)
    trainer = trainer_of(parser)
    handlers = parser.get_parsed_content("train#handlers")
    assert isinstance(handlers[6], Checkpoint) and handlers[6].settings["cycles"] == 2
    assert "max_epochs" in handlers[6].settings and isinstance(handlers[-1], Snapshots)
    held = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    alternating = hasattr(trainer, "companion_optimizer")
    joint = hasattr(trainer, "companion") and not alternating
    networks = [trainer.network, trainer.companion] if joint else [trainer.network]
    assert held == {id(p) for network in networks for p in network.parameters()}
    assert isinstance(trainer.optimizer, torch.optim.SGD)
    if alternating:
        assert isinstance(trainer.companion_optimizer, torch.optim.Adam)
        assert isinstance(trainer.schedulers[1], torch.optim.lr_scheduler.PolynomialLR)


def test_a_last_cycle_that_is_cut_short_leaves_none(tmp_path: Path) -> None:
    engine = Engine(lambda engine, batch: None)
    Snapshots(tmp_path, nn.Linear(1, 1), cycle_epochs(5, 3)).attach(engine)
    engine.run([0], max_epochs=5)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["snapshot_01.pt", "snapshot_02.pt"]


def test_names_sort_as_they_were_written(tmp_path: Path) -> None:
    engine = Engine(lambda engine, batch: None)
    Snapshots(tmp_path, nn.Linear(1, 1), 1).attach(engine)
    engine.run([0], max_epochs=101)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert (names[0], names[-1], len(names)) == ("snapshot_001.pt", "snapshot_101.pt", 101)


@pytest.mark.parametrize("cycles", [5, 0, 1.5, None])
def test_other_numbers_of_cycles_are_one_line(config: Snapshotting, cycles: object) -> None:
    message = f"cycles is {cycles!r} but max_epochs is 4; give 1 to 4 cycles."
    with pytest.raises(InputError) as caught:
        cycle_epochs(4, cycles)
    assert str(caught.value) == message
    with pytest.raises(Exception) as caught:
        trainer_of(config(cycles=cycles))
    assert str(input_error_in(caught.value)) == message
