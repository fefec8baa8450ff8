"""common.spatial: displacement fields have the properties of the maps that they stand for."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

from common import spatial
from common.spatial import compose, integrate, invert, jacobian_determinant, resize_field, resize_map, warp

SIZES = pytest.mark.parametrize("size", [(33, 40), (17, 20, 24)])


def smooth_field(size: tuple[int, ...], peak: float = 2.0) -> Tensor:
    """An analytic field, zero at the border, whose channels move by at most ``peak`` voxels."""
    axes = torch.meshgrid(*[torch.linspace(0, torch.pi, n) for n in size], indexing="ij")
    bump = torch.stack(axes).sin().prod(dim=0)
    return peak * torch.stack([bump * torch.cos(axis + k) for k, axis in enumerate(axes)])[None]


def positions(size: tuple[int, ...]) -> Tensor:
    """Every voxel's place, (1, D, *size)."""
    return torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in size], indexing="ij"))[None]


@SIZES
def test_zero_field_is_the_identity(size: tuple[int, ...]) -> None:
    image = torch.rand(2, 1, *size)
    assert torch.allclose(warp(image, torch.zeros(2, len(size), *size)), image, atol=1e-5)


@SIZES
def test_one_voxel_along_an_axis_is_a_shift(size: tuple[int, ...]) -> None:
    image = torch.rand(1, 1, *size)
    for axis in range(len(size)):
        ddf = torch.zeros(1, len(size), *size)
        ddf[:, axis] = 1
        shifted = warp(image, ddf).narrow(axis + 2, 0, size[axis] - 1)
        assert torch.allclose(shifted, image.narrow(axis + 2, 1, size[axis] - 1), atol=1e-4)


def test_a_quarter_turn_reads_the_image_at_the_turned_places() -> None:
    image = torch.rand(1, 1, 9, 9)
    here = positions((9, 9)) - 4
    there = torch.stack([-here[:, 1], here[:, 0]], dim=1)  # (i, j) -> (-j, i) about the centre
    assert torch.allclose(warp(image, there - here)[0, 0], image[0, 0].flip(0).T, atol=1e-5)
    assert warp(image, there - here)[0, 0, 4 + 3, 4 + 1] == pytest.approx(image[0, 0, 4 - 1, 4 + 3].item(), abs=1e-5)


@SIZES
def test_each_channel_is_in_voxels_of_its_own_axis(size: tuple[int, ...]) -> None:
    ddf = smooth_field(size, peak=1.5)
    ramps = positions(size)  # warping the coordinates gives x + ddf(x) wherever that is inside
    inside = ((ramps + ddf > 0) & (ramps + ddf < torch.tensor(size).view(1, -1, *[1] * len(size)) - 1)).all(dim=1)
    error = (warp(ramps, ddf) - (ramps + ddf)).abs().amax(dim=1)
    assert inside.float().mean() > 0.7
    assert error[inside].max() < 1e-4


def test_outside_is_zero_or_the_border() -> None:
    image, ddf = torch.ones(1, 1, 6, 5), torch.full((1, 2, 6, 5), 20.0)
    assert warp(image, ddf).abs().max() == 0
    assert torch.equal(warp(image, ddf, padding_mode="border"), image)


def test_nearest_keeps_labels_whole() -> None:
    labels = torch.randint(0, 4, (1, 1, 12, 9), dtype=torch.uint8)
    warped = warp(labels, 0.3 * torch.ones(1, 2, 12, 9), mode="nearest")
    assert warped.dtype == torch.uint8
    assert torch.equal(warped, labels)


@SIZES
def test_composing_is_warping_twice(size: tuple[int, ...]) -> None:
    first, then = smooth_field(size), smooth_field(size, peak=-1.0)
    image = torch.cos(0.2 * positions(size)).prod(dim=1, keepdim=True)
    both = warp(warp(image, first, padding_mode="border"), then, padding_mode="border")
    assert (warp(image, compose(first, then), padding_mode="border") - both).abs().max() < 0.02


