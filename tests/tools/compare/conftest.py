"""Small data sets, called ACDC and Hippocampus, and pretended evaluations: they write what the real ones would."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from common.data.pairs import PreparedPairs
from common.data.prepared import Dataset, write
from common.engines.evaluation_scores import examples_of, label_ranking, score_example
from common.engines.evaluation_tables import about_evaluation, write_evaluation
from common.metrics import LabelSparsification, mean_curves, pair_curves
from common.nifti import save_image
from tools.campaign import launching
from tools.compare import comparing

BEFORE = 60.0


@pytest.fixture(scope="session")
def acdc(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set under a name that numbers are published for."""
    folder = tmp_path_factory.mktemp("acdc") / "dataset"
    shutil.copytree(tiny_dataset, folder)
    content = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(content | {"name": "ACDC"}))
    return folder


@pytest.fixture(scope="session")
def hippocampus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Volumes of 3 training and 3 validation subjects: two labels, one beside the other, in every ordered pair."""
    folder = tmp_path_factory.mktemp("hippocampus") / "dataset"
    splits = {"train": _ordered_pairs(folder, (0, 1, 2)), "val": _ordered_pairs(folder, (3, 4, 5))}
    labels = {1: "anterior", 2: "posterior"}
    write(Dataset(folder, "MSD Hippocampus", 3, labels=labels, evaluated_labels=(1, 2), splits=splits))
    return folder


def _ordered_pairs(folder: Path, numbers: Sequence[int]) -> list[dict[str, str]]:
    for number in numbers:
        for kind, array in _volume(number).items():
            save_image(folder / kind / f"s{number}.nii.gz", array, np.eye(4))
    pairs = []
    for m, f in ((m, f) for f in numbers for m in numbers if m != f):
        pair = {"id": f"s{m}_to_s{f}", "subject": f"s{f}", "moving_subject": f"s{m}"}
        for kind, ending in (("image", ""), ("label", "_label"), ("mask", "_mask")):
            pair |= {f"{side}{ending}": f"{kind}/s{n}.nii.gz" for side, n in (("moving", m), ("fixed", f))}
        pairs.append(pair)
    return pairs


def _volume(number: int) -> dict[str, np.ndarray]:
    """An ellipsoid that bulges in another place in each subject, padded on one side."""
    rng = np.random.default_rng(number)
    grid = np.indices((24, 16, 12)).astype(float)
    centre = np.array([11, 8, 5.5]) + rng.uniform(-0.7, 0.7, 3)
    radii = np.array([8, 4.5, 3.5]) * rng.uniform(0.85, 1.1, 3)
    inside = (((grid.T - centre) / radii) ** 2).sum(axis=-1).T < 1
    label = (inside * (1 + (grid[0] > centre[0]))).astype(np.uint8)
    mask = (grid[0] < 22).astype(np.uint8)
    image = (0.3 + 0.25 * label + rng.normal(0, 0.04, label.shape)).clip(0, 1) * mask
    return {"image": image, "label": label * mask, "mask": mask}


def weights(path: Path, dsc: float, uncertain: bool = False) -> Path:
    """Write weights which, evaluated, have a Dice of ``dsc``; -1 makes the evaluation fail."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([dsc, uncertain]))
    return path


def make_run(runs: Path, bundle: str, variant: str, seed: int, dsc: float, finished: bool = True) -> Path:
    """Write what a run leaves, its own evaluation not counted."""
    folder = runs / bundle / variant / f"seed_{seed}"
    weights(folder / "train" / "model.pt", dsc)
    if finished:
        (folder / "val").mkdir()
        (folder / "val" / "metrics.json").write_text("{}")
    return folder


def write_pretended(options: dict[str, str], bundle: str, dsc: float, uncertain: bool) -> None:
    """Write the files of an evaluation with this Dice in both protocols."""
    pairs = PreparedPairs(options["dataset_dir"], options["split"])
    still = {"ddf": np.zeros((2, 32, 32), np.float32), "warped": np.full((32, 32), 0.5, np.float32)}
    if uncertain:
        still["uncertainty"] = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    name = "log_variance" if uncertain else None
    scored = [score_example(pairs, i, still, name, (1,), 0.01) for i in range(len(pairs))]
    for number, each in enumerate(scored):
        for protocol in ("published", "standard"):
            each.row.update({f"{protocol}/dsc": dsc + number - 1.5, f"undeformed/{protocol}/dsc": BEFORE})
    ids = json.loads(options.get("examples", "[]")) or [pairs.pairs[i]["id"] for i in examples_of(2, len(pairs))]
    kept = {each.row["id"]: each.arrays for each in scored if each.row["id"] in ids}
    about = about_evaluation(pairs, bundle, (1,), options.get("checkpoint"), 1_234_567)
    rows, curves = [each.row for each in scored], [each.curve for each in scored]
    write_evaluation(Path(options["output_dir"]), rows, curves, kept, name, about)


