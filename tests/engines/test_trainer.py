"""One iteration, one epoch: what is computed, what is stepped, when it stops."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from torch import Tensor, nn

from common.data import PreparedPairs
from common.engines import JointTrainer, SingleTrainer
from common.engines.directions import both_directions
from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import MSEObjective, Objective, Terms
from common.losses.base import squared_residual
from common.networks import VarianceEstimator

MakeTrainer = Callable[..., SingleTrainer]
Build = Callable[..., SingleTrainer]


class JointObjective(Objective):
    """Mean squared error over a predicted variance, for one optimiser of both networks."""

    def companion_inputs(self, pair: Pair, deformation: Deformation) -> tuple[Tensor, ...]:
        return deformation.warped.detach(), pair.fixed

    def displacement_loss(self, pair: Pair, deformation: Deformation, predicted: Tensor | None = None) -> Terms:
        nll = (squared_residual(pair, deformation) * torch.exp(-predicted) + predicted).mean()
        return {"loss": nll, "nll": nll}


class Recording(MSEObjective):
    """Mean squared error that remembers what it saw, and turns into ``value`` at its ``bad``-th call."""

    def __init__(self, bad: int = 0, value: float = math.nan) -> None:
        super().__init__()
        self.bad, self.value, self.pairs, self.deformations, self.maps, self.epochs = bad, value, [], [], [], []

    def start_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def displacement_loss(self, pair: Pair, deformation: Deformation, predicted: Tensor | None = None) -> Terms:
        self.pairs.append(pair)
        self.deformations.append(deformation)
        self.maps.append(predicted)
        terms = super().displacement_loss(pair, deformation, predicted)
        bad = len(self.pairs) == self.bad
        return {**terms, "data": terms["data"] * self.value, "loss": terms["loss"] * self.value} if bad else terms


class NaNGradient(torch.autograd.Function):
    """The identity, with a gradient that is not a number."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient * math.nan


class BadGradient(MSEObjective):
    def displacement_loss(self, pair: Pair, deformation: Deformation, predicted: Tensor | None = None) -> Terms:
        terms = super().displacement_loss(pair, deformation, predicted)
        return {**terms, "loss": NaNGradient.apply(terms["loss"])}


def parameters_of(trainer: SingleTrainer) -> list[Tensor]:
    return [p.detach().clone() for p in trainer.network.parameters()]


def gradient_of(optimizer: torch.optim.Optimizer) -> Tensor:
    return torch.cat([p.grad.flatten() for group in optimizer.param_groups for p in group["params"]])


def largest_difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs))


def step_sizes(trainer: SingleTrainer) -> list[float]:
    """Train; the norm of the change of all weights in each iteration."""
    sizes, before = [], parameters_of(trainer)

    def record() -> None:
        nonlocal before
        after = parameters_of(trainer)
        sizes.append(math.sqrt(sum((a - b).square().sum().item() for a, b in zip(after, before))))
        before = after

    trainer.add_event_handler(Events.ITERATION_COMPLETED, record)
    trainer.run()
    return sizes


def test_training_lowers_the_loss_and_raises_the_dice(make_trainer: MakeTrainer) -> None:
    trainer, first = make_trainer("vxm_mse", max_epochs=8, learning_rate=0.005, augmentation=None, averaging=0), {}
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=1), lambda: first.update(trainer.state.metrics))
    trainer.run()
    last = trainer.state.metrics
    assert last["train/displacement/loss"] < 0.7 * first["train/displacement/loss"]
    assert last["val/standard/dsc"] > first["val/standard/dsc"] + 5


def test_joint_training_steps_both_networks_by_one_loss(build: Build) -> None:
    companion = VarianceEstimator()
    trainer = build(JointTrainer, JointObjective(), companion=companion)
    displacement, variance = parameters_of(trainer), [p.detach().clone() for p in companion.parameters()]
    trainer.run()
    assert trainer.phase.name == "both"
    assert largest_difference(parameters_of(trainer), displacement) > 0
    assert largest_difference(list(companion.parameters()), variance) > 0
    assert list(trainer.state.output[0]["terms"]) == ["displacement/loss", "displacement/nll"]


def test_joint_training_lowers_the_loss(build: Build) -> None:
    losses = []
    trainer = build(JointTrainer, JointObjective(), companion=VarianceEstimator(), max_epochs=8, learning_rate=0.003)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: losses.append(trainer.state.output[0]["loss"].item()))
    trainer.run()
    assert sum(losses[-3:]) < sum(losses[:3])


def test_an_objective_learns_of_every_epoch_and_gets_no_map_without_a_companion(build: Build) -> None:
    objective = Recording()
    build(objective=objective, max_epochs=2).run()
    assert objective.epochs == [1, 2]
    assert objective.maps == [None] * 6


