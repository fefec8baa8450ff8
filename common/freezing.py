"""What of a network stays as it is while the rest is trained."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .errors import InputError

ENCODER = "encoder"


def freeze_parts(network: nn.Module, freeze: str | Sequence[str] | None, encoder: str | None = None) -> nn.Module:
    """Return ``network`` without gradients for the parameters that ``freeze`` names: no optimiser changes them.

    Args:
        network: a ``RegistrationNetwork``.
        freeze: "encoder", or what parameters' names begin with in a state dict, up to a dot ("estimator", "companion",
            "estimator.flow"); or several of these; None for nothing.
        encoder: where the displacement estimator has its encoder, as its architecture's recipe says.

    Raises:
        InputError: for what names nothing in the network, and where nothing would be left to train.
    """
    if freeze is None:
        return network
    # by names of the state dict, which do not depend on the number of cascades
    named = {key: p for key, p in network.state_dict(keep_vars=True).items() if isinstance(p, nn.Parameter)}
    for part in [freeze] if isinstance(freeze, str) else freeze:
        begin = f"estimator.{encoder}" if part == ENCODER and encoder else part
        found = [p for key, p in named.items() if f"{key}.".startswith(f"{begin}.")]
        if not found:
            raise InputError(f"freeze is {part!r}: no parameter {begin}.* in this network; there are {_parts(named)}.")
        for parameter in found:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in named.values()):
        raise InputError(f"freeze is {freeze!r}: that leaves nothing to train; freeze less.")
    return network


def _parts(named: dict[str, nn.Parameter]) -> str:
    """The parts of both networks, as they can be frozen."""
    return ", ".join(dict.fromkeys(".".join(key.split(".")[:2]) for key in named))
