"""common.refinement: a deformation, optimised for its pair by its method's own objective."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, images, lively, new
from monai.bundle import ConfigParser
from torch import Tensor

from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import MSEObjective, Objective
from common.networks import RegistrationNetwork, VoxelMorph
from common.refinement import Refinement
from common.spatial import flow, jacobian_determinant, warp

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
TRAINED_WITHOUT_LABELS = sorted(p.name for p in BUNDLES.iterdir() if p.name not in ("vxm_weak", "vxm_predictive"))


def blobs(shift: float = 2.0, size: tuple[int, ...] = (40, 40)) -> tuple[Tensor, Tensor]:
    """A blob, and the same moved along the first axis."""
    axes = torch.meshgrid(*(torch.arange(n).float() for n in size), indexing="ij")
    middle = [n / 2 for n in size]

    def blob(moved: float) -> Tensor:
        squares = [(x - c - (moved if axis == 0 else 0)) ** 2 for axis, (x, c) in enumerate(zip(axes, middle))]
        return torch.exp(-sum(squares) / 50)[None, None]

    return blob(shift), blob(0)


def refined(name: str, dims: int, steps: int, **settings: Any) -> tuple[Tensor, Deformation, Deformation, Refinement]:
    size = (40, 40) if dims == 2 else (20, 24, 16)
    (moving, fixed), estimator = blobs(size=size), new(name, dims).eval()
    with torch.no_grad():
        found = estimator(moving, fixed)
    refinement = Refinement(MSEObjective(0.001), steps, **settings)
    return fixed, found, refinement(moving, fixed, found, estimator, None), refinement


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_images_become_more_alike_without_folding(name: str, dims: int) -> None:
    fixed, found, better, refinement = refined(name, dims, 60)
    moving = blobs(size=tuple(fixed.shape[2:]))[0]
    before, after = ((warp(moving, each.ddf) - fixed).square().mean() for each in (found, better))
    assert after < 0.3 * before and (jacobian_determinant(better.ddf) > 0).all()
    report = refinement.report()
    assert report is not None and report.after < report.before and 1 <= report.steps <= 60
    assert refinement.report() is None


def test_a_velocity_stays_the_one_that_the_field_integrates() -> None:
    _, found, better, _ = refined("vxm", 2, 20)
    assert better.dvf is not None and found.dvf is not None and not torch.equal(better.dvf, found.dvf)
    assert torch.equal(better.ddf, flow(better.dvf, [40, 40], 7))


def test_no_steps_change_nothing_and_the_same_images_give_the_same_bits() -> None:
    _, found, same, refinement = refined("vxm", 2, 0)
    assert same is found and refinement.report() is None
    first, second = (refined("vxm", 2, 15)[2] for _ in range(2))
    assert torch.equal(first.ddf, second.ddf)


def test_pairs_of_a_batch_do_not_change_each_other() -> None:
    moving, fixed = (torch.cat(each) for each in zip(blobs(2.0), blobs(-1.5)))
    network = RegistrationNetwork(VoxelMorph(), refinement=Refinement(MSEObjective(0.01), 8)).eval()
    both = network(torch.cat([moving, fixed], dim=1))
    alone = torch.cat([network(torch.cat([m, f], dim=1)) for m, f in zip(moving.split(1), fixed.split(1))])
    torch.testing.assert_close(both, alone, rtol=0, atol=2e-3)


def test_it_stops_where_the_loss_no_longer_falls() -> None:
    image = blobs()[0]
    refinement = Refinement(MSEObjective(0.01), 500)
    network = RegistrationNetwork(VoxelMorph(), refinement=refinement).eval()
    network(torch.cat([image, image], dim=1))
    report = refinement.report()
    assert report is not None and report.steps < 50


def test_it_ends_no_worse_than_it_began_however_large_its_steps() -> None:
    moving, fixed = blobs(0.02)
    refinement = Refinement(MSEObjective(0.01), 5, rate=2.0)
    with torch.no_grad():
        found = VoxelMorph().eval()(moving, fixed)
    kept = refinement(moving, fixed, found, VoxelMorph(), None)
    report = refinement.report()
    assert report is not None and report.after <= report.before and kept.ddf.abs().max() < 0.1


def test_images_that_are_no_numbers_leave_what_the_network_found() -> None:
    moving, fixed = blobs()
    with torch.no_grad():
        found = VoxelMorph().eval()(moving, fixed)
    kept = Refinement(MSEObjective(0.01), 3)(moving * float("nan"), fixed, found, VoxelMorph(), None)
    assert torch.equal(kept.ddf, found.ddf)


@pytest.mark.parametrize("name", TRAINED_WITHOUT_LABELS)
def test_every_method_refines_by_its_own_objective(name: str) -> None:
    """The loss that falls is that of training, its companion's map as it is, the companion itself untouched."""
    parser = ConfigParser(ConfigParser.load_config_files(BUNDLES / name / "configs" / "evaluate.yaml"))
    parser.update({"checkpoint": None, "refine_steps": 12, "device": "cpu"})
    network = lively(parser.get_parsed_content("network_def"))
    before = [p.clone() for p in network.parameters()]
    moving, fixed = blobs()
    with torch.inference_mode():
        network(torch.cat([moving, fixed], dim=1))
    report = network.refinement.report()
    assert report is not None and report.after < report.before
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters()))
    trained: Objective = ConfigParser(
        ConfigParser.load_config_files(BUNDLES / name / "configs" / "train.yaml")
    ).get_parsed_content("objective")
    assert type(trained) is type(network.refinement.objective)
    assert trained.smooth_weight == network.refinement.smooth_weight


