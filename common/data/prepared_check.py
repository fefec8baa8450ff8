"""Everything that can be wrong with a prepared data set, found in one pass.

``error:`` lines are what training or evaluation would stumble over. ``warning:`` lines are what real data has
and the product copes with: an empty split, pairs without labels, and, at the ends of a stack, slices that
are constant or whose masks are empty (their metrics are counted as not computed).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..errors import InputError
from .prepared import IMAGE_KEYS, LABEL_KEYS, MASK_KEYS, SPLITS, TRUTH_KEYS, Dataset, find_faults, read, read_image

TOLERANCE = 1e-3  # of an affine, in mm


@dataclass
class File:
    """What one file was found to be: its grid, and of a label map which slices hold what is evaluated.

    ``missing`` are the evaluated labels that a label map has no voxel of.
    """

    shape: tuple[int, ...]
    affine: np.ndarray
    constant: np.ndarray  # (Z,): nothing to see in this slice; (1,) of a volume
    errors: list[str] = field(default_factory=list)
    missing: tuple[int, ...] = ()


def find_problems(dataset_dir: str | Path) -> list[str]:
    """Return every problem of the data set, errors first; raise nothing for what can be listed."""
    if faults := find_faults(dataset_dir):
        return [f"error: {fault}" for fault in faults]
    dataset = read(dataset_dir)
    files = {
        name: _inspect(dataset, name, key) for name, key in tqdm(_files(dataset).items(), "checking", disable=None)
    }
    problems = [f"error: {name}: {text}" for name, file in files.items() for text in _errors(file)]
    problems += [f"error: {text}" for text in _entry_errors(dataset)]
    problems += [f"error: {text}" for text in _grid_errors(dataset, files)]
    return problems + [f"warning: {text}" for text in _warnings(dataset, files)]


def _named(pair: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, file) of everything that a pair refers to."""
    truth = pair.get("truth") or {}
    for key in (*IMAGE_KEYS, *LABEL_KEYS, *MASK_KEYS, *TRUTH_KEYS):
        if name := (truth.get(key) if key in TRUTH_KEYS else pair.get(key)):
            yield key, name


def _files(dataset: Dataset) -> dict[str, str]:
    return {name: key for pairs in dataset.splits.values() for pair in pairs for key, name in _named(pair)}


def _errors(file: File | str) -> Iterable[str]:
    return [file] if isinstance(file, str) else file.errors


def _inspect(dataset: Dataset, name: str, key: str) -> File | str:
    """Read a file once; return what it is, or why it cannot be read."""
    path = dataset.root / name
    if not path.is_file():
        return "missing; prepare the data set again"
    try:
        array, affine = read_image(path)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    array = array[..., None] if array.ndim == 2 else array
    flat = array.reshape(-1, array.shape[2]) if dataset.spatial_dims == 2 and array.ndim == 3 else array.reshape(-1, 1)
    file = File(array.shape, affine, flat.min(axis=0) == flat.max(axis=0))
    file.errors = _label_errors(array, dataset) if key in LABEL_KEYS else _image_errors(file, array, key)
    if key in LABEL_KEYS and dataset.evaluated_labels:
        file.constant = np.logical_not(np.isin(flat, dataset.evaluated_labels).any(axis=0))
        found = set() if file.errors else set(np.unique(array).tolist())
        file.missing = tuple(value for value in dataset.evaluated_labels if found and value not in found)
    return file


def _image_errors(file: File, array: np.ndarray, key: str) -> list[str]:
    if not np.isfinite(array).all():
        return [f"{int((~np.isfinite(array)).sum())} values are NaN or infinite"]
    if key in MASK_KEYS:
        return _mask_errors(array)
    if key not in IMAGE_KEYS:
        return []
    if file.constant.all():
        return [f"constant image (every value is {array.flat[0]:g})"]
    low, high = float(array.min()), float(array.max())
    return (
        []
        if low >= -TOLERANCE and high <= 1 + TOLERANCE
        else [f"intensities from {low:g} to {high:g}, expected 0 to 1"]
    )


def _mask_errors(array: np.ndarray) -> list[str]:
    values = np.unique(array).tolist()
    if odd := sorted(set(values) - {0, 1}):
        return [f"a mask has 1 where the image is real and 0 where it was padded, but this has {odd[:3]}"]
    return [] if 1 in values else ["the mask is empty: nothing of the image is real"]


