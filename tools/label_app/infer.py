"""Registration of one pair: what the bundle's own transforms make of a request, and the files that go back."""

from __future__ import annotations

import copy
import os
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monailabel.tasks.infer.bundle import BundleInferTask
from torch import nn

from common.collection.weights import FOLDER, weights_of
from common.errors import InputError
from common.io import load_weights
from common.io.fields import FORMATS, write_field
from common.nifti import save_image
from common.registration.bundle import version_of
from common.registration.card import card_of
from common.registration.outcome import By, Registration
from common.serving.refusal import refusal, refusing
from common.serving.request import own_steps, refining

SHIPPED = "model.pt"
OF_FIELD = ("field", "all")
"""Results that this app gives beside those of the bundle."""


class RegistrationTask(BundleInferTask):
    """Register a pair by a bundle, as its configs/inference says, with weights that fit to the last key.

    The network, and how images are brought to it, are those that the chosen weights were trained with.

    A request has the bundle's own parameters, and

    - ``result``: one more of its results, "field" (the displacement) or "all" (a .zip of all that
      ``warpsure register`` writes);
    - ``format``: of the field: nifti, itk, ants, l2r;
    - ``refine``: how many steps of optimisation for the pair, 0 to 1000, in place of the bundle's ``refine_steps``;
    - ``model_filename``: model.pt, other weights of the bundle, or those that a training of this app has left.

    Args:
        folder: the bundle.
        conf: of the app.
        tuned: the folder of the weights that trainings leave.

    Raises:
        InputError: a bundle that does not know MONAI Label, or weights that do not fit it.
    """

    def __init__(self, folder: Path, conf: dict[str, str], tuned: Path) -> None:
        self.folder, self.tuned = folder, tuned
        super().__init__(str(folder), conf, add_post_restore=False, load_strict=True)
        if not self.valid or "displayable_configs" not in self.bundle_config.config:
            raise InputError(f"{folder}: has no preprocessing for MONAI Label; take version 0.2.0 of it or later.")
        self.labels: dict[str, int] = {}  # MONAI Label takes the channels of a prediction for labels
        self._loaded: dict[str, tuple[Any, nn.Module]] = {}
        self._load(self.weights()[SHIPPED], "cpu")

    def config(self) -> dict[str, Any]:
        """The parameters of a request and their defaults; weights that were added since the start are among them."""
        results = [*self.displayable_configs["result"], *OF_FIELD]
        own: dict[str, Any] = {"format": list(FORMATS), "model_filename": list(self.weights())}
        if (steps := own_steps(self.network)) is not None:
            own["refine"] = steps
        return {**self._config, "result": results, **own}

    def info(self) -> dict[str, Any]:
        """What is served, and the modality of the images that each set of weights was trained on."""
        modalities = {name: card_of(file).modality for name, file in self.weights().items()}
        return {**super().info(), "modality": {name: known for name, known in modalities.items() if known}}

    def weights(self) -> dict[str, Path]:
        """Name to file: the bundle's own first, its default before all, then those of trainings, the latest first."""
        own = [self.folder / FOLDER / SHIPPED, *(each.file for each in weights_of(self.folder).values())]
        files = [*filter(Path.is_file, own), *sorted(self.tuned.glob("*.pt"))[::-1]]
        return {path.name: path for path in files}

    def pre_transforms(self, data: dict[str, Any] | None = None) -> list[Any]:
        """What brings images to the network of the weights that a request names."""
        with refusing(self.folder):
            return list(self._parsed(self._file(data)).get_parsed_content("preprocessing").transforms)

    def __call__(self, request: dict[str, Any], callbacks: Any = None) -> tuple[str | None, dict[str, Any]]:
        """Return the file of the result and the numbers."""
        wanted, form = _first(request.get("result")), _first(request.get("format")) or "nifti"
        if form not in FORMATS:
            raise refusal(f"format is {form!r}; choose one of {', '.join(FORMATS)}.")
        of_bundle = "warped" if wanted in OF_FIELD else wanted
        asked = {**request, "result": of_bundle, "wanted": wanted or "warped", "format": form}
        return super().__call__(asked, callbacks)

    def writer(self, data: dict[str, Any], extension: Any = None, dtype: Any = None) -> tuple[str, dict[str, Any]]:
        """Write what is wanted to a temporary file, which the server removes when it is sent."""
        kind, endings = data["wanted"], FORMATS[data["format"]]
        ending = ".zip" if kind == "all" else endings[0] if kind == "field" else ".nii.gz"
        handle, name = tempfile.mkstemp(prefix="tmpregistered", suffix=ending)
        os.close(handle)
        try:
            with refusing():
                _write(Path(name), kind, {**data, "registration": replace(data["registration"], by=self._by(data))})
        except Exception:
            os.unlink(name)
            raise
        said = {"shown": kind if kind in OF_FIELD else data["result"]["shown"]}
        return name, {**data["result"], **said, "modality": data["task"].trained.modality}

    def _by(self, data: dict[str, Any]) -> By:
        """What has registered."""
        device = torch.device(data.get("device") or "cpu")
        return By(self.folder.name, version_of(self.folder), self._file(data), device)

    def _get_network(self, device: str, data: dict[str, Any] | None) -> nn.Module:
        """The network with the weights that the request names, on its device, and a refinement of the request's own."""
        with refusing(self.folder):
            return refining(self._load(self._file(data), device), {} if data is None else data)

    def _file(self, data: dict[str, Any] | None) -> Path:
        """The weights that a request names."""
        files, name = self.weights(), _first((data or {}).get("model_filename")) or SHIPPED
        if name not in files:
            raise InputError(f"model_filename is {name!r}; there are {', '.join(files)}.")
        return files[name]

    def _parsed(self, file: Path) -> ConfigParser:
        """The bundle's config with the settings of these weights; those of a training are its default's."""
        models = self.folder / FOLDER
        config = ConfigParser(copy.deepcopy(self.bundle_config.config))
        config["checkpoint"] = str(file if file.parent == models else models / SHIPPED)
        return config

    def _load(self, file: Path, device: str) -> nn.Module:
        key, known = (file, file.stat().st_mtime_ns), self._loaded.get(device)
        if known is None or known[0] != key:
            network = load_weights(self._parsed(file).get_parsed_content("network_def"), file)
            known = self._loaded[device] = key, network.to(torch.device(device)).eval()
        return known[1]  # what another request loads meanwhile is not this one's


def _first(value: Any) -> Any:
    """The default of a list of choices."""
    return (value[0] if value else None) if isinstance(value, list) else value


def _write(path: Path, kind: str, data: dict[str, Any]) -> None:
    found: Registration = data["registration"]
    if kind == "all":
        _write_all(path, found, data["format"])
    elif kind == "field":
        write_field(path, found.field, data["format"])
    else:
        save_image(path, data["pred"][0], found.fixed.affine)


def _write_all(path: Path, found: Registration, format: str) -> None:
    """Write every file of a registration into one archive."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in found.save(folder, format=format):
            archive.write(file, file.name)
