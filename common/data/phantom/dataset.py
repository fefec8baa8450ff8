"""The phantom as a prepared data set on disk, made once and in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from ...errors import InputError
from ...nifti import save_image
from ..prepared import SPLITS, Dataset, read, write
from . import mr, ultrasound
from .settings import KINDS, MODALITIES, Settings
from .subject import Subject, make_grid, make_subject


def ensure_phantom(dataset_dir: str | Path, **settings: Any) -> str:
    """Make the phantom in ``dataset_dir`` unless it is there already, and return the folder.

    Any number of processes may call this at once: each makes its own copy aside, and the first to be done moves it
    into place as a whole.

    Args:
        dataset_dir: the folder of the prepared data set.
        settings: fields of ``Settings``.

    Raises:
        InputError: a setting makes no sense, or the folder holds anything but the phantom of these settings.
    """
    root, wanted = Path(dataset_dir), Settings(**settings)
    if not (root / "dataset.json").is_file():
        print(f"making the phantom ({_describe(wanted)}) in {root}")
        _make(root, wanted)
    _check_same(root, wanted)
    return str(dataset_dir)


def make_phantom(root: str | Path, settings: Settings, workers: int = 1) -> Dataset:
    """Make the phantom in a folder that is empty or not there; if another process was faster, keep what it made.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    if Path(root, "dataset.json").exists():
        raise InputError(f"{root}: holds a prepared data set already; choose another folder, or remove that one")
    return _make(root, settings, workers)


def _make(root: str | Path, settings: Settings, workers: int = 1) -> Dataset:
    root = Path(root).resolve()  # a link to a folder is to be filled, not replaced
    _refuse_foreign(root)
    with _aside(root) as folder:
        jobs = [(folder, settings, *job) for job in _jobs(settings)]
        pairs = list(_map(workers, jobs))
        splits = {name: [p for j, p in zip(jobs, pairs) if j[3] == name] for name in SPLITS}
        write(_header(folder, settings, splits))
        _move_into_place(folder, root)
    return read(root)


def _jobs(settings: Settings) -> list[tuple[int, str]]:
    names = [name for name, count in zip(SPLITS, settings.pairs or ()) for _ in range(count)]
    return list(enumerate(names))


