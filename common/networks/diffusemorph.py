"""DiffuseMorph: a diffusion model's score of the fixed image, and a network that deforms along it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.schedulers import DDPMScheduler
from monai.networks.utils import pixelunshuffle
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import Deformation
from .dropout import Dropout
from .published_field import TRANSPOSED, PublishedField
from .score_unet import ScoreUNet, coarsened, exactly
from .unet import CONV, channels_last, crop, flow_head, layers, pad_to_multiple

STEPS = 2000
LINEAR = {2: "bilinear", 3: "trilinear"}


class DiffuseMorph(nn.Module):
    """Register ``moving`` to ``fixed`` along the score of a conditional diffusion model (Kim et al., ECCV 2022).

    The score network looks at moving, fixed and a noisy fixed image and predicts the noise; the deformation network
    looks at moving and that prediction and gives the displacement, without integration.
    T = 2000 steps, beta linear from 1e-6 to 1e-2. Training draws a step per pair and its noise from torch's global
    generator; evaluation is deterministic: step 0, and the fixed image itself in place of the noisy one.

    As published, the losses of the registration train both networks, the noise loss the score network alone.

    ``published`` has the authors' layers: in 2D a score network of 15,936,129 parameters (MONAI's
    ``DiffusionModelUNet`` of the same channels has 16,490,049, for a wider embedding of the step) and a deformation
    network of 74,736,258. ``small`` is made for a CPU: nothing but images and noise has full resolution, since its
    networks work on patches (the score network of 4 voxels an axis in 2D and 2 in 3D, the deformation network of 2),
    and its field is interpolated from half resolution.

    Args:
        spatial_dims: 2 or 3.
        variant: "small" or "published".
        diffusion_weight: of the noise loss, where the data term's weight is 1. AdaCS's experiments weigh noise loss,
            data term and smoothness 1 : 20 : 1, hence 0.05 (and 0.05 for lambda).
        clean_share: of the training pairs, how many are shown as in evaluation, at step 0 and without noise or noise
            loss. As published none is, and evaluation asks of the networks what one pair in 2000 has shown them.
        dropout: in training, of the deformation network, see there.

    Raises:
        InputError: if ``spatial_dims`` is not 2 or 3, there is no such variant, or a share outside [0, 1] or a dropout
            outside [0, 1).
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        variant: str = "small",
        diffusion_weight: float = 0.05,
        clean_share: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if spatial_dims not in CONV:
            raise InputError(f"spatial_dims is {spatial_dims}: it must be 2 or 3.")
        if variant not in VARIANTS:
            raise InputError(f"variant is {variant!r}: it must be one of {', '.join(VARIANTS)}.")
        if not 0 <= clean_share <= 1:
            raise InputError(f"clean_share is {clean_share}: it must be between 0 and 1.")
        self.spatial_dims, self.diffusion_weight, self.clean_share = spatial_dims, diffusion_weight, clean_share
        score, field = VARIANTS[variant]
        self.score, self.field = score(spatial_dims), field(spatial_dims, dropout=dropout)
        self.scheduler = DDPMScheduler(STEPS, "linear_beta", beta_start=1e-6, beta_end=1e-2)
        self.divisor = max(self.score.divisor, self.field.divisor)  # both are powers of 2

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        """The deformation of two images (B, 1, *spatial) of any equal size.

        In training mode ``auxiliary`` holds the noise loss, weighted, under "diffusion".
        """
        if not self.training:
            return Deformation(self._displacement(moving, self._score(moving, fixed)))
        noise = torch.randn_like(fixed, dtype=torch.float32)
        steps = torch.randint(STEPS, (len(fixed),), device=fixed.device)
        clean = torch.rand(len(fixed), device=fixed.device) < self.clean_share
        noisy = self.scheduler.add_noise(fixed.float(), noise, steps)
        noisy = torch.where(clean.view(-1, *[1] * (fixed.dim() - 1)), fixed.float(), noisy)
        score = self._score(moving, fixed, noisy, steps.masked_fill(clean, 0))
        error = (score - noise).square().flatten(1).mean(1)  # of each pair
        diffusion = self.diffusion_weight * (error * ~clean).sum() / (~clean).sum().clamp(min=1)
        return Deformation(self._displacement(moving, score), auxiliary={"diffusion": diffusion})

    def reverse(self, moving: Tensor, fixed: Tensor, deformation: Deformation) -> Deformation:
        """The way back: the network on the swapped pair, with a noise loss of its own while training.

        `both_directions` keeps the forward pass's noise loss alone.
        """
        return self(fixed, moving)

    def path(self, moving: Tensor, fixed: Tensor, etas: Sequence[float]) -> Tensor:
        """The continuous deformation: fields (len(etas), B, D, *spatial) along ``eta * score``.

        Deterministic in either mode. 1 is the field of the registration; 0 is what the network gives without any
        score, which is near the identity only as far as training has made it so.

        Raises:
            InputError: for an eta outside [0, 1].
        """
        if wrong := [eta for eta in etas if not 0 <= eta <= 1]:
            raise InputError(f"eta is {wrong[0]}: it must be between 0 and 1.")
        score = self._score(moving, fixed)
        return torch.stack([self._displacement(moving, eta * score) for eta in etas])

    def _score(self, moving: Tensor, fixed: Tensor, noisy: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
        """The predicted noise (B, 1, *spatial), float32; step 0 of the fixed image itself unless given."""
        steps = torch.zeros_like(fixed[:, 0].flatten(1)[:, 0], dtype=torch.long) if steps is None else steps
        images = torch.cat([moving, fixed, fixed if noisy is None else noisy], dim=1)
        return crop(self.score(pad_to_multiple(images, self.divisor), steps), list(fixed.shape[2:]))

    def _displacement(self, moving: Tensor, score: Tensor) -> Tensor:
        images = torch.cat([moving.float(), score], dim=1)
        return crop(self.field(pad_to_multiple(images, self.divisor)), list(moving.shape[2:]))


class DeformationNetwork(nn.Module):
    """Map images (B, 2, *spatial), moving and score, to a displacement (B, D, *spatial) in voxels, float32.

    The published one made small: a single convolution a level, strided on the way down, transposed convolutions up
    with skips, LeakyReLU(0.2), no normalisation.

    Args:
        spatial_dims: 2 or 3.
        channels: of each level, finest first.
        patch: voxels an axis that the first level holds as channels; the field is interpolated by it.
        dropout: chance of each element behind the deepest convolution to become 0 in training.
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: tuple[int, ...] = (32, 64, 96, 128),
        patch: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.spatial_dims, self.patch = spatial_dims, patch
        self.divisor = patch * 2 ** (len(channels) - 1)
        finer = (2 * patch**spatial_dims, *channels[:-1])
        self.down = nn.ModuleList(
            layers(spatial_dims, i, o, stride=1 + bool(level)) for level, (i, o) in enumerate(zip(finer, channels))
        )
        self.dropout = Dropout(dropout)
        steps = list(zip(channels[:0:-1], channels[-2::-1]))
        self.up = nn.ModuleList(TRANSPOSED[spatial_dims](i, i, kernel_size=2, stride=2) for i, _ in steps)
        self.join = nn.ModuleList(layers(spatial_dims, i + o, o) for i, o in steps)
        self.final = layers(spatial_dims, channels[0], channels[0])
        self.flow = flow_head(spatial_dims, channels[0])

    def forward(self, images: Tensor) -> Tensor:
        """The displacement; every axis of ``images`` divides by ``divisor``."""
        x = channels_last(pixelunshuffle(images, self.spatial_dims, self.patch))
        skips: list[Tensor] = []
        for level in self.down:
            x = coarsened(level, x) if skips else level(x)
            skips.append(x)
        x = self.dropout(skips.pop())
        for up, join in zip(self.up, self.join):
            x = exactly(join, torch.cat([exactly(up, x), skips.pop()], dim=1))
        x = exactly(self.final, x)
        with torch.autocast(x.device.type, enabled=False):
            return self._enlarged(self.flow(x.float()))

    def _enlarged(self, field: Tensor) -> Tensor:
        # a patch's centre lies between its voxels: not where ``resize_field`` would put it
        return F.interpolate(
            field.contiguous(), scale_factor=float(self.patch), mode=LINEAR[self.spatial_dims], align_corners=False
        )


SCORES: dict[str, dict[str, Any]] = {
    "small": {"channels": (48, 64, 96), "groups": 8},
    "published": {"channels": (64, 128, 256, 256), "groups": 32},
}


def small_score(spatial_dims: int) -> ScoreUNet:
    """The score network of ``small``: a patch has fewer voxels (16, in 3D 8) than channels, to pass on its noise."""
    return ScoreUNet(spatial_dims, **SCORES["small"], patch={2: 4, 3: 2}[spatial_dims])


def published_score(spatial_dims: int) -> ScoreUNet:
    """The score network as published: its queries, keys and values have no bias."""
    return ScoreUNet(spatial_dims, **SCORES["published"], qkv_bias=False)


VARIANTS: dict[str, tuple[Callable[[int], ScoreUNet], type[DeformationNetwork] | type[PublishedField]]] = {
    "small": (small_score, DeformationNetwork),
    "published": (published_score, PublishedField),
}
