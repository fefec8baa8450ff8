"""Medical Segmentation Decathlon: every case is one subject, and pairs are made of two subjects."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from common import grids as geometry
from common.data import placing
from common.data.prepared import SPLITS, Dataset, Pairs
from common.errors import InputError
from common.nifti import save_image

from .build import build
from .cases import Case, Result, Settings, run_all
from .grids import full_size, largest
from .layouts import find_file
from .volumes import BrokenInput, read_image, read_label, shape_and_affine, stem

CITATION = "Antonelli et al., 2022"


def run(args: argparse.Namespace) -> None:
    """Convert a task."""
    task = read_task(args.source)
    args.channel = channel_of(task, args.channel)  # so that 0 and T2 are the same settings
    cases = find_cases(args.source, task)
    if args.test_source:
        test_task = read_task(args.test_source)
        check_same_modality(task, test_task, args.channel)
        cases += find_cases(args.test_source, test_task, "test")
    if len(cases) < 2:
        raise InputError(f"{task['folder'] / 'dataset.json'}: one image only, and a pair needs two; add another")
    grids, broken = run_all(cases, _canonical_grid, 1, args.skip_broken, "reading headers")
    cases = [case for case in cases if case.name in grids]
    size = full_size(args.size, 3) if args.size else largest(list(grids.values()), args.spacing, 3, multiple=16)
    settings = {"size": size, "spacing": args.spacing, "percentiles": args.percentiles, "channel": args.channel}
    labels = task_labels(task)
    how = f"resampled to {args.spacing} mm" if args.spacing else "native spacing"
    about = Dataset(
        args.output, str(task.get("name") or args.source.name), 3, labels, tuple(labels),
        str(task.get("licence") or "CC BY-SA 4.0"), CITATION, modalities(task).get(args.channel, ""),
        f"{how}, axes to RAS, centre crop or zero pad to {'x'.join(map(str, size))}", args.seed,
        preparation={key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()},
    )  # fmt: skip
    assemble = partial(make_pairs, per_subject=args.pairs_per_subject, seed=args.seed)
    build(args, about, cases, convert, settings, assemble, broken)


def read_task(source: Path) -> dict[str, Any]:
    """Read the task's dataset.json and say in ``folder`` where it lies."""
    path = find_file(source, "dataset.json", "a task of the Medical Segmentation Decathlon (dataset.json)")
    try:
        task = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as JSON ({error}); download the task again") from error
    if not isinstance(task, dict) or not isinstance(task.get("training"), list) or not task["training"]:
        raise InputError(f"{path}: no list `training` of images and labels; is this a task of the Decathlon?")
    return {**task, "folder": path.parent}


def task_labels(task: dict[str, Any]) -> dict[int, str]:
    """Return the labels but for the background, from ``{"1": name}`` or ``{name: 1}``."""
    labels = {}
    for key, value in task.get("labels", {}).items():
        number, name = (key, value) if str(key).isdigit() else (value, key)
        labels[int(number)] = str(name)
    return {value: name for value, name in sorted(labels.items()) if value}


def modalities(task: dict[str, Any]) -> dict[int, str]:
    """Return the names of an image's channels, in the order of the file, as the task's ``modality`` gives them."""
    named = task.get("modality")
    return {int(number): str(name) for number, name in named.items()} if isinstance(named, dict) else {}


def channel_of(task: dict[str, Any], wanted: str | int) -> int:
    """Return the channel that is meant by a number or a modality's name; raise InputError if there is none."""
    named = modalities(task)
    for number, name in named.items():
        if str(wanted).casefold() in (str(number), name.casefold()):
            return number
    if not named and str(wanted).isdigit():
        return int(wanted)
    known = ", ".join(f"{name} ({number})" for number, name in sorted(named.items())) or "none by name"
    raise InputError(f"--channel {wanted}: {task['folder'] / 'dataset.json'} knows {known}; pass one of them")


def check_same_modality(task: dict[str, Any], other: dict[str, Any], channel: int) -> None:
    """Raise InputError if ``channel`` is another modality in the ``other`` task."""
    names = [modalities(each).get(channel) for each in (task, other)]
    if None not in names and names[0] != names[1]:
        path = other["folder"] / "dataset.json"
        raise InputError(f"{path}: channel {channel} is {names[1]}, but {names[0]} in --source; reorder its channels")