def test_batches_accumulated_are_one_large_batch(build: Build) -> None:
    whole, parts = build(batch_size=12), build(batch_size=4, accumulation_steps=3)
    assert len(step_sizes(whole)) == 1
    sizes = step_sizes(parts)
    assert sizes[:2] == [0, 0] and sizes[2] > 0
    assert largest_difference(parameters_of(whole), parameters_of(parts)) < 1e-6


def test_batches_left_over_at_the_end_of_an_epoch_make_a_full_step(build: Build) -> None:
    gradients = []
    for steps in (1, 2):
        trainer = build(accumulation_steps=steps, learning_rate=0.0)  # at the same weights throughout
        trainer.optimizer.register_step_pre_hook(lambda optimizer, *_: gradients.append(gradient_of(optimizer)))
        trainer.run()
    first, second, third, both, left_over = gradients
    torch.testing.assert_close(both, (first + second) / 2)
    torch.testing.assert_close(left_over, third)


def test_clipping_bounds_the_step_and_leaves_small_ones_alone(build: Build) -> None:
    free, tight, loose = (step_sizes(build(clip_norm=c, learning_rate=1.0)) for c in (None, 1e-5, 1e9))
    assert max(free) > 1e-5
    assert all(size == pytest.approx(1e-5, rel=1e-2) for size in tight)
    assert loose == free


def test_the_learning_rate_follows_its_schedule(make_trainer: MakeTrainer) -> None:
    trainer, rates = make_trainer("vxm_adacs", max_epochs=3, warm_up=[1, 1], companion_learning_rate=0.01), []
    trainer.add_event_handler(
        Events.EPOCH_STARTED, lambda: rates.append([o.param_groups[0]["lr"] for o in trainer.optimizers().values()])
    )
    trainer.run()
    expected = [(1 - epoch / 3) ** 0.9 for epoch in range(3)]
    assert [r[0] for r in rates] == pytest.approx([0.001 * e for e in expected])
    assert [r[1] for r in rates] == pytest.approx([0.01 * e for e in expected])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_fields_and_losses_are_float32_whatever_the_networks_are(build: Build, precision: str) -> None:
    objective, seen = Recording(), []
    trainer = build(objective=objective, precision=precision, bidirectional=True)
    trainer.network.backbone.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    trainer.run()
    assert set(seen) == {getattr(torch, precision)}
    assert {d.ddf.dtype for d in objective.deformations} == {torch.float32}
    assert {d.warped.dtype for d in objective.deformations} == {torch.float32}
    assert trainer.state.output[0]["loss"].dtype == torch.float32


def test_the_way_back_is_exact_in_bfloat16(build: Build) -> None:
    objective = Recording()
    trainer = build(objective=objective, precision="bfloat16", bidirectional=True)
    trainer.run()
    doubled = objective.deformations[0]
    half = len(doubled.ddf) // 2
    alone = trainer.network._integrated(-doubled.dvf[:half], None, list(doubled.ddf.shape[2:]), doubled.features)
    assert torch.equal(alone.ddf, doubled.ddf[half:])


def test_an_unknown_precision_is_refused(build: Build) -> None:
    with pytest.raises(InputError, match="precision is 'float16'.*bfloat16, float32"):
        build(precision="float16")


def test_foreground_leaves_out_where_both_images_are_black(build: Build, pairs: PreparedPairs) -> None:
    objective = Recording()
    build(objective=objective, foreground=True).run()
    pair = objective.pairs[0]
    assert torch.equal(pair.mask, ((pair.moving > 0) | (pair.fixed > 0)).float())


def test_foreground_does_not_depend_on_padding(build: Build) -> None:
    trainer = build(foreground=True)
    moving, fixed = torch.rand(2, 1, 16, 16) + 0.1, torch.rand(2, 1, 16, 16) + 0.1
    padded = [torch.nn.functional.pad(image, (8, 8, 8, 8)) for image in (moving, fixed)]
    terms = []
    for images in ((moving, fixed), padded):
        pair = trainer._pair({"moving": images[0], "fixed": images[1]})
        still = Deformation(torch.zeros(2, 2, *images[0].shape[2:]))
        terms.append(trainer.objective.displacement_loss(pair, trainer.objective.observe(pair, still))["data"])
    assert terms[0].item() == pytest.approx(terms[1].item(), rel=1e-6)


def test_bidirectional_sees_each_pair_and_its_reverse(build: Build) -> None:
    objective = Recording()
    build(objective=objective, bidirectional=True).run()
    pair, deformation = objective.pairs[0], objective.deformations[0]
    assert len(pair.moving) == 8
    assert torch.equal(pair.moving[:4], pair.fixed[4:]) and torch.equal(pair.fixed[:4], pair.moving[4:])
    assert torch.equal(pair.moving_label[:4], pair.fixed_label[4:])
    assert torch.equal(deformation.dvf[:4], -deformation.dvf[4:])


