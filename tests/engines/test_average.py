"""The average of weights: its equation, what it leaves alone, and that it is what a run saves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from torch import nn

from common.engines import SingleTrainer
from common.errors import InputError
from common.handlers import WeightAverage

BuildTrainer = Callable[..., SingleTrainer]


def averaged(build: BuildTrainer, epochs: float, max_epochs: int = 3) -> tuple[WeightAverage, list[nn.Parameter], int]:
    """An average, the head's weights after every step of the training, and the steps of an epoch."""
    trainer = build(max_epochs=max_epochs)
    average, seen = WeightAverage(trainer.network, epochs), []
    average.attach(trainer)
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: seen.append(trainer.network.flow.weight.detach().clone())
    )
    trainer.run()
    return average, seen, trainer.state.epoch_length


@pytest.mark.parametrize("epochs", [0.5, 1, 2])
def test_the_average_is_the_mean_of_all_steps_then_forgets_exponentially(build: BuildTrainer, epochs: float) -> None:
    average, seen, steps = averaged(build, epochs)
    expected = torch.zeros_like(seen[0])
    for number, weights in enumerate(seen, start=1):
        share = max(1 / number, 1 / (epochs * steps))
        expected = (1 - share) * expected + share * weights
    assert torch.allclose(average.network.flow.weight, expected, atol=1e-6)
    assert not torch.allclose(expected, seen[-1], atol=1e-6)


def test_as_long_as_its_memory_is_not_full_all_steps_count_alike(build: BuildTrainer) -> None:
    average, seen, _ = averaged(build, epochs=100)
    assert torch.allclose(average.network.flow.weight, torch.stack(seen).mean(0), atol=1e-6)


def test_averaging_does_not_touch_the_training(build: BuildTrainer) -> None:
    _, with_average, _ = averaged(build, epochs=1)
    _, without, _ = averaged(build, epochs=0)
    assert all(map(torch.equal, with_average, without))


def test_without_averaging_the_network_itself_is_kept(build: BuildTrainer) -> None:
    trainer = build()
    average = WeightAverage(trainer.network, 0)
    assert average.network is trainer.network and average.state_dict() == {}


def test_a_run_saves_and_validates_the_average(make_trainer: Callable[..., SingleTrainer], tmp_path: Path) -> None:
    runs = {}
    for averaging in (0, 1):
        trainer = make_trainer("vxm_mse", max_epochs=2, averaging=averaging, output_dir=str(tmp_path / str(averaging)))
        trainer.run()
        saved = torch.load(tmp_path / str(averaging) / "model.pt", weights_only=True)
        runs[averaging] = saved, dict(trainer.network.state_dict()), trainer.state.metrics["val/mse"]
    (last, trained, error), (mean, same, other_error) = runs.values()
    assert all(torch.equal(last[f"estimator.{name}"], weights) for name, weights in trained.items())
    assert all(torch.equal(trained[name], weights) for name, weights in same.items())
    assert not all(torch.equal(last[name], mean[name]) for name in last) and error != other_error


def test_a_memory_below_zero_is_refused() -> None:
    with pytest.raises(InputError, match=r"averaging is -1: it must be"):
        WeightAverage(nn.Linear(1, 1), -1)
