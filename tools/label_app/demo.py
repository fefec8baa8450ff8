"""A studies folder to try the server with: pairs of the phantom, and small cines made of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from common.data import prepared
from common.data.phantom import Settings, make_phantom
from common.files import write_bytes
from common.io import read_affine, read_image
from common.nifti import save_image
from common.spatial import warp

SUBJECTS = 3
FRAMES = 9


def make_studies(folder: Path, seed: int = 0) -> list[str]:
    """Write a pair of images and a cine of each of a few subjects to ``folder``, unless it is there; return the ids.

    The cine (i, j, 1, t) is the moving image under growing and falling shares of the pair's true displacement, with
    noise; its middle frame is at full contraction.
    """
    names = [f"phantom{number}" for number in range(SUBJECTS)]
    ids = [f"{name}_{kind}" for name in names for kind in ("ED", "ES", "cine")]
    if all((folder / f"{name}.nii.gz").is_file() for name in ids):
        return ids
    with tempfile.TemporaryDirectory() as root:
        dataset = make_phantom(Path(root) / "phantom", Settings(2, "mr", (SUBJECTS, 0, 0), (128, 128), seed))
        for name, pair in zip(names, dataset.splits["train"], strict=True):
            _write_subject(folder, name, {key: dataset.root / pair[key] for key in prepared.IMAGE_KEYS}
                           | {"truth": dataset.root / pair["truth"]["displacement"],
                              "label": dataset.root / pair["moving_label"]}, seed)  # fmt: skip
    return ids


def _write_subject(folder: Path, name: str, files: dict[str, Path], seed: int) -> None:
    affine, moving = read_affine(files["moving"]), read_image(files["moving"]).array
    save_image(folder / f"{name}_ED.nii.gz", moving, affine)
    save_image(folder / f"{name}_ES.nii.gz", read_image(files["fixed"]).array, affine)
    label = folder / "labels" / "final" / f"{name}_ED.nii.gz"
    write_bytes(label, files["label"].read_bytes())
    ddf = np.moveaxis(np.asarray(nib.load(files["truth"]).dataobj, dtype=np.float32)[:, :, 0], -1, 0).copy()
    save_image(folder / f"{name}_cine.nii.gz", cine_of(moving[..., 0], ddf, seed)[:, :, None], affine)


def cine_of(moving: np.ndarray, ddf: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return frames (i, j, t) of a beat: ``moving`` (i, j) under 0 to 1 to 0 times ``ddf`` (2, i, j), with noise."""
    random = np.random.default_rng(seed)
    shares = np.sin(np.linspace(0, np.pi, FRAMES)) ** 2
    image, field = torch.from_numpy(moving.astype(np.float32))[None, None], torch.from_numpy(ddf)[None]
    frames = [warp(image, field * float(share))[0, 0].numpy() for share in shares]
    noise = random.normal(0, 0.01 * np.ptp(moving), (*moving.shape, FRAMES))
    return np.stack(frames, axis=-1) + noise.astype(np.float32)
