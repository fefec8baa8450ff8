"""Time our VoxelMorph training step against MONAI's, and the loader against the step, in one interleaved run."""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from common.errors import InputError

LEARNING_RATE, SMOOTH_WEIGHT = 1e-4, 0.01
Batch = dict[str, Any]


class Case(NamedTuple):
    """Images (batch, 1, *size), and how many pairs the loader's data set has."""

    batch: int
    size: tuple[int, ...]
    pairs: int

    @property
    def name(self) -> str:
        """As the ratios are called."""
        return f"{len(self.size)}d"


CASES = (Case(8, (128, 128), 64), Case(1, (64, 64, 64), 8))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--repeats", type=int, default=9, help="interleaved repeats, of which the median counts")
    parser.add_argument("--threads", type=int, help="threads of PyTorch; by default as PyTorch chooses")
    parser.add_argument("--device", default="cpu", help="where the networks are")
    parser.add_argument("--dims", type=int, choices=(2, 3), help="only this number of dimensions")


def run(args: argparse.Namespace) -> None:
    """Time both sides in turns, print the medians and the ratios."""
    for option in ("repeats", "threads"):
        if (value := getattr(args, option)) is not None and value < 1:
            raise InputError(f"--{option} {value}: give at least 1")
    before = torch.get_num_threads()
    torch.set_num_threads(args.threads or before)
    print(f"{torch.get_num_threads()} threads, device {args.device}, {args.repeats} repeats in turns.")
    ratios: dict[str, float] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MONAI's, on every construction of its Warp
            for case in (c for c in CASES if args.dims in (None, len(c.size))):
                ratios |= compare(case, torch.device(args.device), args.repeats)
    finally:
        torch.set_num_threads(before)
    for name, ratio in sorted(ratios.items(), key=lambda item: not item[0].startswith("training")):
        print(f"ratio {name} {ratio:.4g}")


def compare(case: Case, device: torch.device, repeats: int) -> dict[str, float]:
    """The ratios of one case; the loader's only in 2D, where batches are many and steps short."""
    with tempfile.TemporaryDirectory() as folder:
        loader = loader_of(case, Path(folder), device)
        batch = next(iter(loader))
        calls = {"ours": our_step(case, loader, batch), "monai": monai_step(case, batch, device)}
        seconds = median_seconds(calls, repeats, device)
        loading = median_seconds({"loader": lambda: list(loader)}, 5 * repeats, device)["loader"] / len(loader)
    ours, theirs = seconds["ours"], seconds["monai"]
    print(f"  {case.name}, batch {case.batch} of {'x'.join(map(str, case.size))}:")
    print(f"    ours  {1e3 * ours:9.2f} ms a step\n    MONAI {1e3 * theirs:9.2f} ms a step")
    print(f"    loader {1e3 * loading:8.3f} ms a batch, {100 * loading / ours:.2f} % of our step")
    ratios = {f"training_step_{case.name}": theirs / ours}
    return ratios | ({"loader_vs_step": ours / loading} if case.name == "2d" else {})


def loader_of(case: Case, folder: Path, device: torch.device) -> Any:
    """Our loader over a prepared data set of random pairs."""
    from common.data import PairLoader, PreparedPairs, prepared

    random, stacked = np.random.default_rng(0), case.size if len(case.size) == 3 else (*case.size, 1)
    pairs = []
    for number in range(case.pairs):
        files = {role: f"images/{number}_{role}.nii.gz" for role in ("moving", "fixed")}
        for name in files.values():
            prepared.save_image(folder / name, random.random(stacked, dtype=np.float32), np.eye(4))
        pairs.append({"id": f"pair{number}", "subject": f"{number}", "slice": 0, **files})
    prepared.write(prepared.Dataset(folder, "random", len(case.size), splits={"train": pairs}))
    return PairLoader(PreparedPairs(folder), case.batch, shuffle=True, device=device)


def our_step(case: Case, loader: Any, batch: Batch) -> Callable[[], Any]:
    """One iteration of our trainer: a mean squared error step of VoxelMorph, one direction."""
    from common.engines import SingleTrainer
    from common.losses import MSEObjective
    from common.networks import VoxelMorph

    network = VoxelMorph(len(case.size)).to(loader.device)
    trainer = SingleTrainer(
        device=loader.device,
        max_epochs=1,
        train_data_loader=loader,
        network=network,
        objective=MSEObjective(SMOOTH_WEIGHT),
        optimizer=torch.optim.Adam(network.parameters(), LEARNING_RATE),
    )
    return stepper(trainer, batch)


def monai_step(case: Case, batch: Batch, device: torch.device) -> Callable[[], Any]:
    """The same step as users of MONAI take it: its network of equal layers, losses and SupervisedTrainer."""
    from monai.engines import SupervisedTrainer
    from monai.losses import DiffusionLoss
    from monai.networks.nets import VoxelMorph, VoxelMorphUNet

    smooth, dims = DiffusionLoss(), len(case.size)
    backbone = VoxelMorphUNet(dims, 2, 32, (16, *[32] * 7), (16, 16))
    network = VoxelMorph(backbone, integration_steps=7, half_res=False, spatial_dims=dims).to(device)

    def loss(predicted: tuple[Tensor, Tensor], fixed: Tensor) -> Tensor:
        return torch.nn.functional.mse_loss(predicted[0], fixed) + SMOOTH_WEIGHT * smooth(predicted[1])

    trainer = SupervisedTrainer(
        device=device,
        max_epochs=1,
        train_data_loader=[batch],
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), LEARNING_RATE),
        loss_function=loss,
        prepare_batch=lambda data, device, non_blocking, **_: (data["moving"], data["fixed"], (data["fixed"],), {}),
        decollate=False,
    )
    return stepper(trainer, batch)


def stepper(trainer: Any, batch: Batch) -> Callable[[], Any]:
    """A call that is one iteration of an engine, without the engine's own bookkeeping between iterations."""
    trainer.state.epoch, trainer.state.epoch_length = 1, 1
    trainer.state.batch = batch

    def step() -> Any:
        trainer.state.iteration += 1
        return trainer._iteration(trainer, dict(batch))

    return step


def median_seconds(calls: dict[str, Callable[[], Any]], repeats: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each call, taken in turns after one round that does not count."""
    rounds = [dict(timed(calls, device)) for _ in range(repeats + 1)][1:]
    return {name: float(np.median([seconds[name] for seconds in rounds])) for name in calls}


def timed(calls: dict[str, Callable[[], Any]], device: torch.device) -> Iterator[tuple[str, float]]:
    """The seconds that each call takes now."""
    for name, call in calls.items():
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        yield name, time.perf_counter() - start
