"""``monai.bundle run inference``: each pair of a run, as by ``warpsure register``."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor
from tqdm import tqdm

from ..engines.inferer import BatchInferer
from ..errors import InputError
from ..io.weights import load_weights
from ..networks.paths import check_path, path_fields
from ..physical import background, warp_image
from .bundle import version_of
from .look import check_outside
from .outcome import By
from .outputs import check_format, refuse_inputs, write_registration
from .pairs import Entries
from .register import field_of, refinement_of, registration_of
from .tasks import Task, tasks

if TYPE_CHECKING:
    from ..networks.ensemble import Registering


class RegistrationInference(SupervisedEvaluator):
    """Register every case of ``dataset`` and write it to ``output_dir`` by `write_registration`.

    ``files`` lists what was written.

    Args:
        device: where the network runs.
        network: a `RegistrationNetwork`.
        dataset: the cases.
        output_dir: a prepared data set's pairs get a folder each in it.
        checkpoint: weights to load, strictly; None leaves the network as it is.
        inferer: how the slices of a stack go through the network.
        val_handlers: further handlers; ``state.output`` has "pred" and ``state.batch`` the "task".
        path_steps: images of the way from the moving to the warped image to write, ``NAME_path.nii.gz``, for a
            network whose estimator has a ``path``; 0 writes none.
        format: of the fields, see `io.fields`.
        picture: whether each registration gets one.
        bundle_root: the folder of the bundle, whose name and version the numbers tell.
        outside: what the method's maps are where nothing was seen, "nan" or "0".

    Raises:
        InputError: a network for other dimensions or without a path, or weights, input or output that cannot be used.
    """

    network: Registering

    def __init__(
        self,
        device: str | torch.device,
        network: Registering,
        dataset: Entries,
        output_dir: str | Path,
        checkpoint: str | Path | None = None,
        inferer: Inferer | None = None,
        val_handlers: Sequence[Any] | None = None,
        path_steps: int = 0,
        format: str = "nifti",
        picture: bool = True,
        bundle_root: str | Path = "",
        outside: str | int | float = "nan",
    ) -> None:
        device = torch.device(device)
        check_path(network, path_steps)
        check_format(format, network.spatial_dims)
        if network.spatial_dims != dataset.spatial_dims:
            raise InputError(f"spatial_dims is {dataset.spatial_dims} but the network is {network.spatial_dims}D.")
        if checkpoint:
            load_weights(network, checkpoint)
        root = Path(bundle_root).resolve()
        self.by = By(root.name, version_of(root), checkpoint or getattr(network, "members", None), device)
        self.outside = check_outside(outside)
        self.output_dir, self.path_steps, self.format, self.picture = Path(output_dir), path_steps, format, picture
        self.files: list[Path] = []
        super().__init__(
            device=device,
            val_data_loader=dataset,
            epoch_length=len(dataset),
            network=network.to(device),
            inferer=inferer or BatchInferer(),
            prepare_batch=self._input,
            decollate=False,
            val_handlers=val_handlers,
        )
        self.dataset = dataset
        self.channels: tuple[str, ...] = network.channels
        self.add_event_handler(Events.ITERATION_COMPLETED, self._write)

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]  # as MONAI's own evaluators
        """Register all cases and say where the files are."""
        self.files.clear()
        with tqdm(total=self.state.epoch_length, desc="registering", unit="pair", disable=None) as self._bar:
            super().run(global_epoch)
        print(f"{self.output_dir}: {len(self.files)} files of {self.state.iteration} registrations")

    def task_of(self, batch: dict[str, Any]) -> Task:
        """What goes through the network for an entry of the data set."""
        return next(tasks(self.network, self.dataset.framing, [batch["case"]]))

    def _input(self, batch: dict[str, Any], device: torch.device, non_blocking: bool, **_: Any) -> tuple[Tensor, None]:
        """Take what the network sees of a case to the device; there is no target."""
        batch["task"] = self.task_of(batch)
        case = batch["task"].case
        refuse_inputs(self.output_dir / case.folder, case.name, self.format, case.files)
        return batch["task"].image.to(device, non_blocking=non_blocking), None

    def _write(self, engine: Engine) -> None:
        batch, output = (cast("dict[str, Any]", each) for each in (engine.state.batch, engine.state.output))
        self.files += self.write(batch, output[Keys.PRED])
        self._bar.update()

    def write(self, batch: dict[str, Any], pred: Tensor) -> list[Path]:
        """Write the files of a prediction (S, C, *region) and return them."""
        task = batch["task"]
        seconds = getattr(self.inferer, "seconds", nan)
        found = registration_of(task, pred, self.channels, seconds, self.by, refinement_of(self.network))
        more = {"path": self._path(task)} if self.path_steps else None
        folder, name = self.output_dir / task.case.folder, task.case.name
        files = write_registration(found, folder, name, self.format, self.picture, more, True, self.outside)
        for line in found.warnings:
            self._bar.write(f"warning: {name}: {line}")
        return files

    def _path(self, task: Task) -> np.ndarray:
        """The way from the moving to the warped image, (i, j, k, steps): the layout of a series in time.

        Its first image need not be the moving one (see `DiffuseMorph.path`); its last is the warped image.
        """
        moving, outside = task.case.moving, background(task.case.moving.array, task.case.fill)
        fields = path_fields(self.network, task.image.to(self.by.device), self.path_steps)
        ddfs = [field_of(task, task.blended(ddf)) for ddf in fields]
        images = [warp_image(moving.array, moving.affine, ddf, fill=outside) for ddf in ddfs]
        return np.stack([image if image.ndim == 3 else image[..., None] for image in images], axis=-1)