def test_both_directions_keep_what_an_architecture_does_not_have_absent() -> None:
    pair = Pair(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    there, back = Deformation(torch.zeros(1, 2, 4, 4)), Deformation(torch.ones(1, 2, 4, 4))
    doubled, deformation = both_directions(pair, there, back)
    assert doubled.moving_label is None and doubled.mask is None
    assert deformation.dvf is None and deformation.drawn is None
    assert deformation.ddf.shape == (2, 2, 4, 4)


def test_both_directions_join_all_that_both_have() -> None:
    pair = Pair(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))
    fields = ("ddf", "dvf", "log_variance", "features", "drawn")
    ways = [Deformation(**{name: torch.full((1, 2, 4, 4), value) for name in fields}, stride=2) for value in (1.0, 2.0)]
    ways[0] = ways[0]._replace(auxiliary={"noise": torch.tensor(3.0)})
    _, deformation = both_directions(pair, *ways)
    for name in fields:
        assert torch.equal(getattr(deformation, name)[:, 0, 0, 0], torch.tensor([1.0, 2.0])), name
    assert deformation.stride == 2 and deformation.auxiliary == ways[0].auxiliary and deformation.warped is None


def test_a_companion_works_with_both_directions(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer("vxm_hetero", max_epochs=1, bidirectional=True, foreground=True, accumulation_steps=2)
    trainer.run()
    assert math.isfinite(trainer.state.metrics["train/companion/loss"])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_weights(build: Build, value: float) -> None:
    trainer = build(objective=Recording(bad=5, value=value), max_epochs=3)
    kept: list[list[Tensor]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: kept.append(parameters_of(trainer)))
    with pytest.raises(InputError) as caught:
        trainer.run()
    message, batch = str(caught.value), trainer.data_loader.batches()[1]
    assert f"epoch 2: displacement loss is {value} (term data)" in message and "\n" not in message
    for index in batch:
        assert f"pair{index:02d} (images/pair{index:02d}_moving.nii.gz)" in message
    assert largest_difference(parameters_of(trainer), kept[-1]) == 0 and len(kept) == 4


def test_a_gradient_that_is_not_finite_stops_before_its_weights_are_saved(build: Build, tmp_path: Path) -> None:
    saved = []
    trainer = build(objective=BadGradient(), batch_size=12)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: saved.append(1))
    with pytest.raises(InputError, match="epoch 1: network has weights that are not finite .backbone"):
        trainer.run()
    assert not saved


def test_networks_of_ones_own_train_by_every_method(build: Build) -> None:
    class Shift(nn.Module):
        """One displacement for the whole image: the least that the contract of an estimator asks for."""

        spatial_dims = 2

        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(2))

        def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
            return Deformation(self.shift[None, :, None, None].expand(len(moving), 2, *moving.shape[2:]).contiguous())

    network = Shift()
    build(network=network).run()
    assert network.shift.abs().max() > 0


class Bare(nn.Module):
    """A network that returns a field as it is."""

    spatial_dims = 2

    def __init__(self) -> None:
        super().__init__()
        self.flow = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        return self.flow(torch.cat([moving, fixed], dim=1))


def test_a_network_that_lacks_what_it_must_have_is_refused_in_one_line(build: Build) -> None:
    with pytest.raises(InputError, match=r"^Bare: its forward returns a Tensor, not a Deformation; "):
        build(network=Bare()).run()
    with pytest.raises(
        InputError, match=r"^Bare: it has no reverse\(moving, fixed, deformation\), which bidirectional"
    ):
        build(network=Bare(), bidirectional=True)
    with pytest.raises(InputError, match=r"^Conv2d: it has no spatial_dims; .*$"):
        build(network=nn.Conv2d(1, 1, 1))


def test_pairs_of_labels_reach_the_objective(build: Build, pairs: PreparedPairs) -> None:
    objective = Recording()
    build(objective=objective).run()
    assert objective.pairs[0].moving_label.dtype == torch.uint8


def test_the_same_seed_gives_the_same_weights_and_another_does_not(make_trainer: MakeTrainer) -> None:
    trainers = [make_trainer("vxm_hetero", seed=seed, max_epochs=1, resume=False) for seed in (0, 0, 1)]
    for trainer in trainers:
        torch.manual_seed(0)  # what is left to differ is the initial weights and the order
        trainer.run()
    first, again, other = (parameters_of(trainer) for trainer in trainers)
    assert largest_difference(first, again) == 0
    assert largest_difference(first, other) > 0
