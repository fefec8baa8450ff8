"""Training: MONAI's SupervisedTrainer with an objective for a loss, for one network or two."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from monai.inferers import Inferer
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..contract import check_reversible, checked
from ..data.augmentation import RandomDeformation
from ..interfaces import Deformation, Pair
from ..losses import Objective, Terms
from ..parallel import sum_gradients
from .batch import check_dimensions, pair_of
from .directions import both_directions
from .finite import check_losses, check_weights
from .phases import BOTH, DISPLACEMENT, Phase, phase_of, warm_up_of
from .precision import autocast

Loader = Iterable[dict[str, Any]]


class SingleTrainer(SupervisedTrainer):
    """Train a displacement estimator alone.

    One iteration: ``network`` sees a batch, ``objective`` judges it, ``optimizer`` steps. The terms of each
    loss are in ``state.output[0]["terms"]``, named ``displacement/<term>``.

    Args:
        device: where the network is.
        max_epochs: epochs in all, those of a resumed run included.
        train_data_loader: a ``PairLoader``.
        network: a displacement estimator.
        objective: the method.
        optimizer: of the network.
        schedulers: learning rate schedules, stepped after every epoch.
        inferer: how the network is called, MONAI's SimpleInferer unless given.
        bidirectional: also register fixed to moving, as one batch of twice the size.
        foreground: average over voxels where either image is above 0, not over the padding.
        precision: of the networks, "bfloat16" or "float32"; fields are always float32.
        accumulation_steps: batches whose gradients one step takes together.
        clip_norm: largest norm of a step's gradient; None does not clip.
        augmentation: what is done to each batch, by its number; None does nothing.
        train_handlers: MONAI and Ignite handlers.

    Raises:
        InputError: for a precision that is not known, pairs of other dimensions, a network that lacks what it must
            have or returns something else than it must, or a loss that is not finite.
    """

    def __init__(
        self,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: Loader,
        network: nn.Module,
        objective: Objective,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler] = (),
        inferer: Inferer | None = None,
        bidirectional: bool = False,
        foreground: bool = False,
        precision: str = "bfloat16",
        accumulation_steps: int = 1,
        clip_norm: float | None = None,
        augmentation: RandomDeformation | None = None,
        train_handlers: Sequence[Any] | None = None,
    ) -> None:
        check_dimensions(network, train_data_loader)
        if bidirectional:
            check_reversible(network)
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            train_data_loader=train_data_loader,
            network=network,
            optimizer=optimizer,
            loss_function=objective,
            inferer=inferer,
            decollate=False,
            accumulation_steps=accumulation_steps,
        )
        self.objective, self.schedulers = objective.to(device), list(schedulers)
        self.bidirectional, self.foreground, self.clip_norm = bidirectional, foreground, clip_norm
        self.augmentation = augmentation
        self.autocast = autocast(torch.device(device), precision)
        self.phase = DISPLACEMENT
        self.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        self.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        self._register_handlers(train_handlers or [])

    def networks(self) -> dict[str, nn.Module]:
        """Everything with learned state, by name."""
        return {"network": self.network, "objective": self.objective}

    def optimizers(self) -> dict[str, Optimizer]:
        """Every optimiser, by name."""
        return {"optimizer": self.optimizer}

    def phase_of(self, epoch: int) -> Phase:
        """Which estimators train in ``epoch``."""
        return DISPLACEMENT

    def steps(self) -> int:
        """How many steps the displacement estimator's optimiser takes in all."""
        epochs = sum(self.phase_of(epoch).displacement for epoch in range(1, self.state.max_epochs + 1))
        return epochs * -(-len(self.data_loader) // self.accumulation_steps)

    def _start_epoch(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        self.phase = self.phase_of(epoch)
        self.objective.start_epoch(epoch)
        self.data_loader.set_epoch(epoch)

    def _end_epoch(self, engine: Engine) -> None:
        check_weights(self.networks(), engine.state.epoch)
        with warnings.catch_warnings():  # the rate of an optimiser that rests in a warm-up falls all the same
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            for scheduler in self.schedulers:
                scheduler.step()

    def _iteration(self, engine: Engine, batchdata: dict[str, Any]) -> list[dict[str, Any]]:
        for network in self.networks().values():
            network.train()
        share = batchdata["count"] / batchdata["total"]  # of this process, in the batch
        if self._begins_accumulation():
            for optimizer in self.optimizers().values():
                optimizer.zero_grad(set_to_none=True)
        losses = self._losses(self._pair(batchdata))
        check_losses(losses, engine.state.epoch, self.data_loader.dataset.files(batchdata["index"]))
        self._backward(losses, share)
        terms = {f"{kind}/{name}": value.detach() for kind, loss in losses.items() for name, value in loss.items()}
        first = next(iter(losses.values()))["loss"].detach()
        return [{Keys.LOSS: first, "terms": terms, "share": share}]  # a list, as MONAI's handlers expect of an engine

    def _pair(self, batch: dict[str, Any]) -> Pair:
        pair = pair_of(batch, self.foreground)
        if self.augmentation is None:
            return pair
        return self.augmentation(pair, self.state.iteration, batch["total"])

    def _deform(self, pair: Pair) -> tuple[Pair, Deformation]:
        """The pair (twice the batch if bidirectional) and its observed deformation."""
        with self.autocast():
            deformation = checked(self.inferer(pair.moving, self.network, pair.fixed), self.network, pair.fixed)
            if self.bidirectional:
                backward = self.network.reverse(pair.moving, pair.fixed, deformation)
                checked(backward, self.network, pair.moving)
                pair, deformation = both_directions(pair, deformation, backward)
        return pair, self.objective.observe(pair, deformation)

    def _losses(self, pair: Pair) -> dict[str, Terms]:
        """The losses to minimise, by the estimator that they train."""
        return {"displacement": self.objective.displacement_loss(*self._deform(pair))}

    def _backward(self, losses: dict[str, Terms], share: float) -> None:
        total = sum(terms["loss"] for terms in losses.values())
        if total.requires_grad:  # a phase may be that of what is frozen
            (total * (share / self._accumulated())).backward()
        if self._ends_accumulation():
            self._step([self.optimizer])

    def _step(self, optimizers: list[Optimizer]) -> None:
        for optimizer in optimizers:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            sum_gradients(parameters)
            if self.clip_norm is not None:
                nn.utils.clip_grad_norm_(parameters, self.clip_norm)
            optimizer.step()

    def _accumulated(self) -> int:
        """How many batches the step of this iteration takes together: fewer at the end of an epoch."""
        first = self._iteration_of_epoch() // self.accumulation_steps * self.accumulation_steps
        return min(self.accumulation_steps, self.state.epoch_length - first)

    def _begins_accumulation(self) -> bool:
        return self._iteration_of_epoch() % self.accumulation_steps == 0

    def _ends_accumulation(self) -> bool:
        done = self._iteration_of_epoch() + 1
        return done % self.accumulation_steps == 0 or done == self.state.epoch_length

    def _iteration_of_epoch(self) -> int:
        return (self.state.iteration - 1) % self.state.epoch_length


class JointTrainer(SingleTrainer):
    """Train a displacement estimator and its companion by one loss and one optimiser.

    Args:
        companion: the second network; ``optimizer`` holds its parameters too.
        **kwargs: as of ``SingleTrainer``.
    """

    def __init__(self, companion: nn.Module, **kwargs: Any) -> None:
        self.companion = companion
        super().__init__(**kwargs)

    def networks(self) -> dict[str, nn.Module]:
        """Everything with learned state, by name."""
        return {**super().networks(), "companion": self.companion}

    def phase_of(self, epoch: int) -> Phase:
        """Both estimators train in every epoch."""
        return BOTH

    def _losses(self, pair: Pair) -> dict[str, Terms]:
        pair, deformation = self._deform(pair)
        return {"displacement": self.objective.displacement_loss(pair, deformation, self._map(pair, deformation))}

    def _map(self, pair: Pair, deformation: Deformation) -> Tensor:
        with self.autocast():
            return self.companion(*self.objective.companion_inputs(pair, deformation))


class AlternatingTrainer(JointTrainer):
    """Train a displacement estimator and its companion by a loss and an optimiser each (adacs, Algorithm 1).

    In an iteration that trains both, both losses are taken at the same deformation and the same map: each
    network is evaluated once, where Algorithm 1 evaluates it twice, for a difference of one small step.

    Args:
        companion_optimizer: of the companion; ``optimizer`` is the displacement estimator's alone.
        warm_up: epochs of displacement only, then of companion only, before both train.
        **kwargs: as of ``SingleTrainer`` and ``JointTrainer``.
    """

    def __init__(self, companion_optimizer: Optimizer, warm_up: Sequence[int] = (0, 0), **kwargs: Any) -> None:
        self.companion_optimizer, self.warm_up = companion_optimizer, warm_up_of(warm_up)
        super().__init__(**kwargs)

    def optimizers(self) -> dict[str, Optimizer]:
        """Every optimiser, by name."""
        return {**super().optimizers(), "companion_optimizer": self.companion_optimizer}

    def phase_of(self, epoch: int) -> Phase:
        """Warm-up of the one, then of the other, then both."""
        return phase_of(epoch, self.warm_up)

    def _losses(self, pair: Pair) -> dict[str, Terms]:
        with torch.set_grad_enabled(self.phase.displacement):
            pair, deformation = self._deform(pair)
        predicted = self._map(pair, deformation) if self.phase.companion else None
        losses = {}
        if self.phase.displacement:
            losses["displacement"] = self.objective.displacement_loss(pair, deformation, predicted)
        if predicted is not None:
            losses["companion"] = self.objective.companion_loss(pair, deformation, predicted)
        return losses

    def _step(self, optimizers: list[Optimizer]) -> None:
        trained = [self.optimizer] * self.phase.displacement + [self.companion_optimizer] * self.phase.companion
        super()._step(trained)
