"""Training on the studies folder, without labels, by the bundle's own train config."""

from __future__ import annotations

import csv
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.utils.others.generic import device_list, name_to_device

from common.files import write_bytes
from common.io import load_weights
from common.serving.parameters import TRAIN, check_parameters, real_number, whole_number
from common.serving.refusal import refusing

from .dataset import prepare_studies

SETTINGS = {"max_epochs": whole_number, "batch_size": whole_number, "learning_rate": real_number}


class TrainingTask(TrainTask):
    """Train a bundle, from its shipped weights or anew, on pairs of the studies.

    A request has

    - ``pairs``: [[moving id, fixed id], ...]; without them every cine (i, j, k, t) gives a pair;
    - ``moving_frame``, ``fixed_frame`` of the cines (counted from 0; the first, and the one that differs most);
    - ``max_epochs``, ``batch_size``, ``learning_rate`` in place of the bundle's own;
    - ``pretrained``: false to begin with random weights.

    The best epoch becomes ``tuned_<time>.pt``, which registration takes as its ``model_filename``.

    Args:
        name: the bundle's; folder: where it lies; tuned: where weights and logs go.
    """

    def __init__(self, name: str, folder: Path, tuned: Path) -> None:
        super().__init__(f"{name}, trained without labels")
        self.name, self.folder, self.tuned = name, folder, tuned

    def config(self) -> dict[str, Any]:
        """The parameters of a request and their defaults."""
        unset = dict.fromkeys(("pairs", "moving_frame", "fixed_frame", "batch_size", "learning_rate"), "")
        return {"device": device_list(), "pretrained": True, "max_epochs": 5, **unset}

    def stats(self) -> dict[str, Any]:
        """The last epoch of the latest training."""
        logs = sorted(self.tuned.glob("*/log.csv"))
        if not logs:
            return {}
        with logs[-1].open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {"training": logs[-1].parent.name, **(rows[-1] if rows else {})}

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Prepare the pairs, train, and leave the weights; return their name."""
        stamp = time.strftime("%Y%m%d_%H%M%S")
        output = self.tuned / stamp
        with refusing(output):
            settings = _settings(request)
            dims = int(_parser(self.folder).get_parsed_content("spatial_dims"))
            dataset = prepare_studies(datastore, request, output / "dataset", dims)
            device = str(name_to_device(request.get("device") or None))
            self._train(output, {**settings, "dataset_dir": str(dataset), "device": device}, request)
            tuned = self.tuned / f"tuned_{stamp}.pt"
            write_bytes(tuned, (output / "model.pt").read_bytes())
        shutil.rmtree(dataset)
        return {"model_filename": tuned.name}

    def _train(self, output: Path, overrides: dict[str, Any], request: dict[str, Any]) -> None:
        settings = {"output_dir": str(output), "num_workers": 0, "resume": False, **overrides}
        sys.path.insert(0, str(self.folder))  # of a package: its own library
        try:
            workflow = ConfigWorkflow(str(_config(self.folder)), workflow_type="train", logging_file=False, **settings)
            workflow.initialize()
            if str(request.get("pretrained", True)).lower() not in ("false", "0"):
                load_weights(workflow.parser.get_parsed_content("network_def"), self.folder / "models" / "model.pt")
            workflow.run()
        finally:
            sys.path.remove(str(self.folder))


def learns_without_labels(folder: Path) -> bool:
    """Tell whether a bundle has a training that needs no label maps."""
    config = _config(folder)
    return config is not None and "num_classes" not in _parser(folder).config


def _config(folder: Path) -> Path | None:
    found = [folder / "configs" / name for name in ("train.json", "train.yaml")]
    return next((path for path in found if path.is_file()), None)


def _parser(folder: Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(str(_config(folder)))
    return parser


def _settings(request: dict[str, Any]) -> dict[str, Any]:
    """The bundle's settings that a request changes; raise InputError for a parameter of another type or range."""
    check_parameters(request, TRAIN, others=True)
    return {key: kind(request[key]) for key, kind in SETTINGS.items() if request.get(key) not in (None, "")}
