"""Believable evaluation folders, training runs and a prepared data set, all of the same generated pairs."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from common.data.prepared import Dataset, write
from common.nifti import save_image

METHODS = {"vxm_mse": (0.80, None), "vxm_hetero": (0.90, "log_variance"), "vxm_adacs": (0.87, "score")}
DISTANCES = {"hd": 4.6, "hd95": 3.4, "asd": 1.2}


def blob(shape: Sequence[int], rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Return smooth noise of unit spread."""
    noise = gaussian_filter(rng.standard_normal(shape), sigma)
    return noise / noise.std()


def warp(image: np.ndarray, ddf: np.ndarray, order: int = 1) -> np.ndarray:
    return map_coordinates(image, np.indices(image.shape) + ddf, order=order)


def make_pair(number: int, size: int, dims: int = 2) -> dict[str, np.ndarray]:
    """Return one pair with its truth: a ring that contracts, noise that grows along one axis, a bright blot."""
    rng = np.random.default_rng(number)
    shape = (size,) * dims
    centred = np.indices(shape) - (size - 1) / 2
    radius = np.sqrt((centred**2).sum(axis=0)) / size
    label = ((radius > 0.16) & (radius < 0.26)).astype(np.uint8)
    moving = np.clip(0.25 + 0.45 * (radius < 0.16) + 0.1 * blob(shape, rng, 2) - 0.1 * label, 0, 1) * (radius < 0.46)
    ddf = centred * 0.32 * np.exp(-((radius / 0.24) ** 2)) + 0.4 * np.stack([blob(shape, rng, 6) for _ in range(dims)])
    variance = (0.01 + 0.05 * np.linspace(0, 1, size).reshape(-1, *[1] * (dims - 1)) * np.ones(shape)) ** 2
    mask = np.sqrt(((centred - size * 0.2) ** 2).sum(axis=0)) < 0.09 * size
    fixed = np.clip(warp(moving, ddf) + np.sqrt(variance) * rng.standard_normal(shape) + 0.5 * mask, 0, 1)
    return {
        "moving": moving,
        "fixed": fixed,
        "moving_label": label,
        "fixed_label": warp(label, ddf, 0),
        "displacement": ddf,
        "variance": variance,
        "non_correspondence": mask.astype(np.uint8),
    }


def estimate(pair: dict[str, np.ndarray], quality: float, uncertainty: str | None) -> dict[str, np.ndarray]:
    """Return what a method of that quality would make of a pair."""
    rng = np.random.default_rng(1)
    shape, dims = pair["fixed"].shape, pair["fixed"].ndim
    ddf = quality * pair["displacement"] + (1 - quality) * 4 * np.stack([blob(shape, rng, 3) for _ in range(dims)])
    maps = {
        "log_variance": np.log(pair["variance"]) + 0.3 * blob(shape, rng, 3),
        "score": np.clip(
            0.92 - 0.7 * gaussian_filter(pair["non_correspondence"] * 1.0, 2) + 0.05 * blob(shape, rng, 2), 0, 1
        ),
    }
    known = {"uncertainty": maps[uncertainty]} if uncertainty else {}
    images = {key: pair[key] for key in ("moving", "fixed", "moving_label", "fixed_label")}
    return (
        images
        | {
            "warped": warp(pair["moving"], ddf),
            "warped_label": warp(pair["moving_label"], ddf, 0),
            "ddf": ddf.astype(np.float32),
        }
        | known
    )


def statistic(values: np.ndarray) -> dict[str, float | int]:
    known = values[np.isfinite(values)]
    return {"mean": float(known.mean()), "sd": float(known.std(ddof=1)), "n": len(known)}


