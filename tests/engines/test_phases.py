"""Which estimators train in which epoch, and that only they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Events
from torch import Tensor

from common.engines import SingleTrainer
from common.engines.phases import BOTH, COMPANION, DISPLACEMENT, phase_of, warm_up_of
from common.errors import InputError

MakeTrainer = Callable[..., SingleTrainer]


def weights_of_each_epoch(trainer: SingleTrainer) -> list[dict[str, list[Tensor]]]:
    """Train; the weights of every network before the first epoch and after each."""
    history = []

    def record() -> None:
        networks = {"displacement": trainer.network, "companion": trainer.companion}
        history.append({k: [p.detach().clone() for p in n.parameters()] for k, n in networks.items()})

    trainer.add_event_handler(Events.STARTED, record)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, record)
    trainer.run()
    return history


def changed(before: list[Tensor], after: list[Tensor]) -> bool:
    return not all(torch.equal(a, b) for a, b in zip(before, after))


def test_the_schedule_is_displacement_then_companion_then_both() -> None:
    phases = [phase_of(epoch, (2, 1)) for epoch in range(1, 6)]
    assert phases == [DISPLACEMENT, DISPLACEMENT, COMPANION, BOTH, BOTH]


def test_without_warm_up_both_train_from_the_first_epoch() -> None:
    assert phase_of(1, (0, 0)) == BOTH


@pytest.mark.parametrize("setting", [3, [1], [1, 2, 3], [1, -1], [1.5, 1], "4", None, [True, 1]])
def test_a_warm_up_that_is_not_two_numbers_is_refused(setting: Any) -> None:
    with pytest.raises(InputError, match="warm_up is .* two numbers"):
        warm_up_of(setting)


@pytest.mark.parametrize("bundle", ["vxm_hetero", "vxm_adacs"])
def test_each_phase_changes_the_estimators_it_trains_and_no_other(make_trainer: MakeTrainer, bundle: str) -> None:
    trainer = make_trainer(bundle, max_epochs=3, warm_up=[1, 1])
    history = weights_of_each_epoch(trainer)
    for phase, before, after in zip((DISPLACEMENT, COMPANION, BOTH), history, history[1:]):
        assert changed(before["displacement"], after["displacement"]) == phase.displacement, phase.name
        assert changed(before["companion"], after["companion"]) == phase.companion, phase.name


@pytest.mark.parametrize("bundle", ["vxm_hetero", "vxm_adacs"])
def test_a_warm_up_of_displacement_is_training_by_mean_squared_error(make_trainer: MakeTrainer, bundle: str) -> None:
    same = {"max_epochs": 1, "smooth_weight": 0.02, "resume": False}
    warm, plain = make_trainer(bundle, warm_up=[1, 0], **same), make_trainer("vxm_mse", **same)
    warm.network.load_state_dict(plain.network.state_dict())
    warm.run()
    plain.run()
    for ours, theirs in zip(warm.network.parameters(), plain.network.parameters()):
        assert torch.equal(ours, theirs)
