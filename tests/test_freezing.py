"""What is frozen does not change by one bit, and has neither a gradient nor a state of Adam's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from common.engines import SingleTrainer
from common.errors import InputError
from common.freezing import freeze_parts
from common.networks import RegistrationNetwork, ScoringEstimator, VoxelMorph
from tools.render import recipes

MakeTrainer = Callable[..., SingleTrainer]
ENCODERS = {each["name"]: each["encoder"] for each in recipes("architectures")}
CASES = [
    *((f"{name}_mse", "encoder", [f"estimator.{encoder}."]) for name, encoder in ENCODERS.items()),
    ("vxm_adacs", "estimator", ["estimator."]),
    ("vxm_adacs", ["companion", "encoder"], ["companion.", "estimator.backbone.encoder."]),
    ("vxm_nll", "estimator", ["estimator."]),
]


@pytest.mark.parametrize(("bundle", "freeze", "frozen"), CASES)
def test_what_is_frozen_stays_and_the_rest_is_trained(
    make_trainer: MakeTrainer, tmp_path: Path, bundle: str, freeze: str | Sequence[str], frozen: Sequence[str]
) -> None:
    shared = {"max_epochs": 3, "averaging": 1, "optimizer#weight_decay": 0.1, "clip_norm": 1.0}
    warm_up = {"warm_up": [1, 1]} if bundle == "vxm_adacs" else {}
    trainer = make_trainer(bundle, freeze=freeze, **shared, **warm_up)
    networks = {"estimator": trainer.network, "companion": getattr(trainer, "companion", None)}
    before = {
        f"{part}.{key}": value.clone()
        for part, network in networks.items() if network is not None
        for key, value in network.state_dict().items()
    }  # fmt: skip
    trainer.run()
    content = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    model = torch.load(tmp_path / "run" / "model.pt", weights_only=True)
    kept = {key for key in before if key.startswith(tuple(frozen))}
    assert kept and content["settings"]["freeze"] == freeze
    for state in (content["network"], model):
        assert all(torch.equal(state[key], before[key]) for key in kept)
    assert any(not torch.equal(content["network"][key], before[key]) for key in before.keys() - kept)
    for optimizer in trainer.optimizers().values():
        for parameter in (p for group in optimizer.param_groups for p in group["params"] if not p.requires_grad):
            assert parameter.grad is None and parameter not in optimizer.state


def test_the_names_do_not_depend_on_the_cascades() -> None:
    for cascades in (1, 3):
        network = freeze_parts(RegistrationNetwork(VoxelMorph(), cascades=cascades), "encoder", "backbone.encoder")
        shares = {p.requires_grad for p in network.parameters()}
        assert shares == {True, False}


@pytest.mark.parametrize(
    ("freeze", "encoder", "message"),
    [
        (
            "decoder",
            "backbone.encoder",
            r"freeze is 'decoder': no parameter decoder\.\* in this network; there are est",
        ),
        ("encoder", "gone", r"freeze is 'encoder': no parameter estimator\.gone\.\* in this network"),
        ("encoder", None, r"freeze is 'encoder': no parameter encoder\.\* in this network"),
        ("estim", "x", r"freeze is 'estim': no parameter estim\.\*"),
        (["estimator", "estimator.flo"], "x", r"freeze is 'estimator.flo': no parameter"),
        (["estimator", "companion"], "x", r"freeze is \['estimator', 'companion'\]: that leaves nothing to train"),
    ],
)
def test_what_names_nothing_or_everything_is_one_line(
    freeze: str | list[str], encoder: str | None, message: str
) -> None:
    network = RegistrationNetwork(VoxelMorph(), ScoringEstimator(), "score")
    with pytest.raises(InputError, match=message) as caught:
        freeze_parts(network, freeze, encoder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_phase_of_what_is_frozen_does_nothing_and_says_nothing_false(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer("vxm_hetero", max_epochs=1, freeze="estimator")
    trainer.run()
    assert math.isfinite(trainer.state.metrics["train/companion/loss"])