def make_evaluation(
    folder: Path,
    bundle: str = "vxm_mse",
    pairs: int = 12,
    size: int = 32,
    dims: int = 2,
    examples: int = 1,
    truth: bool = True,
    labels: bool = True,
) -> Path:
    """Write an output folder of evaluate with believable numbers."""
    quality, uncertainty = METHODS[bundle]
    shared, own = np.random.default_rng(0), np.random.default_rng(len(bundle))
    hard, ids = shared.normal(0, 4, pairs), [f"patient{i // 4:03d}_slice{i % 4:02d}" for i in range(pairs)]
    columns: dict[str, np.ndarray] = {}
    for prefix, level in (("", quality), ("undeformed/", 0.48)):
        for protocol, shift in (("published", 0.0), ("standard", -1.5)):
            if labels:
                columns[f"{prefix}{protocol}/dsc"] = 100 * level + shift + hard + own.normal(0, 1, pairs)
                columns |= {
                    f"{prefix}{protocol}/{key}": base * (2 - level) + own.normal(0, 0.3, pairs)
                    for key, base in DISTANCES.items()
                }
                for key in ("dsc", *DISTANCES):
                    columns[f"{prefix}{protocol}/{key}"][-1] = np.nan  # a pair without label
    plain = {"folding_percent": 0.3, "sd_log_jacobian": 0.2, "seconds": 0.012}
    plain |= {"ause": 2e-4 * (1 - quality)} if uncertainty else {}
    known = {"endpoint_error": 3 * (1 - quality), "undeformed_endpoint_error": 2.5} if truth else {}
    if truth and uncertainty:
        known |= {"variance_spearman": 0.8} if uncertainty == "log_variance" else {"score_auroc": 0.9}
    columns |= {key: base * np.exp(own.normal(0, 0.1, pairs)) for key, base in (plain | known).items()}
    folder.mkdir(parents=True)
    write_rows(folder / "metrics.csv", {"id": ids, "subject": [each[:10] for each in ids], **columns})
    summary = {
        "dataset": "Phantom",
        "split": "test",
        "bundle": bundle,
        "checkpoint": f"{bundle}/model.pt",
        "pairs": pairs,
        "labels": [1] if labels else [],
        "seconds_per_pair": float(columns["seconds"].mean()),
        "protocols": protocols(columns, ""),
        "undeformed": protocols(columns, "undeformed/"),
        "not_computed": {key: int(np.isnan(row).sum()) for key, row in columns.items() if np.isnan(row).any()},
    }
    summary |= {key: float(columns[key].mean()) for key in ("folding_percent", "sd_log_jacobian")}
    summary |= {"ause": float(columns["ause"].mean()) if uncertainty else None}
    summary |= {"truth": {key: statistic(columns[key]) for key in known}} if truth else {}
    (folder / "metrics.json").write_text(json.dumps(summary))
    if uncertainty:
        left = 1 - np.linspace(0, 1, 51)
        curves = {"oracle": left**3, "random": 1.0 * (left > 0), "model": left ** (3 * quality - 1)}
        scaled = {name: 2e-3 * curve for name, curve in curves.items()}
        write_rows(folder / "sparsification.csv", {"fraction": 1 - left, **scaled})
    made = {
        f"{n}/{key}": array
        for n in range(examples)
        for key, array in estimate(make_pair(n, size, dims), quality, uncertainty).items()
        if labels or not key.endswith("label")
    }
    if examples:
        meta = json.dumps({"ids": ids[:examples], "uncertainty": uncertainty})
        np.savez_compressed(folder / "examples.npz", meta=meta, **made)
    return folder


def protocols(columns: dict[str, np.ndarray], prefix: str) -> dict[str, dict[str, dict]]:
    found: dict[str, dict[str, dict]] = {"published": {}, "standard": {}}
    for key, row in columns.items():
        parts = key.removeprefix(prefix).split("/")
        if key.startswith(prefix) and len(parts) == 2 and parts[0] in found:
            found[parts[0]][parts[1]] = statistic(row)
    return found


def write_rows(path: Path, columns: dict[str, Sequence]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(["" if isinstance(cell, float) and np.isnan(cell) else cell for cell in row])


def make_run(folder: Path, epochs: int = 30) -> Path:
    """Write the log of an alternating training."""
    steps = np.arange(1, epochs + 1)
    warm = epochs // 5
    phases = ["displacement" if e <= warm else "companion" if e <= 2 * warm else "both" for e in steps]
    quiet = np.array([phase == "companion" for phase in phases])
    rng = np.random.default_rng(0)
    loss = 0.01 * np.exp(-steps / 20) + 0.004 + 2e-4 * rng.random(epochs)
    folder.mkdir(parents=True)
    write_rows(
        folder / "log.csv",
        {
            "epoch": steps,
            "phase": phases,
            "train/displacement/similarity": np.where(quiet, np.nan, loss),
            "train/displacement/smooth": np.where(quiet, np.nan, 2e-3 * (1 - np.exp(-steps / 15))),
            "train/companion/loss": np.where(steps <= warm, np.nan, -3 + 2 * np.exp(-steps / 10)),
            "val/standard/dsc": np.where(steps % 3 == 0, 80 - 30 * np.exp(-steps / 12), np.nan),
            "lr": np.full(epochs, 1e-4),
        },
    )
    return folder


def make_dataset(folder: Path, pairs: int = 12, size: int = 32) -> Path:
    """Write the prepared data set of the same pairs, with its truth."""
    entries = []
    for number in range(pairs):
        identity, files = f"patient{number // 4:03d}_slice{number % 4:02d}", {}
        for key, array in make_pair(number, size).items() if number < 4 else ():
            files[key] = f"{key}/{identity}.nii.gz"
            stack = np.moveaxis(array, 0, -1)[:, :, None] if key == "displacement" else array[:, :, None]
            save_image(folder / files[key], stack, np.eye(4))
        truth = {key: files[key] for key in ("displacement", "variance", "non_correspondence") if files}
        entries.append(
            {"id": identity, "subject": identity[:10], "slice": 0, "moving": "-", "fixed": "-", "truth": truth}
        )
    write(
        Dataset(
            folder, "Phantom", 2, labels={1: "ring"}, evaluated_labels=(1,), licence="CC0", splits={"test": entries}
        )
    )
    return folder


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The makers of evaluation folders, training runs and a prepared data set."""
    return SimpleNamespace(evaluation=make_evaluation, run=make_run, dataset=make_dataset, methods=list(METHODS))
