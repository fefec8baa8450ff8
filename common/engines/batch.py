"""From a loader's batch to the pair that is registered."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..contract import dimensions
from ..data.prepared import MASK_KEYS
from ..errors import InputError
from ..interfaces import Pair


def pair_of(batch: dict[str, Any], foreground: bool = False) -> Pair:
    """The images of a batch with what labels and masks it has.

    Args:
        foreground: leave out, too, where neither image is above 0.
    """
    moving, fixed = batch["moving"], batch["fixed"]
    masks = [batch[key].float() if key in batch else None for key in MASK_KEYS]
    if foreground:
        seen = ((moving > 0) | (fixed > 0)).float()
        masks = [seen if mask is None else seen * mask for mask in masks]
    moving_mask, mask = masks
    return Pair(moving, fixed, batch.get("moving_label"), batch.get("fixed_label"), mask, moving_mask)


def check_dimensions(network: nn.Module, loader: Any) -> None:
    """Refuse to train a network on pairs of other dimensions.

    Raises:
        InputError: naming the data set, or the network that does not say its own.
    """
    dims, dataset = dimensions(network), getattr(loader, "dataset", None)
    if getattr(dataset, "spatial_dims", dims) != dims:
        raise InputError(
            f"{dataset.dataset.root}: pairs are {dataset.spatial_dims}D but the network is {dims}D; "
            f"set spatial_dims to {dataset.spatial_dims}."
        )
