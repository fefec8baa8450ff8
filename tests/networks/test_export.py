"""Networks as TorchScript, with all that methods add to an architecture: of any batch, size and device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from architectures import SIZES, assert_same, lively, saved_and_loaded
from monai.bundle import ConfigParser, ckpt_export
from torch import Tensor, nn

from common.errors import InputError
from common.interfaces import Deformation
from common.io.weights import load_weights
from common.networks import (
    DiffuseMorph,
    EnsembleNetwork,
    LabelRefiner,
    RegistrationNetwork,
    ScoringEstimator,
    VarianceEstimator,
    VoxelMorph,
)
from common.networks.tracing import EXAMPLE, example_image
from common.sizes import any_moves, larger, settled, smaller

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
PRETRAINED = sorted(path.parents[1].name for path in BUNDLES.glob("*/models/model.pt"))
SMALL = {"encoder": (4, 8, 8, 8), "decoder": (8, 8, 8, 8), "final": (8, 4, 4)}
NETWORKS = {
    "vxm_mse": lambda dims: RegistrationNetwork(VoxelMorph(dims, **SMALL)),
    "vxm_hetero": lambda dims: RegistrationNetwork(VoxelMorph(dims, **SMALL), VarianceEstimator(dims), "log_variance"),
    "vxm_hetero_disp": lambda dims: RegistrationNetwork(VoxelMorph(dims, uncertainty="displacement", **SMALL)),
    "vxm_diff": lambda dims: RegistrationNetwork(VoxelMorph(dims, uncertainty="velocity", **SMALL)),
    "vxm_weak": lambda dims: RegistrationNetwork(VoxelMorph(dims, diffeomorphic=False, **SMALL), num_classes=3),
    "vxm_predictive": lambda dims: RegistrationNetwork(
        VoxelMorph(dims, variant="fast", **SMALL),
        LabelRefiner(dims, 3, features=4),
        "label_uncertainty",
        3,
    ),
    "vxm_adacs": lambda dims: RegistrationNetwork(VoxelMorph(dims, **SMALL), ScoringEstimator(dims), "score"),
    "vxm_adacs of two": lambda dims: RegistrationNetwork(
        VoxelMorph(dims, **SMALL), ScoringEstimator(dims, inputs=2), "score"
    ),
}
FAST_3D = ("vxm_predictive",)
CASES = pytest.mark.parametrize(
    ("name", "dims"),
    [
        *[(name, 2) for name in NETWORKS],
        *[pytest.param(name, 3, marks=() if name in FAST_3D else pytest.mark.slow) for name in NETWORKS],
    ],
)


def made(name: str, dims: int) -> RegistrationNetwork:
    torch.manual_seed(0)
    return lively(NETWORKS[name](dims))


@CASES
def test_a_script_gives_what_the_network_gives_at_every_size(name: str, dims: int) -> None:
    network = made(name, dims)
    script = saved_and_loaded(torch.jit.script(network))
    for number, size in enumerate(SIZES[dims]):
        assert size != EXAMPLE[dims]
        assert_same(script, network, size, batch=(1, 3)[number % 2])


@CASES
def test_a_script_names_no_device(name: str, dims: int) -> None:
    network = made(name, dims)
    script = torch.jit.script(network)
    assert "Device = prim::Constant" not in str(script.network.inlined_graph)
    image = torch.empty(2, network.inputs, *SIZES[dims][1], device="meta")
    found = script.to("meta")(image)
    assert found.shape == (2, len(network.channels), *SIZES[dims][1]) and found.device.type == "meta"


def test_the_gradient_is_that_of_the_network() -> None:
    network, image = made("vxm_hetero", 2), torch.rand(1, 2, 20, 33, requires_grad=True)
    expected, found = (
        torch.autograd.grad(f(image)[:, -1].square().sum(), image)[0] for f in (network, torch.jit.script(network))
    )
    torch.testing.assert_close(found, expected)


def test_scripting_leaves_the_network_and_the_random_state_as_they_are() -> None:
    network = lively(RegistrationNetwork(DiffuseMorph(2), ScoringEstimator(2), "score")).train()
    random, before = torch.get_rng_state(), {key: value.clone() for key, value in network.state_dict().items()}
    script = torch.jit.script(network)
    assert network.training and all(module.training for module in network.modules())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not script.training
    assert_same(script, network.eval(), (17, 24), 2)


def test_later_training_does_not_change_a_saved_script() -> None:
    network = made("vxm_mse", 2)
    script, image = saved_and_loaded(torch.jit.script(network)), example_image(network)
    with torch.no_grad():
        before = script(image)
        network.estimator.flow.bias += 1
        assert torch.equal(script(image), before) and not torch.equal(network(image), before)


@pytest.mark.parametrize("name", ["vxm_predictive", "tsm_hetero"])
def test_monai_exports_a_bundle(name: str, tmp_path: Path) -> None:
    assert_exported(name, tmp_path / "model.ts")


@pytest.mark.slow
@pytest.mark.parametrize("name", PRETRAINED)
def test_monai_exports_every_bundle(name: str, tmp_path: Path) -> None:
    assert_exported(name, tmp_path / "model.ts")


def assert_exported(name: str, file: Path) -> None:
    config = BUNDLES / name / "configs" / "inference.yaml"
    ckpt_export(config_file=str(config), filepath=str(file), bundle_root=str(BUNDLES / name))
    network = ConfigParser(ConfigParser.load_config_file(config)).get_parsed_content("network_def")
    load_weights(network, BUNDLES / name / "models" / "model.pt").eval()
    for size in SIZES[network.spatial_dims][:2]:
        assert_same(torch.jit.load(file), network, size, 3)


class Shift(nn.Module):
    """Someone's own estimator: a field from one convolution."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.spatial_dims = dims
        self.flow = nn.Conv2d(2, 2, 3, padding=1) if dims == 2 else nn.Conv3d(2, 3, 3, padding=1)

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        return Deformation(self.flow(torch.cat([moving, fixed], dim=1)))


@pytest.mark.parametrize("dims", [2, 3])
def test_an_estimator_from_elsewhere_is_scripted_too(dims: int) -> None:
    network = lively(RegistrationNetwork(Shift(dims), VarianceEstimator(dims), "log_variance"))
    for size in SIZES[dims]:
        assert_same(torch.jit.script(network), network, size, 2)


def test_an_ensemble_is_refused_in_one_line(tmp_path: Path) -> None:
    network = made("vxm_mse", 2)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    with pytest.raises(InputError, match="export one of its members"):
        torch.jit.script(EnsembleNetwork(network, [tmp_path / "model.pt"]))


def test_sizes_are_plain_numbers_without_a_trace() -> None:
    assert (larger(3, 1), smaller(3, 1), settled(5)) == (3, 1, 5)
    assert any_moves([0, 2]) and not any_moves([0, 0])


def test_sizes_follow_the_image_in_a_trace() -> None:
    def numbers(x: Tensor) -> Tensor:
        n, m = x.shape
        assert any_moves([n * 0]) and settled(m) == 2
        return torch.stack([larger(n - 4, 1), smaller(n, 3), larger(n // 2, smaller(n, 2))])

    found = torch.jit.trace(numbers, (torch.rand(9, 2),), check_trace=False)
    for n in (1, 3, 8):
        assert found(torch.rand(n, 2)).tolist() == [max(n - 4, 1), min(n, 3), max(n // 2, min(n, 2))]
