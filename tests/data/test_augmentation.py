"""common.data.augmentation: what moves together, what is inside, and that a batch's number decides all."""

from __future__ import annotations

import math

import pytest
import torch

from common.data.augmentation import RandomDeformation, rotations
from common.errors import InputError
from common.interfaces import Pair

SIZES = pytest.mark.parametrize("size", [(24, 30), (16, 20, 12)])


def pair_of(size: tuple[int, ...], batch: int = 2) -> Pair:
    """Blobs: the label is where the image is above a half, so that it must stay there."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in size), indexing="ij")
    blob = torch.exp(-4 * sum((axis - 0.1) ** 2 for axis in axes)).expand(batch, 1, *size)
    label = (blob > 0.5).to(torch.uint8)
    return Pair(blob, blob.clone(), label, label.clone(), torch.ones_like(blob), torch.ones_like(blob))


@SIZES
def test_no_range_is_no_change(size: tuple[int, ...]) -> None:
    pair = pair_of(size)
    same = RandomDeformation(rotation=0, scale=(1, 1), translation=0, elastic=0)(pair, 1)
    assert all(torch.allclose(a.float(), b.float(), atol=1e-5) for a, b in zip(pair, same))
    assert same.fixed_label.dtype == torch.uint8


@SIZES
@pytest.mark.parametrize("affine", ["pair", "image"])
def test_labels_and_masks_move_with_their_images(size: tuple[int, ...], affine: str) -> None:
    moved = RandomDeformation(seed=1, affine=affine)(pair_of(size), 3)
    for image, label in ((moved.moving, moved.moving_label), (moved.fixed, moved.fixed_label)):
        agree = ((image > 0.5) == (label > 0)).float().mean()
        assert agree > 0.98
    outside = moved.mask == 0
    assert moved.fixed[outside].max() < 0.6 and not torch.equal(moved.fixed, pair_of(size).fixed)


@SIZES
def test_a_pair_shares_its_affine_motion_and_images_need_not(size: tuple[int, ...]) -> None:
    pair = pair_of(size)
    shared, apart = (RandomDeformation(affine=kind, elastic=0)(pair, 5) for kind in ("pair", "image"))
    assert torch.equal(shared.moving, shared.fixed)
    assert not torch.allclose(apart.moving, apart.fixed, atol=0.05)
    assert not torch.equal(shared.fixed[0], shared.fixed[1])


def test_thick_slices_move_within_themselves() -> None:
    size = (24, 20, 6)
    numbers = (1 + torch.arange(6.0)).expand(3, 1, *size)
    ramp = (torch.arange(24.0).view(24, 1, 1) / 24).expand(3, 1, *size)
    motion = RandomDeformation(affine="in_plane")
    slices, moved = motion(Pair(numbers, numbers), 4), motion(Pair(ramp, ramp), 4)
    inside = slices.fixed > 0.9 * numbers  # not drawn in from outside
    assert inside.float().mean() > 0.6 and torch.allclose(slices.fixed[inside], numbers[inside], rtol=0.1)
    middle = slices.fixed[..., 8:16, 6:14, :]
    assert torch.allclose(middle, numbers[..., 8:16, 6:14, :], atol=1e-4)
    assert (moved.fixed - ramp).abs().mean() > 0.02
    images = [RandomDeformation(affine=kind, elastic=0)(pair_of((24, 20)), 4).fixed for kind in ("in_plane", "pair")]
    assert torch.equal(*images)  # images have but one plane


@SIZES
def test_seed_and_number_decide(size: tuple[int, ...]) -> None:
    pair = pair_of(size)
    state = torch.random.get_rng_state()
    first, again, other, seeded = (RandomDeformation(s)(pair, n) for s, n in ((0, 1), (0, 1), (0, 2), (1, 1)))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.moving, again.moving)
    assert not torch.equal(first.moving, other.moving) and not torch.equal(first.moving, seeded.moving)


@pytest.mark.parametrize("dims", [2, 3])
def test_rotations_turn_by_at_most_the_angle(dims: int) -> None:
    turns = rotations(500, dims, math.radians(30), torch.Generator().manual_seed(0))
    assert torch.allclose(turns @ turns.transpose(1, 2), torch.eye(dims).expand_as(turns), atol=1e-5)
    trace = turns.diagonal(dim1=1, dim2=2).sum(1)
    angle = torch.rad2deg(torch.arccos(((trace - dims + 2) / 2).clamp(-1, 1)))
    assert angle.max() <= 30.1 and 13 < angle.mean() < 17


def test_a_shift_is_a_share_of_the_axis_in_voxels() -> None:
    size = (40, 20)
    motion = RandomDeformation(rotation=0, scale=(1, 1), translation=0.1, elastic=0)
    ramp = torch.arange(40.0).view(1, 1, 40, 1).expand(1, 1, *size) / 40
    for number in range(20):
        moved = motion(Pair(ramp, ramp), number).moving[0, 0, 10:30, 10]
        shift = 40 * (moved - ramp[0, 0, 10:30, 10])
        assert shift.std() < 1e-4 and shift.abs().max() <= 0.1 * 39 + 1e-3


def test_scale_enlarges_by_the_factor() -> None:
    pair = pair_of((64, 64), batch=8)
    moved = RandomDeformation(rotation=0, scale=(0.5, 0.5), translation=0, elastic=0)(pair, 1)
    assert moved.fixed_label.sum() == pytest.approx(4 * pair.fixed_label.sum().item(), rel=0.1)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="augmentation is 'both': it must be null, pair, image or in_plane"):
        RandomDeformation(affine="both")
