"""Measure where a registration looks: how much of the labelled heart it misses in ACDC, and the Dice it comes to.

Three rules for each patient's end diastole and end systole: "middle", 128 voxels around the middle of the image as it
is stored (the rule up to version 0.3); "auto" without a label; and "auto" with that of the moving image.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from common.errors import InputError
from common.io import MedicalImage, read_image, read_label
from common.metrics import dice, mean_of_known
from common.physical import warp_image
from common.registration.bundle import OpenBundle, open_bundle
from common.registration.card import Card
from common.registration.case import Case
from common.registration.labelled import unseen_percent
from common.registration.register import register_case

RULES = ("middle", "auto", "label")
CUT = 1.0
"""Percent of a heart that may be missed without a warning."""


class Patient(NamedTuple):
    """The two frames of a patient, (moving, fixed), and their labels on the same grid."""

    name: str
    images: tuple[MedicalImage, MedicalImage]
    labels: tuple[MedicalImage, MedicalImage]


class Row(NamedTuple):
    """What one rule came to: percent of the hearts unseen, mean Dice of the labels in percent, and warnings."""

    unseen: float
    dice: float
    warnings: list[str]


def run(args: argparse.Namespace) -> None:
    """Measure every patient, and say what the rules came to."""
    torch.set_num_threads(args.threads)
    bundle = open_bundle(args.bundle, args.device)
    rows: dict[str, list[Row]] = {rule: [] for rule in RULES}
    before = []
    for patient in patients(args.acdc, args.patients):
        before.append(mean_dice(patient, patient.labels[0].array))
        for rule in RULES:
            rows[rule].append(measured(bundle, patient, rule))
        said = ", ".join(f"{r} {rows[r][-1].unseen:.2f} % unseen, Dice {rows[r][-1].dice:.2f} %" for r in RULES)
        print(f"{patient.name}: Dice before {before[-1]:.2f} %; {said}", flush=True)
    print(f"{bundle.name}, {len(before)} patients; Dice before {mean_of_known(before):.2f} %")
    for rule, found in rows.items():
        print(f"  {rule:6} {summary(found)}")
    better = mean_of_known(row.dice for row in rows["auto"]) / mean_of_known(row.dice for row in rows["middle"])
    print(f"ratio region_{bundle.name} {better:.4g}")


def patients(folder: Path, count: int | None) -> Iterator[Patient]:
    """The patients of the official folder, in order.

    Raises:
        InputError: no patient with two frames and their labels.
    """
    found = [path for path in sorted(folder.glob("patient*")) if len(list(path.glob("*_gt.nii*"))) == 2]
    if not found:
        raise InputError(f"{folder}: no patientNNN with two labelled frames; give the folder of ACDC's patients.")
    for path in found[:count]:
        labels = sorted(path.glob("*_gt.nii*"))
        images = [file.with_name(file.name.replace("_gt", "")) for file in labels]
        moving, fixed = (read_image(file) for file in images)
        yield Patient(path.name, (moving, fixed), (read_label(labels[0]), read_label(labels[1])))


def measured(bundle: OpenBundle, patient: Patient, rule: str) -> Row:
    """Register a patient by a rule."""
    if rule == "middle":
        bundle = replace(bundle, framing=replace(bundle.framing, center="image", trained=Card()))
    found = register_case(bundle, Case(*patient.images, patient.labels[0] if rule == "label" else None))
    moving = patient.labels[0]
    return Row(
        unseen_percent(replace(moving, array=(moving.array > 0) | (patient.labels[1].array > 0)), found),
        mean_dice(patient, warp_image(moving.array, moving.affine, found.field, order=0)),
        found.warnings,
    )


def mean_dice(patient: Patient, moved: np.ndarray) -> float:
    """Over the whole stack, mean of the labels, percent."""
    fixed = patient.labels[1].array
    return 100 * mean_of_known(dice(fixed == value, moved == value) for value in np.unique(fixed[fixed > 0]))


def summary(rows: list[Row]) -> str:
    """One line on a rule."""
    unseen = np.array([row.unseen for row in rows])
    silent = sum(row.unseen > CUT and not row.warnings for row in rows)
    counts = ", ".join(f"{int((unseen > limit).sum())} above {limit:g} %" for limit in (0, CUT, 5, 20))
    warned = sum(bool(row.warnings) for row in rows)
    worst = unseen.max() if len(unseen) else nan
    return (
        f"Dice {mean_of_known(row.dice for row in rows):.2f} %; unseen {unseen.mean():.3f} % in the mean, "
        f"{worst:.2f} % at most, {counts}; {silent} above {CUT:g} % without a warning; {warned} with one"
    )