def check_labels(path: str, label: np.ndarray, known: Sequence[int]) -> None:
    """Raise BrokenInput if a label map holds values that the task has no name for."""
    if known and (odd := sorted({int(value) for value in np.unique(label)} - {0, *known})):
        raise BrokenInput(
            f"{path}: label values {odd}, but the task's dataset.json knows {list(known)}; "
            "repair it or pass --skip-broken"
        )


def find_cases(source: Path, task: dict[str, Any], split: str | None = None) -> list[Case]:
    """Return a case for every entry of the task's training list."""
    cases, labels = [], list(task_labels(task))
    for number, entry in enumerate(task["training"]):
        if not isinstance(entry, dict) or "image" not in entry:
            raise InputError(
                f"{task['folder'] / 'dataset.json'}: training entry {number} has no image; download it again"
            )
        files = {key: str(task["folder"] / entry[key]) for key in ("image", "label") if entry.get(key)}
        name = stem(files["image"])
        cases.append(Case(name, name, files, str(source), split, more={"labels": labels}))
    return cases


def convert(case: Case, output: Path, settings: Settings) -> Result:
    """Turn to RAS, resample, crop, normalise and write one subject; its pairs are made later."""
    native = read_image(case.files["image"], settings["channel"])
    image = placing.prepare(placing.Volume(native.array, native.affine), settings)
    result: Result = {"pairs": [], "native": {"path": case.native("image"), **image.where}}
    result["native"]["native_shape"] = list(native.array.shape)
    written = {"image": (image.array, image.affine), "mask": (image.inside, image.affine)}
    if "label" in case.files:
        label, remark = read_label(case.files["label"], native)
        result["remarks"] = [remark] if remark else []
        check_labels(case.files["label"], label.array, case.more["labels"])
        volume = placing.canonical(placing.Volume(label.array, label.affine))
        placed = placing.place(volume, settings["size"], settings["spacing"], order=0)
        written["label"] = placed.array, placed.affine
        result["label_values"] = {"label": [int(v) for v in np.unique(placed.array) if v]}
    for role, (array, affine) in written.items():
        result[role] = f"{role}s/{case.name}.nii.gz"
        save_image(output / result[role], array, affine)
    result["files"] = [result[role] for role in written]
    codes = "".join(nib.aff2axcodes(native.affine))
    result["native"] |= {} if codes == "RAS" else {"orientation": codes}
    return result


def make_pairs(
    cases: Sequence[Case], results: dict[str, Result], splits: dict[str, str], per_subject: int, seed: int
) -> Pairs:
    """Give every subject, as fixed, ``per_subject`` different others of its split as moving."""
    pairs: Pairs = {}
    for index, split in enumerate(SPLITS):
        names = sorted(c.name for c in cases if splits[c.subject] == split and c.name in results)
        if len(names) == 1:
            raise InputError(f"{names[0]} is alone in the split {split}, and a pair needs two; change --fractions")
        generator = np.random.default_rng([seed, index])
        pairs[split] = []
        for fixed in names:
            others = [name for name in names if name != fixed]
            chosen = generator.permutation(len(others))[:per_subject]
            pairs[split] += [_pair(others[i], fixed, results) for i in sorted(chosen)]
    return pairs


def _pair(moving: str, fixed: str, results: dict[str, Result]) -> dict[str, Any]:
    sides = {"moving": results[moving], "fixed": results[fixed]}
    pair = {"id": f"{moving}_to_{fixed}", "subject": fixed, "moving_subject": moving}
    pair |= {key: side["image"] for key, side in sides.items()}
    pair |= {f"{key}_{role}": side[role] for role in ("label", "mask") for key, side in sides.items() if role in side}
    native = {key: side["native"]["path"] for key, side in sides.items()}
    for prefix, side in (("", sides["fixed"]), ("moving_", sides["moving"])):
        native |= {f"{prefix}{key}": value for key, value in side["native"].items() if key != "path"}
    return {**pair, "native": native}


def _canonical_grid(case: Case) -> dict[str, Any]:
    shape, affine = shape_and_affine(case.files["image"])
    order = np.argsort(nib.orientations.io_orientation(affine)[:, 0])
    spacing = geometry.spacing_of(affine)
    return {"shape": tuple(shape[axis] for axis in order), "spacing": tuple(spacing[axis] for axis in order)}
