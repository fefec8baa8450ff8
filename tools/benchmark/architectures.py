"""Time a training step of TransMorph and DiffuseMorph against the nearest that MONAI's parts give, run plainly.

Plainly: float32, MONAI's Warp, losses and SupervisedTrainer, one network after the other. The peers:

- TransMorph: MONAI's ``SwinTransformer`` (SwinUNETR's encoder) of the same patch, window, channels, depths and heads,
  its last merging left out, under a decoder of SwinUNETR's ``UnetrUpBlock`` of the same channels. Skips are taken
  before a stage, not after it.
- DiffuseMorph: MONAI's ``DiffusionModelUNet`` of the same channels, on the same patches, and the very deformation
  network of ours: MONAI has none like it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from common.errors import InputError
from common.networks import DiffuseMorph, TransMorph, diffusemorph, transmorph

from .bench import Bench, measuring
from .steps import Case, loader_of, our_step, plain_step

BATCH = {"small": 8, "published": 1}  # of 128 x 128; of volumes 1
SIZES = {2: (128, 128), 3: (64, 64, 64)}


class PlainTransMorph(nn.Module):
    """TransMorph of MONAI's parts.

    Args:
        spatial_dims: 2 or 3.
        variant: "small" or "published".
    """

    def __init__(self, spatial_dims: int, variant: str) -> None:
        from monai.networks.blocks import Convolution, UnetrUpBlock, Warp
        from monai.networks.nets.swin_unetr import SwinTransformer

        super().__init__()
        size = transmorph.VARIANTS[variant]
        self.encoder = SwinTransformer(
            in_chans=2,
            embed_dim=size.embed,
            window_size=transmorph.WINDOWS[spatial_dims],
            patch_size=(transmorph.PATCH,) * spatial_dims,
            depths=size.depths,
            num_heads=size.heads,
            mlp_ratio=size.mlp_ratio,
            drop_path_rate=size.drop_path,
            spatial_dims=spatial_dims,
        )
        self.encoder.layers4[0].downsample = None
        self.pool = transmorph.AVERAGE[spatial_dims]
        act = ("leakyrelu", {"negative_slope": 0.01})
        self.skips = nn.ModuleList(Convolution(spatial_dims, 2, c, act=act) for c in (size.full, size.half))
        channels = [size.embed * 2**stage for stage in (3, 2, 1, 0)] + [size.half, size.full]
        self.decoder = nn.ModuleList(
            UnetrUpBlock(spatial_dims, i, o, kernel_size=3, upsample_kernel_size=2, norm_name="instance")
            for i, o in zip(channels, channels[1:])
        )
        self.flow = transmorph.CONV[spatial_dims](size.full, spatial_dims, kernel_size=3, padding=1)
        nn.init.normal_(self.flow.weight, std=1e-5)
        self.warp = Warp()

    def forward(self, moving: Tensor, fixed: Tensor) -> tuple[Tensor, ...]:
        """The warped image and its field."""
        images = torch.cat([moving, fixed], dim=1)
        *stages, _, x = self.encoder(images)
        full, half = self.skips
        skips = [full(images), half(self.pool(images, 2)), *stages]
        for up in self.decoder:
            x = up(x, skips.pop())
        ddf = self.flow(x)
        return self.warp(moving, ddf), ddf


class PlainDiffuseMorph(nn.Module):
    """DiffuseMorph around MONAI's diffusion model.

    Args:
        spatial_dims: 2 or 3.
        variant: "small" or "published".
    """

    def __init__(self, spatial_dims: int, variant: str) -> None:
        from monai.networks.blocks import Warp
        from monai.networks.nets import DiffusionModelUNet

        super().__init__()
        ours, size = DiffuseMorph(spatial_dims, variant), diffusemorph.SCORES[variant]
        self.spatial_dims, self.patch, self.diffusion_weight = spatial_dims, ours.score.patch, ours.diffusion_weight
        self.score = DiffusionModelUNet(
            spatial_dims,
            in_channels=3 * self.patch**spatial_dims,
            out_channels=self.patch**spatial_dims,
            num_res_blocks=1,
            channels=size["channels"],
            attention_levels=[False] * len(size["channels"]),
            norm_num_groups=size["groups"],
            num_head_channels=size["channels"][-1],
        )
        self.field, self.scheduler, self.warp = ours.field, ours.scheduler, Warp()

    def forward(self, moving: Tensor, fixed: Tensor) -> tuple[Tensor, ...]:
        """The warped image, its field and the noise loss."""
        from monai.networks.utils import pixelshuffle, pixelunshuffle

        noise, steps = torch.randn_like(fixed), torch.randint(diffusemorph.STEPS, (len(fixed),), device=fixed.device)
        images = torch.cat([moving, fixed, self.scheduler.add_noise(fixed, noise, steps)], dim=1)
        patches = pixelunshuffle(images, self.spatial_dims, self.patch)
        score = pixelshuffle(self.score(patches, steps), self.spatial_dims, self.patch)
        ddf = self.field(torch.cat([moving, score], dim=1))
        return self.warp(moving, ddf), ddf, self.diffusion_weight * nn.functional.mse_loss(score, noise)


PLAIN: dict[str, tuple[Callable[..., nn.Module], Callable[..., nn.Module], str]] = {
    "transmorph": (TransMorph, PlainTransMorph, "MONAI's SwinTransformer and UnetrUpBlocks of equal size, run plainly"),
    "diffusemorph": (
        DiffuseMorph,
        PlainDiffuseMorph,
        "MONAI's DiffusionModelUNet and our deformation network, run plainly",
    ),
}


def run(args: argparse.Namespace) -> None:
    """Time each size of each architecture and its peer."""
    if find_spec("einops") is None:
        raise InputError("benchmark architectures: MONAI's networks need einops; `pip install einops`")
    with measuring(args) as bench:
        for variant in args.variants:
            case = Case(BATCH[variant] if args.spatial_dims == 2 else 1, SIZES[args.spatial_dims], BATCH[variant])
            for name in PLAIN:
                compare(bench, name, variant, case)


def compare(bench: Bench, name: str, variant: str, case: Case) -> None:
    """How many times as fast our step is."""
    *makers, against = PLAIN[name]
    ours, plain = (make(len(case.size), variant) for make in makers)
    with tempfile.TemporaryDirectory() as folder:
        loader = loader_of(case, Path(folder), bench.device)
        batch = next(iter(loader))
        calls = {"ours": our_step(ours, loader, batch), "MONAI's parts": plain_step(plain, batch, bench.device)}
        timed = bench.time(f"{name} {variant}, {case}", calls)
    for side, network in zip(calls, (ours, plain)):
        print(f"    {side:24}{sum(p.numel() for p in network.parameters()):12,} parameters", flush=True)
    values = timed.ratios("MONAI's parts", "ours")
    bench.claim(
        f"{name}_{variant}_{case.name}", f"{ours.__class__.__name__} step, {variant}, {case.words}", against, values
    )
