"""VoxelMorph on volumes of thick slices: each slice is kept, moved in plane alone if so set, from weights of images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from architectures import assert_same, images, lively, saved_and_loaded

from common.errors import InputError
from common.initial import load_fitting, within_slices
from common.losses import MSEObjective
from common.networks import RegistrationNetwork, VoxelMorph
from common.networks.unet import UNet, activate
from common.refinement import Refinement

IN_PLANE = pytest.mark.parametrize("thick_slices", ["kept", "in_plane"])
SIZES = pytest.mark.parametrize("size", [(32, 48, 5), (17, 20, 1), (7, 33, 6)])


@IN_PLANE
@SIZES
def test_the_velocity_has_every_slice(size: tuple[int, ...], thick_slices: str) -> None:
    for variant in ("published", "fast"):
        network = lively(VoxelMorph(3, variant=variant, thick_slices=thick_slices))
        moving, fixed = images(size)
        found = network(moving, fixed)
        assert found.ddf.shape == (len(fixed), 3, *size) and found.strides == (2, 2, 1)
        assert found.dvf.shape[2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2, size[2])
        assert (found.ddf[:, 2].abs().max() > 0) == (thick_slices == "kept" and size[2] > 1)
        back = network.reverse(moving, fixed, found)
        assert torch.equal(back.dvf, -found.dvf) and back.strides == found.strides


def test_features_equal_those_with_upsampling() -> None:
    torch.manual_seed(0)
    network, image = UNet(3, anisotropic=True), torch.rand(1, 2, 32, 16, 5)
    skips, x = [], image
    for convolution in network.encoder:
        skips.append(activate(convolution(x)))
        x = F.max_pool3d(skips[-1], (2, 2, 1))
    for convolution in network.decoder:
        x = F.interpolate(activate(convolution(x)), scale_factor=(2.0, 2.0, 1.0), mode="nearest")
        x = torch.cat([x, skips.pop()], dim=1)
    for convolution in network.final:
        x = activate(convolution(x))
    assert torch.allclose(network(image), x, atol=1e-5 * x.abs().max().item())


@IN_PLANE
@pytest.mark.parametrize("cascades", [1, 3])
def test_weights_of_images_register_each_slice_as_an_image(tmp_path: Path, thick_slices: str, cascades: int) -> None:
    flat = RegistrationNetwork(lively(VoxelMorph(2, variant="fast")), cascades=cascades).eval()
    torch.save(flat.state_dict(), tmp_path / "model.pt")
    deep = RegistrationNetwork(VoxelMorph(3, variant="fast", thick_slices=thick_slices), cascades=cascades).eval()
    loaded, inflated = load_fitting(deep, tmp_path / "model.pt", "it")
    tensors = len(deep.state_dict())
    assert loaded.startswith(f"init it: {tensors} of {tensors} tensors loaded")
    assert "of images, which act within slices: estimator.backbone.encoder.0.weight" in inflated
    pair = torch.cat(images((32, 48, 5)), dim=1)[:1]
    with torch.no_grad():
        found, wanted = deep(pair), flat(pair[0].permute(3, 0, 1, 2))
    assert wanted[:, :2].abs().max() > 0.05
    assert torch.allclose(found[0, :2].permute(3, 0, 1, 2), wanted[:, :2], atol=1e-5) and not found[:, 2].any()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ((4, 2, 3, 3), (4, 2, 5, 3, 3)),  # another kernel
        ((4, 2, 3, 3), (4, 3, 3, 3, 3)),  # other inputs
        ((4, 2, 3, 3), (5, 2, 3, 3, 3)),  # other outputs than those of a field
        ((4, 2, 3, 3), (4, 2, 3, 3)),  # of images already
        ((4,), (5,)),
        ((4, 2), (4, 2, 3, 3, 3)),
    ],
)
def test_weights_of_another_kind_are_not_taken_for_those_of_images(theirs: tuple, ours: tuple) -> None:
    assert within_slices(torch.rand(theirs), torch.Size(ours)) is None


def test_refinement_moves_nothing_through_slices_that_move_in_plane() -> None:
    moving, fixed = images((32, 24, 4))
    for cascades in (1, 2):
        estimator = lively(VoxelMorph(3, variant="fast", thick_slices="in_plane"))
        refinement = Refinement(MSEObjective(0.001), 5)
        network = RegistrationNetwork(estimator, cascades=cascades, refinement=refinement).eval()
        plain = RegistrationNetwork(estimator, cascades=cascades).eval()
        found, before = network(torch.cat([moving, fixed], 1)), plain(torch.cat([moving, fixed], 1))
        report = refinement.report()
        assert report is not None and report.after < report.before
        assert not found[:, 2].any() and not torch.equal(found[:, :2], before[:, :2])


@pytest.mark.parametrize(
    ("dims", "settings", "said"),
    [
        (2, {"thick_slices": "kept"}, "thick_slices is kept: images of two axes have no slices"),
        (3, {"thick_slices": "thin"}, "thick_slices is 'thin': it must be null, kept or in_plane"),
        (3, {"thick_slices": "in_plane", "uncertainty": "velocity"}, "take kept"),
    ],
)
def test_what_cannot_be_is_refused(dims: int, settings: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        VoxelMorph(dims, **settings)


@IN_PLANE
def test_a_script_gives_what_the_network_gives(thick_slices: str) -> None:
    estimator = VoxelMorph(3, thick_slices=thick_slices, encoder=(4, 8), decoder=(8, 8), final=(8, 4))
    network = lively(RegistrationNetwork(estimator))
    script = saved_and_loaded(torch.jit.script(network))
    for size in [(20, 16, 5), (33, 18, 2)]:
        assert_same(script, network, size, batch=2)
