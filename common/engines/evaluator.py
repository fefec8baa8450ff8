"""Evaluation: run a network over a split of a prepared data set and write every metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor, nn
from tqdm import tqdm

from ..data import prepared
from ..data.geometry import spacing_of
from ..data.pairs import PreparedPairs
from ..errors import InputError
from ..io import file_hash, load_weights, read_affine
from ..metrics import Curve
from ..spatial import warp
from . import evaluation_tables as tables
from .evaluation_scores import score_pair
from .inference import image_of
from .inferer import BatchInferer

LABELS = ("moving_label", "fixed_label")


class ImageBatches:
    """Batches of a split, in its order: {"image" (B, 2, *spatial), "index": the pairs' numbers}.

    A batch ends where the next pair has another shape.
    """

    def __init__(self, dataset: PreparedPairs, batch_size: int) -> None:
        self.dataset, self.batch_size = dataset, batch_size

    def __iter__(self) -> Iterator[dict[str, Any]]:
        images: list[Tensor] = []
        for index in range(len(self.dataset)):
            pair = self.dataset[index]
            image = torch.cat([pair["moving"], pair["fixed"]])
            if images and (len(images) == self.batch_size or image.shape != images[0].shape):
                yield _batch(images, index)
                images = []
            images.append(image)
        yield _batch(images, len(self.dataset))


def _batch(images: Sequence[Tensor], end: int) -> dict[str, Any]:
    return {"image": torch.stack(list(images)), "index": list(range(end - len(images), end))}


class RegistrationEvaluator(SupervisedEvaluator):
    """Register every pair of ``dataset``, score it, and write the tables to ``output_dir`` at the end.

    The files: metrics.csv (a row a pair), patients.csv (a row a subject), metrics.json (means, deviations and counts),
    sparsification.csv (mean curves), examples.npz (a few pairs, evenly spread, for figures). Without labels the
    overlap is NaN and counted as not computed. ``rows`` and ``summary`` keep the results in memory.

    Args:
        device: where the network runs.
        network: a `RegistrationNetwork`.
        dataset: the split.
        output_dir: where the tables go.
        checkpoint: weights to load, strictly; None leaves the network as it is.
        bundle: the bundle's name, for the tables.
        batch_size: pairs at once; None is 16 in 2D and 1 in 3D. ``seconds`` depends on it.
        inferer: what runs the network and times it.
        labels: the labels that count; None is what the data set evaluates.
        examples: how many pairs examples.npz keeps.
        val_handlers: further handlers; ``state.output`` has "pred" and ``state.batch`` the "index" of its pairs.

    Raises:
        InputError: a network for other dimensions, weights or data that cannot be used, output that cannot be written.
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
        examples: int = 4,
        val_handlers: Sequence[Any] | None = None,
    ) -> None:
        if network.spatial_dims != dataset.spatial_dims:
            raise InputError(
                f"{dataset.dataset.root}: pairs are {dataset.spatial_dims}D but the network is {network.spatial_dims}D."
            )
        if checkpoint:
            load_weights(network, checkpoint)
        device = torch.device(device)
        batch_size = batch_size or (16 if dataset.spatial_dims == 2 else 1)
        self._timer = inferer or BatchInferer(batch_size)
        self.rows: list[tables.Row] = []
        super().__init__(
            device=device,
            val_data_loader=ImageBatches(dataset, batch_size),
            network=network.to(device),
            inferer=self._timer,
            prepare_batch=image_of,
            decollate=False,
            val_handlers=val_handlers,
        )
        self.dataset, self.output_dir, self.checkpoint = dataset, Path(output_dir), checkpoint
        self.bundle, self.labels = bundle, tuple(dataset.dataset.evaluated_labels if labels is None else labels)
        maps = [name for name in network.channels[dataset.spatial_dims :] if name != "warped"]
        self.map_name: str | None = maps[0] if maps else None
        wanted = np.linspace(0, len(dataset) - 1, min(examples, len(dataset))).round()
        self._wanted = {int(index) for index in wanted}
        self.add_event_handler(Events.ITERATION_COMPLETED, self._score)

    def run(self, global_epoch: int = 1) -> None:
        """Evaluate all pairs, write the tables and print the headline."""
        prepared.write_bytes(self.output_dir / ".writable", b"")  # fails now rather than after the work
        (self.output_dir / ".writable").unlink()
        self.rows.clear()
        self._curves: list[Curve] = []
        self._examples: dict[str, dict[str, np.ndarray]] = {}
        with tqdm(total=len(self.dataset), desc="evaluating", unit="pair", disable=None) as self._bar:
            super().run(global_epoch)
        self.summary = tables.summarise(self.rows, self._about())
        self._write()
        print(headline(self.summary, self.output_dir))

    def _score(self, engine: Engine) -> None:
        indices = engine.state.batch["index"]
        for index, pred in zip(indices, engine.state.output[Keys.PRED].float().cpu().numpy(), strict=True):
            self._score_one(index, pred, self._timer.seconds / len(indices))
            self._bar.update()

    def _score_one(self, index: int, pred: np.ndarray, seconds: float) -> None:
        dims, pair = self.dataset.spatial_dims, self.dataset.pairs[index]
        arrays = prepared.load_arrays(self.dataset.dataset, pair, (*prepared.IMAGE_KEYS, *LABELS, *prepared.TRUTH_KEYS))
        prediction = {"ddf": pred[:dims], "warped": pred[-1]} | ({"uncertainty": pred[dims]} if self.map_name else {})
        spacing = spacing_of(read_affine(self.dataset.dataset.root / pair["fixed"]))[:dims]
        scores, curve = score_pair(arrays, prediction, self.map_name, self.labels, spacing)
        identity = {key: pair.get(key) for key in tables.IDENTITY}
        truth = {key: scores.pop(key) for key in tables.TRUTH if key in scores}
        self.rows.append({**identity, **scores, "seconds": seconds, **truth})
        self._curves.append(curve)
        if index in self._wanted:
            self._examples[pair["id"]] = _example(arrays, prediction)

    def _about(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset.dataset.name,
            "split": self.dataset.split,
            "bundle": self.bundle,
            "checkpoint": str(self.checkpoint) if self.checkpoint else None,
            "checkpoint_sha256": file_hash(self.checkpoint) if self.checkpoint else None,
            "labels": list(self.labels),
        }

    def _write(self) -> None:
        names = tables.metric_names(self.rows)
        tables.write_csv(self.output_dir / "metrics.csv", self.rows, [*tables.IDENTITY, *names])
        patients = tables.patients(self.rows)
        tables.write_csv(self.output_dir / "patients.csv", patients, ["subject", "group", "pairs", *names])
        tables.write_sparsification(self.output_dir / "sparsification.csv", self._curves)
        tables.write_examples(self.output_dir / "examples.npz", self._examples, self.map_name)
        tables.write_json(self.output_dir / "metrics.json", self.summary)  # last: a folder without it is unfinished


def _example(arrays: dict[str, np.ndarray], prediction: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    kept = {key: arrays[key] for key in (*prepared.IMAGE_KEYS, *LABELS) if key in arrays} | prediction
    if "moving_label" in arrays:
        label = torch.from_numpy(arrays["moving_label"])[None, None]
        warped = warp(label.float(), torch.from_numpy(prediction["ddf"])[None], mode="nearest")
        kept["warped_label"] = warped[0, 0].numpy().astype(np.uint8)
    return kept


def headline(summary: dict[str, Any], output_dir: Path) -> str:
    """Return the result in one line."""
    parts = [f"{output_dir}: {summary['pairs']} pairs"]
    for protocol, table in summary["protocols"].items():
        before = summary["undeformed"][protocol]["dsc"]["mean"]
        if table["dsc"]["n"]:
            parts.append(f"{protocol} DSC {table['dsc']['mean']:.2f} % (undeformed {before:.2f})")
    folding = summary.get("folding_percent", nan)
    return ", ".join([*parts, f"folding {folding:.2f} %", f"{1000 * summary['seconds_per_pair']:.1f} ms a pair"])
