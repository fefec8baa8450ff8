"""Evaluation: run a network over a split of a prepared data set and write every metric."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator
from monai.utils.enums import CommonKeys as Keys
from torch import nn
from tqdm import tqdm

from ..data import prepared
from ..data.pairs import PreparedPairs
from ..errors import InputError
from ..files import remove_leftovers, write_bytes
from ..io import load_weights
from ..metrics import Curve, LabelCurves, LabelSparsification, mean_curves, pair_curves
from ..networks.channels import maps_of, name_of
from ..networks.paths import path_fields
from ..networks.slicewise import SliceBySlice
from ..spatial import warp
from . import evaluation_tables as tables
from .evaluation_batches import ImageBatches, image_of
from .evaluation_scores import Scored, examples_of, label_ranking, score_example
from .inferer import BatchInferer

NO_MAP = ("ddf", "segmentation", "warped")
PATH_STEPS = 8  # of a continuous deformation, both ends included


class RegistrationEvaluator(SupervisedEvaluator):
    """Register every pair of ``dataset``, score it, and write the tables to ``output_dir`` at the end.

    The files: metrics.csv (a row a pair), patients.csv (a row a subject), metrics.json (means, deviations and counts),
    sparsification.csv (mean curves), examples.npz (a few pairs, evenly spread, for figures). Without labels the
    overlap is NaN and counted as not computed. Of a network that predicts labels (``num_classes``) these are judged
    too, and label_sparsification.csv says how well its uncertainty ranks their errors, as a mean over the pairs.
    ``rows`` and ``summary`` keep the results in memory.

    Args:
        device: where the network runs.
        network: a `RegistrationNetwork` or an `EnsembleNetwork`; of images it registers volumes slice by slice.
        dataset: the split.
        output_dir: where the tables go.
        checkpoint: weights to load, strictly; None leaves the network as it is.
        bundle: the bundle's name, for the tables.
        batch_size: pairs at once; None is 16 in 2D and 1 in 3D. ``seconds`` depends on it.
        inferer: what runs the network and times it.
        labels: the labels that count; None is what the data set evaluates.
        examples: how many pairs examples.npz keeps, or their ids. Where the estimator has a continuous deformation
            (``path(moving, fixed, etas)``), "path" (PATH_STEPS, *spatial) is the moving image along it.
        val_handlers: further handlers; ``state.output`` has "pred" and ``state.batch`` the "index" of its pairs.

    Raises:
        InputError: a network for other dimensions, weights or data that cannot be used, a label that the network does
            not know, output that cannot be written.
    """

    def __init__(
        self,
        device: str | torch.device,
        network: nn.Module,
        dataset: PreparedPairs,
        output_dir: str | Path,
        checkpoint: str | Path | None = None,
        bundle: str = "",
        batch_size: int | None = None,
        inferer: BatchInferer | None = None,
        labels: Sequence[int] | None = None,
        examples: int | Sequence[str] = 4,
        val_handlers: Sequence[Any] | None = None,
    ) -> None:
        if checkpoint:
            load_weights(network, checkpoint)
        if (network.spatial_dims, dataset.spatial_dims) == (2, 3):
            network = SliceBySlice(network)
        if network.spatial_dims != dataset.spatial_dims:
            raise InputError(
                f"{dataset.dataset.root}: pairs are {dataset.spatial_dims}D but the network is {network.spatial_dims}D."
            )
        device = torch.device(device)
        batch_size = batch_size or (16 if dataset.spatial_dims == 2 else 1)
        self._timer = inferer or BatchInferer(batch_size)
        self.rows: list[tables.Row] = []
        self.num_classes: int | None = getattr(network, "num_classes", None)
        super().__init__(
            device=device,
            val_data_loader=ImageBatches(dataset, batch_size, getattr(network, "inputs", 2), self.num_classes),
            network=network.to(device),
            inferer=self._timer,
            prepare_batch=image_of,
            decollate=False,
            val_handlers=val_handlers,
        )
        self.dataset, self.output_dir, self.checkpoint = dataset, Path(output_dir), checkpoint
        self.bundle, self.labels = bundle, tuple(dataset.dataset.evaluated_labels if labels is None else labels)
        self.channels: tuple[str, ...] = network.channels
        maps = [name for name in map(name_of, self.channels) if name not in NO_MAP]
        self.map_name: str | None = maps[0] if maps else None
        self._wanted = examples_of(examples, len(dataset)) if isinstance(examples, int) else _numbers(dataset, examples)
        self.add_event_handler(Events.ITERATION_COMPLETED, self._score)

    def run(self, global_epoch: int = 1) -> None:
        """Evaluate all pairs, write the tables and print the headline."""
        write_bytes(self.output_dir / ".writable", b"")  # fails now rather than after the work
        (self.output_dir / ".writable").unlink()
        remove_leftovers(self.output_dir)
        self.rows.clear()
        self._curves: list[Curve] = []
        self._examples: dict[str, dict[str, np.ndarray]] = {}
        self._judged = None if self.num_classes is None else LabelSparsification(self.num_classes)
        self._of_pairs: list[LabelCurves] = []
        self._ranked_by: str | None = None
        with tqdm(total=len(self.dataset), desc="evaluating", unit="pair", disable=None) as self._bar:
            super().run(global_epoch)
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        members = getattr(self.network, "members", None)
        about = tables.about_evaluation(self.dataset, self.bundle, self.labels, self.checkpoint, parameters, members)
        judged = None
        if self._of_pairs:
            judged = self._ranked_by, mean_curves(self._of_pairs), self._judged.curves()
        self.summary = tables.write_evaluation(
            self.output_dir, self.rows, self._curves, self._examples, self.map_name, about, judged
        )
        print(headline(self.summary, self.output_dir))

    def _score(self, engine: Engine) -> None:
        indices = engine.state.batch["index"]
        for index, pred in zip(indices, engine.state.output[Keys.PRED].float().cpu().numpy(), strict=True):
            self._score_one(index, pred, self._timer.seconds / len(indices))
            self._bar.update()

    def _score_one(self, index: int, pred: np.ndarray, seconds: float) -> None:
        prediction = self._prediction(pred)
        scored = score_example(self.dataset, index, prediction, self.map_name, self.labels, seconds)
        self.rows.append(scored.row)
        self._curves.append(scored.curve)
        self._judge(prediction, scored)
        if index in self._wanted:
            self._examples[scored.row["id"]] = scored.arrays | self._path(scored.arrays)

    def _prediction(self, pred: np.ndarray) -> dict[str, np.ndarray]:
        """The maps that ``score_example`` takes; an uncertainty of every class becomes one map by its sum."""
        maps = maps_of(pred, self.channels)
        prediction = {name: maps[name] for name in (*NO_MAP, "label_uncertainty") if name in maps}
        if self.map_name:
            found = maps[self.map_name]
            prediction["uncertainty"] = found if found.ndim == self.dataset.spatial_dims else found.sum(axis=0)
        return prediction

    def _judge(self, prediction: dict[str, np.ndarray], scored: Scored) -> None:
        """Say how well the voxels of a pair are ranked by the errors of its predicted labels, alone and with all."""
        arrays = scored.arrays
        if self._judged is None or "fixed_label" not in arrays:
            return
        self._ranked_by, ranking = label_ranking(prediction, arrays["fixed"], self.map_name)
        pair = prediction["segmentation"], arrays["fixed_label"], ranking, arrays.get("fixed_mask")
        self._judged.add(*pair)
        self._of_pairs.append(pair_curves(*pair))
        scored.row.update({f"label/ause_{name}": value for name, value in self._of_pairs[-1].ause.items()})

    def _path(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The moving image on its way to the fixed one, for an architecture that has a way."""
        if not hasattr(getattr(self.network, "estimator", None), "path"):
            return {}
        image = torch.from_numpy(np.stack([arrays[key] for key in prepared.IMAGE_KEYS]))[None]
        fields = path_fields(self.network, image.to(self.state.device), PATH_STEPS)[:, 0]
        moving = image[:, :1].expand(PATH_STEPS, *[-1] * (image.ndim - 1))
        return {"path": warp(moving, fields)[:, 0].numpy()}


def _numbers(dataset: PreparedPairs, ids: Sequence[str]) -> list[int]:
    known = {pair["id"]: number for number, pair in enumerate(dataset.pairs)}
    if unknown := [each for each in ids if each not in known]:
        raise InputError(
            f"examples: {unknown[0]!r} is no pair of split {dataset.split!r}; pairs have ids like "
            f"{next(iter(known))!r}."
        )
    return [known[each] for each in ids]


def headline(summary: dict[str, Any], output_dir: Path) -> str:
    """Return the result in one line."""
    parts = [f"{output_dir}: {summary['pairs']} pairs"]
    for protocol, table in summary["protocols"].items():
        before = summary["undeformed"][protocol]["dsc"]["mean"]
        if table["dsc"]["n"]:
            parts.append(f"{protocol} DSC {table['dsc']['mean']:.2f} % (undeformed {before:.2f})")
    if summary.get("label", {}).get("dsc", {}).get("n"):
        parts.append(f"label DSC {summary['label']['dsc']['mean']:.2f} %")
    folding = summary.get("folding_percent", nan)
    return ", ".join([*parts, f"folding {folding:.2f} %", f"{1000 * summary['seconds_per_pair']:.1f} ms a pair"])