@SIZES
def test_composing_with_the_inverse_moves_nothing(size: tuple[int, ...]) -> None:
    ddf = smooth_field(size)
    assert compose(ddf, invert(ddf)).abs().max() < 1e-3


@SIZES
def test_a_flow_and_its_reverse_cancel(size: tuple[int, ...]) -> None:
    dvf = smooth_field(size)
    assert compose(integrate(dvf), integrate(-dvf)).abs().max() < 0.05


@SIZES
def test_a_flow_never_folds(size: tuple[int, ...]) -> None:
    assert jacobian_determinant(integrate(smooth_field(size, peak=4.0))).min() > 0


@SIZES
def test_integrating_is_repeated_composition(size: tuple[int, ...]) -> None:
    ddf = smooth_field(size) / 2**5
    for _ in range(5):
        ddf = compose(ddf, ddf)
    assert torch.allclose(integrate(smooth_field(size), steps=5), ddf, atol=1e-5)


def test_a_linear_velocity_integrates_to_its_exponential() -> None:
    rate, here = -0.5, positions((21, 31)) - torch.tensor([10.0, 15.0]).view(1, 2, 1, 1)
    expected = (torch.tensor(rate).exp() - 1) * here
    assert torch.allclose(integrate(rate * here, steps=10), expected, atol=0.01)