def _label_errors(array: np.ndarray, dataset: Dataset) -> list[str]:
    values = set(np.unique(array).tolist()) - {0}
    if not values:
        return ["empty mask: no voxel has a label"]
    odd = sorted(values - set(dataset.labels))
    return [f"unexpected label values {odd}, dataset.json knows {sorted(dataset.labels)}"] if odd else []


def _entry_errors(dataset: Dataset) -> Iterator[str]:
    ids = Counter(pair["id"] for pairs in dataset.splits.values() for pair in pairs)
    for pair_id, count in ids.items():
        if count > 1:
            yield f"dataset.json: id {pair_id!r} is used {count} times"
    homes: dict[str, set[str]] = {}
    for split, pairs in dataset.splits.items():
        if split not in SPLITS:
            yield f"dataset.json: unknown split {split!r}, expected {', '.join(SPLITS)}"
        for pair in pairs:
            for subject in {pair["subject"], pair.get("moving_subject", pair["subject"])}:
                homes.setdefault(subject, set()).add(split)
    for subject, splits in sorted(homes.items()):
        if len(splits) > 1:
            yield f"dataset.json: patient {subject} is in {len(splits)} splits: {', '.join(sorted(splits))}"
    if not ids:
        yield "dataset.json: no pairs in any split"
    if unknown := sorted(set(dataset.evaluated_labels) - set(dataset.labels)):
        yield f"dataset.json: evaluated_labels {unknown} are not among the labels {sorted(dataset.labels)}"


def _grid_errors(dataset: Dataset, files: dict[str, File | str]) -> Iterator[str]:
    """Compare the files of each pair with its fixed image; files that many pairs share are reported once."""
    seen = set()
    for pair in (pair for pairs in dataset.splits.values() for pair in pairs):
        fixed = files[pair["fixed"]]
        for key, name in _named(pair):
            file = files[name]
            if isinstance(fixed, str) or isinstance(file, str) or (name, pair["fixed"]) in seen:
                continue
            seen.add((name, pair["fixed"]))
            if file.shape[:3] != fixed.shape[:3]:
                yield f"{name}: shape {file.shape[:3]}, but {pair['fixed']} is {fixed.shape[:3]}"
            elif not _same_place(file.affine, fixed.affine, between_subjects=_is_of_other(pair, key)):
                yield f"{name}: affine differs from that of {pair['fixed']}"
        if dataset.spatial_dims == 2 and not isinstance(fixed, str) and not 0 <= pair["slice"] < fixed.shape[2]:
            yield f"dataset.json: pair {pair['id']}: slice {pair['slice']}, but {pair['fixed']} has {fixed.shape[2]}"


def _is_of_other(pair: dict[str, Any], key: str) -> bool:
    return key.startswith("moving") and pair.get("moving_subject", pair["subject"]) != pair["subject"]


def _same_place(first: np.ndarray, second: np.ndarray, between_subjects: bool) -> bool:
    """Two subjects have no common origin: their grids agree in spacing and direction."""
    columns = slice(0, 3 if between_subjects else 4)
    return np.allclose(first[:, columns], second[:, columns], atol=TOLERANCE)


def _warnings(dataset: Dataset, files: dict[str, File | str]) -> Iterator[str]:
    for split in SPLITS:
        pairs = dataset.splits.get(split, [])
        if not pairs:
            yield f"{split}: empty split"
            continue
        found = {
            "without labels": [p for p in pairs if not all(p.get(key) for key in LABEL_KEYS)],
            "with a constant slice": [p for p in pairs if _blank(dataset, files, p, IMAGE_KEYS)],
            "with an empty mask (metrics not computed)": [p for p in pairs if _blank(dataset, files, p, LABEL_KEYS)],
        }
        for what, some in found.items():
            if some:
                yield f"{split}: {len(some)} of {len(pairs)} pairs {what}, the first is {some[0]['id']}"
    for name, file in files.items():
        if isinstance(file, File) and file.missing:
            lacking = ", ".join(f"{value} ({dataset.labels.get(value, '?')})" for value in file.missing)
            yield f"{name}: no voxel of label {lacking}"


def _blank(dataset: Dataset, files: dict[str, File | str], pair: dict[str, Any], keys: tuple[str, ...]) -> bool:
    index = pair["slice"] if dataset.spatial_dims == 2 else 0
    found = [files[pair[key]] for key in keys if pair.get(key)]
    return any(isinstance(f, File) and 0 <= index < len(f.constant) and bool(f.constant[index]) for f in found)