@pytest.mark.parametrize("name", ["vxm_weak", "vxm_predictive"])
def test_a_method_that_learns_from_labels_refines_by_images_alone(name: str) -> None:
    parser = ConfigParser(ConfigParser.load_config_files(BUNDLES / name / "configs" / "inference.yaml"))
    parser.update({"checkpoint": None, "refine_steps": 3, "device": "cpu"})
    network = lively(parser.get_parsed_content("network_def"))
    moving, fixed = images((16, 16, 16))
    network(torch.cat([moving, fixed, torch.zeros_like(moving)], dim=1))
    assert network.refinement.report().steps == 3


def test_a_network_can_be_refined_otherwise_for_one_request() -> None:
    network = RegistrationNetwork(VoxelMorph(), refinement=Refinement(MSEObjective(0.01), 0, 0.07, smooth_weight=0.5))
    view, same = network.refining(6).eval(), network.refining()
    assert all(a is b for a, b in zip(network.parameters(), view.parameters(), strict=True))
    own, first = (vars(each.refinement) for each in (view, network))
    assert {key for key in own if own[key] != first[key]} == {"steps"}
    assert own["_reports"] is not first["_reports"] and same.refinement.steps == 0
    view(torch.cat(blobs(), dim=1))
    assert view.refinement.report() is not None and network.refinement.report() is None
    with pytest.raises(InputError, match="refine_steps"):
        network.refining(-1)
    plain = RegistrationNetwork(VoxelMorph())
    assert plain.refining().refinement is plain.refining(0).refinement is None
    with pytest.raises(InputError, match="refine_steps is 3: this network has no refinement"):
        plain.refining(3)


@pytest.mark.parametrize(("steps", "rate"), [(-1, 0.1), (1.5, 0.1), (True, 0.1), (5, 0.0)])
def test_settings_that_cannot_be_are_refused(steps: Any, rate: float) -> None:
    with pytest.raises(InputError, match="refine_"):
        Refinement(MSEObjective(), steps, rate)


def test_a_network_is_not_exported_with_refinement() -> None:
    network = RegistrationNetwork(VoxelMorph(), refinement=Refinement(MSEObjective(), 5)).eval()
    with pytest.raises(InputError, match="refine_steps is 5: a network is exported without"):
        torch.jit.script(network)


def test_the_loss_is_the_objectives_own() -> None:
    moving, fixed = blobs()
    found = VoxelMorph().eval()(moving, fixed)
    objective = MSEObjective(0.3)
    deformation = objective.observe(Pair(moving, fixed), found)
    ours = Refinement(objective, 1).loss(Pair(moving, fixed), deformation, None)
    assert torch.equal(ours, objective.displacement_loss(Pair(moving, fixed), deformation)["loss"])
