"""Validation while training: a quick figure that selects the weights to keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..data.loader import PairLoader
from ..parallel import gather_objects
from ..spatial import jacobian_determinant, warp
from .precision import autocast

# a voxel of the linearly warped label counts from here on; grid_sample's rounding leaves less than the first
THRESHOLDS = {"published": 1e-4, "standard": 0.5}


@torch.no_grad()
def quick_metrics(network: nn.Module, loader: PairLoader, precision: str = "bfloat16") -> dict[str, float]:
    """Mean squared error, folding and, with labels, the Dice of both protocols over all pairs of ``loader``.

    A whole ``RegistrationNetwork`` that carries labels along is also judged by the Dice of its own label map.

    Of several processes each looks at its share of the pairs, and all get the means over all pairs.

    Args:
        network: a displacement estimator, or a ``RegistrationNetwork`` with classes.
        loader: the pairs; its data set names the labels that are evaluated.
        precision: of the network.
    """
    rows: dict[str, list[Tensor]] = {}
    with evaluating(network):
        for batch in loader:
            with autocast(loader.device, precision)():
                ddf, segmentation = predicted(network, batch)
            for name, values in _of_batch(batch, ddf, segmentation, loader.dataset.dataset.evaluated_labels).items():
                rows.setdefault(name, []).append(values[: batch["count"]])
    everywhere = gather_objects({name: torch.cat(values).cpu() for name, values in rows.items()})
    return {name: torch.cat([each[name] for each in everywhere]).nanmean().item() for name in rows}


def predicted(network: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
    """The field, and the shares of the classes (B, C, *spatial) of a network that predicts labels."""
    if getattr(network, "num_classes", None) is None:
        return getattr(network, "estimator", network)(batch["moving"], batch["fixed"]).ddf, None
    image = torch.cat([batch["moving"], batch["fixed"], batch["moving_label"].float()], dim=1)
    pred = network(image)
    first = network.channels.index("segmentation_0")
    return pred[:, : network.spatial_dims], pred[:, first : first + network.num_classes]


def _of_batch(
    batch: dict[str, Any], ddf: Tensor, segmentation: Tensor | None, labels: tuple[int, ...]
) -> dict[str, Tensor]:
    mask = batch.get("fixed_mask")
    residual = (batch["fixed"] - warp(batch["moving"], ddf)).square()
    folding = 100 * (jacobian_determinant(ddf) <= 0).float()
    values = {"mse": masked_means(residual, mask), "folding_percent": folding.flatten(1).mean(1)}
    if segmentation is not None:
        values["label/dsc"] = label_dice(segmentation, batch["fixed_label"], mask)
    if "moving_label" in batch and labels:
        dice = warped_dice(batch["moving_label"], batch["fixed_label"], ddf, labels, mask)
        values |= {f"{protocol}/dsc": found for protocol, found in dice.items()}
    return values


def masked_means(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of each sample (B,), where ``mask`` says so."""
    if mask is None:
        return values.flatten(1).mean(1)
    return (values * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp(min=1)


def label_dice(segmentation: Tensor, fixed: Tensor, mask: Tensor | None) -> Tensor:
    """Dice in percent of each pair (B,), "label/dsc" of an evaluation: the mean over the classes that either map has.

    Args:
        segmentation: (B, C, *spatial), shares of the classes, background first.
        fixed: (B, 1, *spatial) integer map.
        mask: (B, 1, *spatial), the voxels that count; None for all.
    """
    ours = segmentation.argmax(1, keepdim=True)
    dice = [dice_percent(_within(ours == c, mask), _within(fixed == c, mask)) for c in range(1, segmentation.shape[1])]
    return torch.where(_finite(segmentation), torch.stack(dice).nanmean(0), torch.nan)


def warped_dice(
    moving: Tensor, fixed: Tensor, ddf: Tensor, labels: Sequence[int], mask: Tensor | None
) -> dict[str, Tensor]:
    """Dice in percent of each pair (B,) by each protocol, the mean over the labels that it can judge.

    They are those of an evaluation (`metrics.PROTOCOLS`) but for what `grid_sample` rounds.

    Args:
        moving, fixed: (B, 1, *spatial) integer maps.
        ddf: (B, D, *spatial) in voxels.
        labels: those that count.
        mask: (B, 1, *spatial), where the fixed image is real; None for everywhere.
    """
    dice: dict[str, list[Tensor]] = {protocol: [] for protocol in THRESHOLDS}
    for label in labels:
        source, true = moving == label, _within(fixed == label, mask)
        shares = warp(source.float(), ddf)
        for protocol, threshold in THRESHOLDS.items():
            warped = _within(shares >= threshold, mask)
            judged = _any(true) & _any(warped if protocol == "published" else source)
            dice[protocol].append(torch.where(judged, dice_percent(warped, true), torch.nan))
    return {name: torch.where(_finite(ddf), torch.stack(each).nanmean(0), torch.nan) for name, each in dice.items()}


def dice_percent(ours: Tensor, true: Tensor) -> Tensor:
    """Dice in percent of binary masks (B, 1, *spatial) of each pair (B,), NaN where both are empty: `metrics.dice`."""
    a, b = ours.flatten(1), true.flatten(1)
    return 200 * (a & b).sum(1) / (a.sum(1) + b.sum(1))


def _within(values: Tensor, mask: Tensor | None) -> Tensor:
    return values if mask is None else values & (mask > 0)


def _any(values: Tensor) -> Tensor:
    return values.flatten(1).any(1)


def _finite(values: Tensor) -> Tensor:
    return torch.isfinite(values).flatten(1).all(1)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for the length of a block."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