def _map(workers: int, jobs: list[tuple]) -> list[dict[str, Any]]:
    if workers <= 1 or len(jobs) == 1:
        return [_save(job) for job in jobs]
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        return list(pool.map(_save, jobs, chunksize=max(1, len(jobs) // (4 * workers))))


def _save(job: tuple[Path, Settings, int, str]) -> dict[str, Any]:
    """Make and write the subject of one index; return its entry in ``dataset.json``."""
    folder, settings, index, _ = job
    kinds = KINDS[settings.kind]
    kind = kinds[index % len(kinds)]
    subject, noise = make_subject(kind, settings.size, settings.seed, index)
    name = f"{kind}{index:04d}"
    entry: dict[str, Any] = {"id": name, "subject": name, "group": subject.group}
    files: dict[str, Any] = {"truth": {}}
    for key, array in _arrays(subject, noise).items():
        place, inner = _place(key)
        path = f"{place}/{name}_{inner}.nii.gz"
        (files["truth"] if place == "truth" else files)[key] = path
        save_image(folder / path, array, subject.grid.affine)
    return {**entry, **files, **({"slice": 0} if settings.spatial_dims == 2 else {})}


def _place(key: str) -> tuple[str, str]:
    if key.endswith("_label"):
        return "labels", key.removesuffix("_label")
    return ("images" if key in ("moving", "fixed") else "truth"), key


def _arrays(subject: Subject, noise: np.random.Generator) -> dict[str, np.ndarray]:
    """What is saved, axes as in the file.

    Both frames share one scale from [min, max] of the pair to [0, 1]: were each its own, a perfect registration
    would leave more than noise.
    """
    moving, fixed = subject.draw(noise)
    low = min(moving.min(), fixed.min())
    scale = 1 / (max(moving.max(), fixed.max()) - low)
    arrays = {
        "moving": np.clip((moving - low) * scale, 0, 1),
        "fixed": np.clip((fixed - low) * scale, 0, 1),
        "moving_label": subject.moving_label,
        "fixed_label": subject.fixed_label,
        "displacement": np.moveaxis(subject.ddf, 0, -1),
        "variance": subject.variance() * scale**2,
        "non_correspondence": subject.non_correspondence,
    }
    dims = len(subject.grid.shape)
    return {key: np.expand_dims(a, 2) if dims == 2 else a for key, a in arrays.items()}


def _header(folder: Path, settings: Settings, splits: dict[str, list]) -> Dataset:
    labels = {"mr": mr.LABELS, "ultrasound": ultrasound.LABELS}
    chosen = [labels[kind] for kind in KINDS[settings.kind]]
    names = {v: " or ".join(dict.fromkeys(c[v] for c in chosen)) for v in chosen[0]}
    if settings.kind == "both":
        names = {v: n if " or " not in n else n.replace(" or ", " (MR) or ") + " (US)" for v, n in names.items()}
    return Dataset(
        root=folder,
        name=f"Phantom, {settings.spatial_dims}D {MODALITIES[settings.kind]}",
        licence="Apache-2.0",
        citation="Warpsure phantom",
        modality=MODALITIES[settings.kind],
        spatial_dims=settings.spatial_dims,
        spacing_policy=_policy(settings),
        labels=names,
        evaluated_labels=(2,),
        seed=settings.seed,
        splits=splits,
    )


def _policy(settings: Settings) -> str:
    grids = [make_grid(kind, settings.size) for kind in KINDS[settings.kind]]
    spacings = " or ".join("x".join(f"{h:.3g}" for h in grid.spacing) for grid in grids)
    return f"synthetic: {'x'.join(map(str, settings.size))} voxels of {spacings} mm; one intensity range a pair"


def _describe(settings: Settings) -> str:
    return f"{sum(settings.pairs)} {settings.spatial_dims}D {MODALITIES[settings.kind]} pairs, seed {settings.seed}"


def _check_same(root: Path, settings: Settings) -> None:
    """Raise InputError unless ``root`` holds the phantom of these settings."""
    found, wanted = read(root), _header(root, settings, {})
    for what in ("name", "spacing_policy", "seed"):
        have, want = getattr(found, what), getattr(wanted, what)
        if have != want:
            raise InputError(f"{root / 'dataset.json'}: {what} is {have!r}, the phantom asked for has {want!r}; "
                             "choose another folder, or read this one without making a phantom")  # fmt: skip
    counts = tuple(len(found.splits.get(name, [])) for name in SPLITS)
    if counts != settings.pairs:
        raise InputError(f"{root / 'dataset.json'}: has {counts} pairs, the phantom asked for {settings.pairs}; "
                         "choose another folder, or read this one without making a phantom")  # fmt: skip


def _refuse_foreign(root: Path) -> None:
    if root.is_file():
        raise InputError(f"{root}: is a file; choose a folder for the phantom")
    # in this order: a folder that another process has just moved into place is never seen without its dataset.json
    if root.is_dir() and any(root.iterdir()) and not (root / "dataset.json").is_file():
        raise InputError(f"{root}: is not empty and no finished data set; choose another folder, or empty this one")


@contextmanager
def _aside(root: Path) -> Iterator[Path]:
    """A temporary folder beside ``root``, gone at the end whatever happens."""
    try:
        folder = root.with_name(f".{root.name}-{uuid4().hex[:12]}")
        folder.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{root}: cannot be made ({error.strerror or error}); choose another folder") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_into_place(folder: Path, root: Path) -> None:
    try:
        os.replace(folder, root)
    except OSError as error:
        if not (root / "dataset.json").is_file():  # else another process was faster, and made the same
            raise InputError(f"{root}: cannot be written ({error.strerror or error}); choose another folder") from error
