"""A validation that is cheap enough for every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import nan

import torch
from torch import Tensor, nn

from ..data.pairs import PreparedPairs
from ..spatial import warp

# what grid_sample's rounding leaves on a neighbour of a mask is below this
ABOVE_ZERO = 1e-4


@torch.no_grad()
def validate(
    network: nn.Module,
    dataset: PreparedPairs,
    labels: Sequence[int] | None = None,
    device: str | torch.device = "cpu",
    batch_size: int = 32,
    autocast: Callable[[], AbstractContextManager] = nullcontext,
) -> dict[str, float]:
    """Return {"published/dsc", "standard/dsc", "mse"}, means over the pairs; Dice in percent.

    As the evaluation's, but no surface distances, and warped masks by the network's own warp. A label that the moving
    or the fixed image lacks is left out of its pair's mean, a pair that lacks all is left out; NaN if none is left,
    or without labels. ``mse`` is the mean squared difference of fixed and warped image, which needs no label.

    Args:
        network: a `RegistrationNetwork`; its mode (train or eval) is restored.
        labels: the labels that count; None is what the data set evaluates.
        batch_size: pairs at once, where they are of one size; else each goes alone.
        autocast: makes the context that the network runs in.
    """
    labels = dataset.dataset.evaluated_labels if labels is None else labels
    training = network.training
    network.eval()
    try:
        batches = _batches(dataset, torch.device(device), batch_size)
        parts = [_scores(network, batch, labels, autocast) for batch in batches]
    finally:
        network.train(training)
    return {name: _mean(torch.cat([part[name] for part in parts])) for name in parts[0]}


def _batches(dataset: PreparedPairs, device: torch.device, batch_size: int) -> Iterator[dict[str, Tensor]]:
    step = batch_size if dataset.stacked is not None else 1
    for i in range(0, len(dataset), step):
        batch = (
            {key: value[None] for key, value in dataset[i].items()}
            if dataset.stacked is None
            else {key: value[i : i + step] for key, value in dataset.stacked.items()}
        )
        yield {key: value.to(device) for key, value in batch.items()}


def _scores(
    network: nn.Module, batch: dict[str, Tensor], labels: Sequence[int], autocast: Callable[[], AbstractContextManager]
) -> dict[str, Tensor]:
    moving, fixed = batch["moving"], batch["fixed"]
    with autocast():
        pred = network(torch.cat([moving, fixed], dim=1)).float()
    mse = ((fixed - pred[:, -1:]) ** 2).flatten(1).mean(dim=1)
    if "moving_label" not in batch or not labels:
        unknown = torch.full_like(mse, nan)
        return {"published/dsc": unknown, "standard/dsc": unknown, "mse": mse}
    values = torch.tensor(list(labels), device=fixed.device).view(1, -1, *[1] * (fixed.dim() - 2))
    before, target = batch["moving_label"] == values, batch["fixed_label"] == values
    warped = warp(before.float(), pred[:, : fixed.dim() - 2])
    known = before.flatten(2).any(dim=2) & target.flatten(2).any(dim=2)
    published, standard = _dice(warped > ABOVE_ZERO, target), _dice(warped >= 0.5, target)
    # by the published protocol a mask that the field removed is left out, by the standard one it scores 0
    left = known & (warped > ABOVE_ZERO).flatten(2).any(dim=2)
    return {"published/dsc": _over_labels(published, left), "standard/dsc": _over_labels(standard, known), "mse": mse}


def _dice(one: Tensor, other: Tensor) -> Tensor:
    """Percent, (B, labels)."""
    both, sizes = (one & other).flatten(2).sum(dim=2), one.flatten(2).sum(dim=2) + other.flatten(2).sum(dim=2)
    return 200 * both / sizes.clamp(min=1)


def _over_labels(dice: Tensor, known: Tensor) -> Tensor:
    return torch.where(known, dice, nan).nanmean(dim=1)


def _mean(values: Tensor) -> float:
    return float(values.double().nanmean())