def write_labelled(options: dict[str, str], bundle: str, quality: float, certain: bool) -> None:
    """Write the evaluation of a method that predicts labels, a share of them (in percent) right."""
    pairs = PreparedPairs(options["dataset_dir"], options["split"], pairing=options.get("pairing", "listed"))
    judged, alone, scored, by = LabelSparsification(3), [], [], None
    name = "label_uncertainty" if certain else None
    for i in range(len(pairs)):
        prediction = _predicted(pairs[i], quality / 100, certain, seed=i)
        scored.append(score_example(pairs, i, prediction, name, (1, 2), 0.01))
        by, ranking = label_ranking(prediction, pairs[i]["fixed"][0].numpy(), name)
        pair = prediction["segmentation"], pairs[i]["fixed_label"][0], ranking, pairs[i]["fixed_mask"][0]
        judged.add(*pair)
        alone.append(pair_curves(*pair))
        scored[-1].row.update({f"label/ause_{key}": area for key, area in alone[-1].ause.items()})
    members = json.loads(options["members"]) if "members" in options else None
    about = about_evaluation(pairs, bundle, (1, 2), options.get("checkpoint"), 333_000, members)
    ids = json.loads(options.get("examples", "[]")) or [pairs.pairs[i]["id"] for i in examples_of(2, len(pairs))]
    kept = {each.row["id"]: each.arrays for each in scored if each.row["id"] in ids}
    rows, curves = [each.row for each in scored], [each.curve for each in scored]
    of_labels = by, mean_curves(alone), judged.curves()
    write_evaluation(Path(options["output_dir"]), rows, curves, kept, name, about, of_labels)


def _predicted(item: dict, quality: float, certain: bool, seed: int) -> dict[str, np.ndarray]:
    """A prediction between the moving label and the fixed one; its uncertainty is the error, blurred by chance."""
    rng = np.random.default_rng(seed)
    moving, fixed = (
        np.stack([item[key][0].numpy() == c for c in range(3)]).astype(np.float32)
        for key in ("moving_label", "fixed_label")
    )
    found = {"segmentation": quality * fixed + (1 - quality) * moving + rng.uniform(0, 0.02, fixed.shape)}
    error = abs(found["segmentation"] - fixed)
    if certain:
        found["label_uncertainty"] = error * rng.uniform(0.5, 1.5, fixed.shape) + 0.02 * rng.random(fixed.shape)
        found["uncertainty"] = found["label_uncertainty"].sum(axis=0)
    ddf = 0.4 * np.stack([np.sin(axis / 5 + seed) for axis in np.indices(moving.shape[1:])])
    arrays = {**found, "ddf": ddf, "warped": item["moving"][0].numpy()}
    return {key: array.astype(np.float32) for key, array in arrays.items()}


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Evaluations that only write what one would; the options of those that ran."""
    ran: list[dict[str, str]] = []

    def call(command: Sequence[str], log: IO[str], variables: Mapping[str, str]) -> int:
        classical = "tools.baselines" in command
        start = command.index("tools.baselines") + 2 if classical else command.index("--config_file")
        options = {key.removeprefix("--"): each for key, each in zip(command[start::2], command[start + 1 :: 2])}
        if classical:
            options |= {"dataset_dir": options["dataset"], "output_dir": options["output"]}
            bundle, dsc, uncertain = command[start - 1], BEFORE if command[start - 1] == "undeformed" else 70.0, False
        else:
            bundle = Path(options["config_file"]).parts[-3]
            file = options.get("checkpoint") or json.loads(options["members"])[0]
            dsc, uncertain = json.loads(Path(file).read_text())
        ran.append(options | {"bundle": bundle})
        if dsc < 0:
            log.write("much\nerror: x.pt: weights of another network.\n")
            log.flush()
            return 1
        if bundle in ("vxm_weak", "vxm_predictive"):
            write_labelled(options, bundle, dsc, uncertain or "members" in options)
        else:
            write_pretended(options, bundle, dsc, uncertain)
        return 0

    monkeypatch.setattr(launching, "call", call)
    return ran


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the page's figures, which take most of the time, to the tests of the page."""
    monkeypatch.setattr(comparing, "render", lambda comparison: "")


@pytest.fixture
def made() -> dict:
    """The makers of weights and runs."""
    return {"weights": weights, "run": make_run, "sha": lambda path: hashlib.sha256(path.read_bytes()).hexdigest()}
