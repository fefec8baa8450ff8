"""VoxelMorph: a U-Net that predicts a velocity, integrated at half resolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import Deformation, needed
from ..sizes import larger, smaller
from ..spatial import flow, resize_field, resize_map, with_axes
from .companions import LOG_VARIANCE_RANGE
from .unet import CONV, UNet, coarser, flow_head, layers, set_bias

VARIANTS = ("published", "fast")
THICK_SLICES = ("kept", "in_plane")
FIRST_LOG_VARIANCE = -4.0  # a standard deviation of 0.14 voxels: training begins as without sampling


class VoxelMorph(nn.Module):
    """Register ``moving`` to ``fixed`` (Balakrishnan et al., 2019; Dalca et al., 2019, without its sampling).

    Args:
        spatial_dims: 2 or 3.
        diffeomorphic: predict a stationary velocity and integrate it, else a displacement.
        integration_steps: squarings of the integration.
        variant: "published", or "fast": its decoder stops at half resolution, where the velocity lies anyway.
        uncertainty: also predict a log variance, of the "displacement" (one for all components, hetero, supplement)
            or of the "velocity" (one for each, Dalca et al., 2019), which is then drawn while training.
        he_init: draw the backbone's weights as He et al. (ICCV 2015) do for its activation, as the original VoxelMorph
            does, in place of PyTorch's smaller ones.
        encoder, decoder, final: channels, see ``UNet``.
        dropout: in training, behind the encoder's last convolution, see ``UNet``.
        width: what all channels are multiplied by.
        thick_slices: of volumes whose slices, along the last axis, lie far apart: "kept" halves in plane only, so that
            the velocity has every slice, and "in_plane" also moves in plane only; None treats all axes alike.

    Raises:
        InputError: for settings that it cannot have.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        diffeomorphic: bool = True,
        integration_steps: int = 7,
        variant: str = "published",
        uncertainty: str | None = None,
        he_init: bool = False,
        encoder: tuple[int, ...] = (16, 32, 32, 32),
        decoder: tuple[int, ...] = (32, 32, 32, 32),
        final: tuple[int, ...] = (32, 16, 16),
        dropout: float = 0.0,
        width: int = 1,
        thick_slices: str | None = None,
    ) -> None:
        super().__init__()
        if uncertainty not in (None, "displacement", "velocity") or (uncertainty == "velocity" and not diffeomorphic):
            raise InputError(
                f"uncertainty is {uncertainty!r}: it must be null, displacement, or (if diffeomorphic) velocity."
            )
        if variant not in VARIANTS:
            raise InputError(f"variant is {variant!r}: VoxelMorph has {', '.join(VARIANTS)}.")
        check_thick_slices(thick_slices, spatial_dims)
        if thick_slices == "in_plane" and uncertainty == "velocity":
            raise InputError("thick_slices is in_plane: a velocity that is drawn moves along all axes; take kept.")
        self.spatial_dims, self.diffeomorphic = spatial_dims, diffeomorphic
        self.integration_steps = integration_steps
        check_width(width)
        encoder, decoder, final = (tuple(width * each for each in part) for part in (encoder, decoder, final))
        self.backbone = UNet(
            spatial_dims, 2, encoder, decoder, final, variant == "fast", dropout, thick_slices is not None
        )
        if he_init:
            self.backbone.apply(he_normal)
        self.stride, self.uncertainty = self.backbone.stride, uncertainty
        self.in_plane = thick_slices == "in_plane"
        self.flow = flow_head(spatial_dims, self.backbone.out_channels, components=spatial_dims - self.in_plane)
        if uncertainty:
            self.spread = self._spread_head(1 if uncertainty == "displacement" else spatial_dims)

    def _spread_head(self, channels: int) -> nn.Sequential:
        width = self.backbone.out_channels
        first = layers(self.spatial_dims, width, width // 2, width // 4)
        last = CONV[self.spatial_dims](width // 4, channels, kernel_size=3, padding=1)
        nn.init.normal_(last.weight, std=1e-5)
        set_bias(last, FIRST_LOG_VARIANCE)
        return nn.Sequential(*first, last)

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        """The deformation of two images (B, 1, *spatial) of any equal size; ``dvf`` is at half resolution."""
        features = self.backbone(torch.cat([moving, fixed], dim=1))
        with torch.autocast(features.device.type, enabled=False):
            exact, size = features.float(), list(fixed.shape[2:])
            field = with_axes(self.flow(exact), self.spatial_dims)
            log_variance = self.spread(exact).clamp(*LOG_VARIANCE_RANGE) if self.uncertainty else None
            if log_variance is not None and self.uncertainty == "displacement":
                log_variance = resize_map(log_variance, size)
            if not self.diffeomorphic:
                return Deformation(resize_field(field, size), log_variance=log_variance, features=features)
            # an axis of two voxels stays: on a single one no motion along it could be told
            coarse = zip(coarser(size, self.backbone.strides), size)
            dvf = resize_field(field, [larger(half, smaller(n, 2)) for half, n in coarse])
            drawn = None
            if log_variance is not None and self.uncertainty == "velocity":
                log_variance = resize_map(log_variance, list(dvf.shape[2:]))
                drawn = draw(dvf, log_variance) if self.training else None
            return self._integrated(dvf, log_variance, size, features, drawn)

    def reverse(self, moving: Tensor, fixed: Tensor, deformation: Deformation) -> Deformation:
        """The way back: the flow of the opposite velocity, or the network on the swapped pair without one.

        Where a velocity was drawn, the opposite of that draw: the way back is then the inverse of the way there.
        """
        if deformation.dvf is None:
            return self(fixed, moving)
        size, features = list(fixed.shape[2:]), needed(deformation.features, "features")
        drawn = None if deformation.drawn is None else -deformation.drawn
        return self._integrated(-deformation.dvf, deformation.log_variance, size, features, drawn)

    def _integrated(
        self,
        dvf: Tensor,
        log_variance: Tensor | None,
        size: list[int],
        features: Tensor,
        drawn: Tensor | None = None,
    ) -> Deformation:
        ddf = flow(dvf if drawn is None else drawn, size, self.integration_steps)
        return Deformation(ddf, dvf=dvf, stride=self.stride, log_variance=log_variance, features=features, drawn=drawn)


def draw(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A sample of the normal distribution of ``mean`` and ``log_variance``, with gradients to both."""
    return mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)


def check_width(width: int) -> int:
    """``width`` if channels can be multiplied by it.

    Raises:
        InputError: if they cannot.
    """
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise InputError(f"width is {width!r}: it must be a whole number from 1 on.")
    return width


def check_thick_slices(thick_slices: object, spatial_dims: int) -> None:
    """Refuse what `VoxelMorph` cannot do with slices.

    Raises:
        InputError: for another word, or images that have no slices.
    """
    if thick_slices not in (None, *THICK_SLICES):
        raise InputError(f"thick_slices is {thick_slices!r}: it must be null, {' or '.join(THICK_SLICES)}.")
    if thick_slices is not None and spatial_dims != 3:
        raise InputError(f"thick_slices is {thick_slices}: images of two axes have no slices; leave it null.")


def he_normal(module: nn.Module) -> None:
    """Draw a convolution's weights with the variance that keeps that of activations (He et al., ICCV 2015)."""
    if isinstance(module, (nn.Conv2d, nn.Conv3d)):
        nn.init.kaiming_normal_(module.weight, a=0.2)
        set_bias(module, 0.0)
