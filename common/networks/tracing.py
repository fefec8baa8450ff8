"""A network as TorchScript: a trace that serves any batch, any size and any device."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from ..contract import dimensions

EXAMPLE = {2: (24, 20), 3: (20, 24, 18)}  # voxels; all that a trace keeps of them is how many axes there are


class Traced(nn.Module):
    """What `torch.jit.script` compiles in place of a network: one tensor in, one tensor out, in evaluation mode.

    TorchScript's compiler knows only a part of Python; a trace runs the network itself once, and records it.

    Args:
        network: ``forward(image) -> pred``, with ``spatial_dims`` and ``inputs`` as of `RegistrationNetwork`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = traced(network)
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """``pred`` (B, C, *spatial) of ``image`` (B, inputs, *spatial)."""
        return self.network(image)


def traced(network: nn.Module) -> torch.jit.ScriptModule:
    """A trace of ``network``, in evaluation mode; its own mode and the random state stay as they are."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # MONAI's blocks and torch's functions check sizes: what they would refuse does not come to them
            for module in ("monai", r"torch\.nn\.functional"):
                warnings.filterwarnings("ignore", category=torch.jit.TracerWarning, module=module)
            warnings.filterwarnings("ignore", ".torch.jit", DeprecationWarning)  # said to whoever asked for a script
            return torch.jit.trace(network, example_image(network), check_trace=False)
    finally:
        network.train(training)


def example_image(network: nn.Module, batch: int = 2, size: tuple[int, ...] | None = None) -> Tensor:
    """An ``image`` (batch, inputs, *size) that ``network`` takes, on its device; the same in every call."""
    dims, device = dimensions(network), next(network.parameters()).device
    shape = (batch, getattr(network, "inputs", 2), *(size or EXAMPLE[dims]))
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    image[:, 2:] = (image[:, 2:] * (getattr(network, "num_classes", None) or 1)).floor()
    return image.to(device)
