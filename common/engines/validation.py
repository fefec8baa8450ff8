"""Validation while training: a quick figure that selects the weights to keep."""

from __future__ import annotations

from collections.abc import Iterator
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
    """The field, and the label map (B, 1, *spatial) of a network that gives one."""
    if getattr(network, "num_classes", None) is None:
        return getattr(network, "estimator", network)(batch["moving"], batch["fixed"]).ddf, None
    image = torch.cat([batch["moving"], batch["fixed"], batch["moving_label"].float()], dim=1)
    pred = network(image)
    first = network.channels.index("segmentation_0")
    return pred[:, : network.spatial_dims], pred[:, first : first + network.num_classes].argmax(1, keepdim=True)


def _of_batch(
    batch: dict[str, Any], ddf: Tensor, segmentation: Tensor | None, labels: tuple[int, ...]
) -> dict[str, Tensor]:
    residual = (batch["fixed"] - warp(batch["moving"], ddf)).square()
    folding = 100 * (jacobian_determinant(ddf) <= 0).float()
    values = {"mse": masked_means(residual, batch.get("fixed_mask")), "folding_percent": folding.flatten(1).mean(1)}
    if segmentation is not None:
        values["label/dsc"] = label_dice(segmentation, batch["fixed_label"], labels, batch.get("fixed_mask"))
    if "moving_label" not in batch or not labels:
        return values
    for protocol, threshold in THRESHOLDS.items():
        dice = [dice_percent(batch["moving_label"], batch["fixed_label"], ddf, label, threshold) for label in labels]
        values[f"{protocol}/dsc"] = torch.stack(dice).nanmean(0)
    return values


def masked_means(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of each sample (B,), where ``mask`` says so."""
    if mask is None:
        return values.flatten(1).mean(1)
    return (values * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp(min=1)


def label_dice(ours: Tensor, fixed: Tensor, labels: tuple[int, ...], mask: Tensor | None) -> Tensor:
    """Dice in percent of each pair (B,), the mean over the labels that the fixed map has."""
    if mask is not None:
        ours = ours * mask
    dice = []
    for label in labels:
        a, b = (ours == label).flatten(1), (fixed == label).flatten(1)
        score = 200 * (a & b).sum(1) / (a.sum(1) + b.sum(1)).clamp(min=1)
        dice.append(torch.where(b.any(1), score, torch.nan))
    return torch.stack(dice).nanmean(0)


def dice_percent(moving_label: Tensor, fixed_label: Tensor, ddf: Tensor, label: int, threshold: float) -> Tensor:
    """Dice in percent of each pair (B,), NaN where the label is missing on either side."""
    mask, fixed = (moving_label == label).float(), (fixed_label == label).flatten(1)
    warped = warp(mask, ddf).flatten(1) >= threshold
    overlap, total = (warped & fixed).sum(1), warped.sum(1) + fixed.sum(1)
    missing = (fixed.sum(1) == 0) | (mask.flatten(1).sum(1) == 0)
    return torch.where(missing, torch.nan, 200 * overlap / total.clamp(min=1))


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for the length of a block."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
