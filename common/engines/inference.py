"""Inference: register files on their native grid, and write what other programs read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from monai.utils.enums import CommonKeys as Keys
from torch import Tensor, nn
from tqdm import tqdm

from ..errors import InputError
from ..io import load_weights
from .inference_cases import PairsToRegister
from .inference_output import write_case
from .inference_path import check_path, path_fields, write_path
from .inferer import BatchInferer


class RegistrationInference(SupervisedEvaluator):
    """Register every case of ``dataset`` and write it to ``output_dir``: ``<name>_warped.nii.gz``, ...

    ``files`` lists what was written; see `write_case` for what the files hold.

    Args:
        device: where the network runs.
        network: a `RegistrationNetwork`.
        dataset: the cases.
        output_dir: a prepared data set's pairs get a folder each in it.
        checkpoint: weights to load, strictly; None leaves the network as it is.
        inferer: how the slices of a stack go through the network.
        val_handlers: further handlers; ``state.output`` has "pred" and ``state.batch`` the "case".
        path_steps: images of the way from the moving to the warped image to write, ``<name>_path.nii.gz``, for a
            network whose estimator has a ``path``; 0 writes none.

    Raises:
        InputError: a network for other dimensions or without a path, or weights, input or output that cannot be used.
    """

    def __init__(
        self,
        device: str | torch.device,
        network: nn.Module,
        dataset: PairsToRegister,
        output_dir: str | Path,
        checkpoint: str | Path | None = None,
        inferer: Inferer | None = None,
        val_handlers: Sequence[Any] | None = None,
        path_steps: int = 0,
    ) -> None:
        device = torch.device(device)
        check_path(network, path_steps)
        if network.spatial_dims != dataset.spatial_dims:
            raise InputError(f"spatial_dims is {dataset.spatial_dims} but the network is {network.spatial_dims}D.")
        if checkpoint:
            load_weights(network, checkpoint)
        self.output_dir, self.files, self.path_steps = Path(output_dir), [], path_steps
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
        self.channels: tuple[str, ...] = network.channels
        self.add_event_handler(Events.ITERATION_COMPLETED, self._write)

    def run(self, global_epoch: int = 1) -> None:
        """Register all cases and say where the files are."""
        self.files.clear()
        with tqdm(total=self.state.epoch_length, desc="registering", unit="pair", disable=None) as self._bar:
            super().run(global_epoch)
        print(f"{self.output_dir}: {len(self.files)} files of {self.state.iteration} registrations")

    def _input(self, batch: dict[str, Any], device: torch.device, non_blocking: bool, **_: Any) -> tuple[Tensor, None]:
        """Take what the network sees of a case to the device; there is no target."""
        return batch["case"].network_input(self.network).to(device, non_blocking=non_blocking), None

    def _write(self, engine: Engine) -> None:
        case = engine.state.batch["case"]
        self.files += write_case(case, engine.state.output[Keys.PRED], self.channels, self.output_dir)
        if self.path_steps:
            fields = path_fields(self.network, engine.state.output[Keys.IMAGE], self.path_steps)
            self.files.append(write_path(case, fields, self.output_dir))
        self._bar.update()


def image_of(batch: dict[str, Any], device: torch.device, non_blocking: bool, **_: Any) -> tuple[Tensor, None]:
    """Take the network's input of a batch to the device; there is no target."""
    return batch["image"].to(device, non_blocking=non_blocking), None
