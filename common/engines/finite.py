"""Stop before numbers that are not finite reach the files of a run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ..errors import InputError
from ..losses import Terms


def check_losses(losses: Mapping[str, Terms], epoch: int, files: str) -> None:
    """Refuse a loss that is not finite, before it reaches the weights.

    Args:
        losses: the terms of each loss, by the estimator that it trains.
        files: the pairs that it was computed on, for the message.

    Raises:
        InputError: naming epoch, terms and files.
    """
    for kind, terms in losses.items():
        if not torch.isfinite(terms["loss"]):
            bad = [name for name, value in terms.items() if not torch.isfinite(value) and name != "loss"]
            raise InputError(
                f"epoch {epoch}: {kind} loss is {terms['loss'].item()} (term {', '.join(bad) or 'loss'}) on {files}; "
                "the last good weights are kept: look at these files, or lower the learning rate."
            )


def check_weights(networks: Mapping[str, nn.Module], epoch: int) -> None:
    """Refuse weights that are not finite, before they are saved: a finite loss can have a gradient that is not.

    Raises:
        InputError: naming epoch and tensor.
    """
    for kind, network in networks.items():
        for name, value in network.state_dict().items():
            if not torch.isfinite(value).all():
                raise InputError(
                    f"epoch {epoch}: {kind} has weights that are not finite ({name}); the last good weights are kept: "
                    "lower the learning rate, or set clip_norm."
                )
