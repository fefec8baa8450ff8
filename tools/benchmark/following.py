"""What a cine's refinement gains where each frame may begin with the frame before, on phantoms of known motion.

Every phantom is a cine from end diastole to end systole and back: its tissue goes a share of its way and back again,
and every frame has noise of its own. It is registered by the network alone, with each frame refined by itself, and
with frames that follow each other as in ``cine --refine``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from common.data.phantom import Subject, make_subject
from common.data.phantom.noise import rician
from common.errors import InputError
from common.fields import to_voxels
from common.files import write_json
from common.registration.bundle import OpenBundle, open_bundle
from common.registration.case import Case
from common.registration.outcome import Registration
from common.registration.register import register_cases
from common.spatial import warp
from tools.cine.motion import aimed, following
from tools.cine.reading import Cine

from .band import CAVITY, SIZE, WALL
from .bench import bundle_and_weights, machine, rounded

WAYS = ("network", "alone", "following")


class Beat(NamedTuple):
    """A phantom's cine, and the share of its motion (T,) that each frame has made."""

    subject: Subject
    cine: Cine
    shares: np.ndarray


def run(args: argparse.Namespace) -> None:
    """Print a line for each bundle, and write ``--output``.

    Raises:
        InputError: for fewer than three frames, and a bundle that does not register images of two axes.
    """
    if args.frames < 3:
        raise InputError(f"--frames {args.frames}: give at least 3, one of them between others")
    torch.set_num_threads(1)
    beats = [beat(args.seed, index, args.frames) for index in range(args.subjects)]
    rows = {name: row(name, beats, args.refine_steps) for name in args.bundles}
    print(
        f"endpoint error in the heart, voxels; {len(beats)} cines of {args.frames} frames, {args.refine_steps} steps:"
    )
    for name, numbers in rows.items():
        print(f"  {name:24}" + ", ".join(f"{way} {numbers[way]:.3f}" for way in WAYS))
    if args.output is not None:
        about = {"subjects": args.subjects, "frames": args.frames, "steps": args.refine_steps, "seed": args.seed}
        content = {"benchmark": "following", "machine": machine(torch.device("cpu")), "threads": 1, **about}
        write_json(args.output, rounded(content | {"rows": rows}))


def beat(seed: int, index: int, frames: int) -> Beat:
    """The cine of the phantom of this number."""
    subject, noise = make_subject("mr", SIZE, seed, index)
    shares = np.sin(np.linspace(0, np.pi, frames)) ** 2
    shown, ddf = (torch.from_numpy(np.float32(each))[None] for each in (subject.shown_moving[None], subject.ddf))
    means = [warp(shown, float(share) * ddf)[0, 0].numpy() for share in shares]
    sigma = np.zeros(SIZE) if subject.sigma is None else subject.sigma[0]
    images = np.stack([rician(noise, mean, sigma) for mean in means])[..., None]
    return Beat(subject, Cine(images, subject.grid.affine, None, Path(f"phantom {index}")), shares)


def row(name: str, beats: Sequence[Beat], steps: int) -> dict[str, Any]:
    """What a bundle, or BUNDLE=NAME with these of its weights, comes to.

    Raises:
        InputError: if it does not register images of two axes.
    """
    numbers: dict[str, Any] = {}
    for way, bundle in bundles(name, steps):
        if bundle.spatial_dims != 2:
            raise InputError(f"--bundles {name}: registers volumes; give bundles for 2D")
        errors: list[float] = []
        losses: list[float] = []
        for each in beats:
            found = register_cases(one_by_one(bundle, way), cases(each.cine), 2)
            errors += [error(each, frame, moved) for frame, moved in enumerate(found) if frame]
            losses += [moved.refined.after for moved in found[1:] if moved.refined is not None]
        numbers[way] = float(np.mean(errors))
        if losses:
            numbers[f"loss_{way}"] = float(np.mean(losses))
    return numbers


def bundles(name: str, steps: int) -> Iterator[tuple[str, OpenBundle]]:
    """The bundle in each of the three ways."""
    own, weights = bundle_and_weights(name)
    for way in WAYS:
        yield way, aimed(open_bundle(own, "cpu", refine_steps=0 if way == "network" else steps, **weights))


def one_by_one(bundle: OpenBundle, way: str) -> OpenBundle:
    """The bundle for one cine: a frame at a time, each after the one before if it is to follow."""
    return following(bundle, 1) if way == "following" else replace(bundle, batch_size=1)


def cases(cine: Cine) -> list[Case]:
    """The first frame to every frame."""
    moving = cine.image(0)
    return [Case(moving, cine.image(frame)) for frame in range(len(cine.frames))]


def error(beat: Beat, frame: int, found: Registration) -> float:
    """The mean endpoint error of a frame in the heart, voxels."""
    moved = to_voxels(found.field.vectors, beat.cine.affine)[:2, ..., 0]
    far = np.linalg.norm(moved - beat.shares[frame] * beat.subject.ddf, axis=0)
    heart = np.isin([beat.subject.moving_label, beat.subject.fixed_label], (WALL, CAVITY)).any(0)
    return float(far[heart].mean())
