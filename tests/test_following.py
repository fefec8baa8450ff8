"""common.following: each frame of a cine is refined from where the frame before ended, if that is better."""

from __future__ import annotations

import pytest
import torch
from architectures import new
from torch import Tensor

from common.following import Following
from common.losses import MSEObjective
from common.networks import RegistrationNetwork
from common.refinement import Refinement

SHIFTS = (0.5, 1.5, 2.5, 3.5, 3.0, 0.0)


def blob(shift: float) -> Tensor:
    """One blob, so many voxels from the middle."""
    rows, columns = torch.meshgrid(*[torch.arange(40.0) - 20] * 2, indexing="ij")
    return torch.exp(-((rows - shift) ** 2 + columns**2) / 50)[None, None]


def cine(name: str, refinement: Refinement) -> tuple[list[Tensor], list[float]]:
    """The predictions of a blob that moves away and is back at once, and the loss after the refinement of each."""
    network, preds, losses = RegistrationNetwork(new(name, 2), refinement=refinement).eval(), [], []
    for shift in SHIFTS:
        with torch.inference_mode():
            preds.append(network(torch.cat([blob(0), blob(shift)], dim=1)))
        losses.append(refinement.report().after)
    return preds, losses


@pytest.mark.parametrize("name", ["vxm", "tsm"])
def test_it_ends_lower_than_from_the_network_alone_and_twice_at_the_same_bits(name: str) -> None:
    alone = Refinement(MSEObjective(0.001), 8)
    first, second = Following(alone), Following(alone)
    (preds, losses), (again, _) = cine(name, first), cine(name, second)
    assert all(map(torch.equal, preds, again)) and first.starts == second.starts
    assert sum(losses) < 0.9 * sum(cine(name, alone)[1])
    assert first.starts[:3] == [True, True, True] and not first.starts[-1]  # back at once: the frame before is far


def test_another_moving_image_begins_at_the_network() -> None:
    refinement = Following(Refinement(MSEObjective(0.001), 5))
    network = RegistrationNetwork(new("vxm", 2), refinement=refinement).eval()
    for shift in (1.0, 2.0):
        network(torch.cat([blob(shift), blob(0)], dim=1))
    assert refinement.starts == []