@SIZES
def test_half_resolution_integration_agrees_with_full(size: tuple[int, ...]) -> None:
    dvf = smooth_field(size)
    half = resize_field(dvf, [(n + 1) // 2 for n in size])
    assert (resize_field(integrate(half), list(size)) - integrate(dvf)).abs().mean() < 0.05


@SIZES
def test_resizing_a_linear_field_is_exact(size: tuple[int, ...]) -> None:
    other = [2 * n - 5 for n in size]
    weights = torch.linspace(-0.2, 0.3, len(size) ** 2).view(len(size), len(size))

    def linear(shape: tuple[int, ...]) -> Tensor:
        fractions = positions(shape) / (torch.tensor(shape) - 1).view(1, -1, *[1] * len(size))
        extents = (torch.tensor(shape) - 1).view(1, -1, *[1] * len(size))
        return torch.einsum("ab,nb...->na...", weights, fractions) * extents

    assert torch.allclose(resize_field(linear(size), other), linear(tuple(other)), atol=1e-4)


def test_resizing_to_the_same_size_changes_nothing() -> None:
    field = smooth_field((10, 12))
    assert torch.equal(resize_field(field, [10, 12]), field)


@SIZES
def test_resizing_a_map_keeps_its_values(size: tuple[int, ...]) -> None:
    """A ramp over each axis stays that ramp: ends stay ends, values are not those of other voxels."""
    other = [2 * n - 5 for n in size]

    def ramps(shape: tuple[int, ...]) -> Tensor:
        return positions(shape) / (torch.tensor(shape) - 1).view(1, -1, *[1] * len(size))

    assert torch.allclose(resize_map(ramps(size), other), ramps(tuple(other)), atol=1e-5)
    assert torch.allclose(resize_map(torch.full((2, 1, *size), -3.7), other), torch.full((2, 1, *other), -3.7))
    noise = torch.rand(2, 3, *size)
    assert noise.min() <= resize_map(noise, other).min() <= resize_map(noise, other).max() <= noise.max()


def test_resizing_a_map_to_the_same_size_changes_nothing() -> None:
    image = torch.rand(1, 1, 10, 12)
    assert resize_map(image, [10, 12]) is image


def test_resizing_maps_with_axes_of_one_voxel() -> None:
    image = torch.rand(1, 1, 12, 10, 1)
    assert torch.allclose(resize_map(image, [6, 5, 1])[..., 0], resize_map(image[..., 0], [6, 5]), atol=1e-6)


def test_axes_of_one_voxel_are_finite_and_still() -> None:
    image, ddf = torch.rand(1, 1, 12, 10, 1), torch.zeros(1, 3, 12, 10, 1)
    ddf[:, 2] = 0.7
    assert torch.allclose(warp(image, ddf), image, atol=1e-5)
    assert torch.allclose(integrate(ddf[:, :]), ddf, atol=1e-5)
    assert resize_field(ddf, [6, 5, 1]).isfinite().all()
    assert invert(ddf).isfinite().all()


@pytest.mark.parametrize("rate", [-0.3, 0.0, 0.5])
def test_determinant_of_a_uniform_expansion(rate: float) -> None:
    for size in ((9, 7), (5, 6, 7)):
        determinant = jacobian_determinant(rate * positions(size))
        assert determinant.shape == (1, *[n - 1 for n in size])
        assert torch.allclose(determinant, torch.tensor((1 + rate) ** len(size)), atol=1e-5)


def test_determinant_of_a_rotation_a_shear_and_a_reflection() -> None:
    here, (cosine, sine) = positions((8, 11)), (0.8, 0.6)
    maps = {
        1.0: torch.tensor([[cosine, -sine], [sine, cosine]]),
        1.0 + 1e-9: torch.tensor([[1.0, 0.7], [0.0, 1.0]]),
        -1.0: torch.tensor([[-1.0, 0.0], [0.0, 1.0]]),
    }
    for expected, matrix in maps.items():
        ddf = torch.einsum("ab,nb...->na...", matrix, here) - here
        assert torch.allclose(jacobian_determinant(ddf), torch.tensor(expected), atol=1e-4)


def test_a_field_of_another_size_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"\[1, 2, 8, 8\].*\[1, 1, 9, 9\]"):
        warp(torch.rand(1, 1, 9, 9), torch.zeros(1, 2, 8, 8))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_does_not_move_the_image(dtype: torch.dtype) -> None:
    image = torch.rand(1, 1, 64, 64)
    assert torch.allclose(warp(image, torch.zeros(1, 2, 64, 64, dtype=dtype)), image, atol=1e-5)


@SIZES
def test_autocast_changes_nothing(size: tuple[int, ...]) -> None:
    ddf, image = smooth_field(size), torch.rand(1, 1, *size)

    def results() -> list[Tensor]:
        half = [(n + 1) // 2 for n in size]
        return [warp(image, ddf), integrate(ddf), compose(ddf, ddf), resize_field(ddf, half), jacobian_determinant(ddf)]

    expected = results()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = results()
    for ours, theirs in zip(found, expected):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, theirs)


@SIZES
def test_gradients_agree_with_finite_differences(size: tuple[int, ...]) -> None:
    dvf, image = smooth_field(size).requires_grad_(), torch.sin(0.2 * positions(size)[:, :1])
    focus = smooth_field(size)[:, :1]

    def value(field: Tensor) -> Tensor:
        return (focus * warp(image, integrate(field))).double().sum()

    direction, step = smooth_field(size, peak=1.0), 1e-2
    (gradient,) = torch.autograd.grad(value(dvf), dvf)
    with torch.no_grad():
        expected = (value(dvf + step * direction) - value(dvf - step * direction)) / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(expected.item(), rel=0.01)


@pytest.mark.parametrize(
    "name", ["warp", "integrate", "compose", "invert", "resize_field", "resize_map", "jacobian_determinant"]
)
def test_functions_compile_to_torchscript(name: str) -> None:
    function = getattr(spatial, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript's own, since PyTorch 2.13
        warnings.simplefilter("ignore", FutureWarning)
        scripted = torch.jit.script(function)
        for size in ((9, 12), (5, 8, 6)):
            ddf = smooth_field(size)
            larger = [n + 2 for n in size]
            more = {"resize_field": [larger], "resize_map": [larger], "compose": [ddf]}.get(name, [])
            inputs = [torch.rand(1, 1, *size), ddf] if name == "warp" else [ddf, *more]
            assert torch.allclose(scripted(*inputs), function(*inputs), atol=1e-6)
