"""A training in plain lines: one an epoch, and at the end what came of it; a log file shows them as a terminal does."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Mapping

from ignite.engine import Engine, Events
from torch import Tensor, nn
from tqdm import tqdm

from ..engines.validation import quick_metrics
from ..interfaces import Deformation
from ..parallel import rank
from .validation import Validation

DICE = ("label/dsc", "standard/dsc")  # by which `Validation` judges: the first that there is


class EpochLines:
    """Print a line an epoch: losses, validation, its seconds and the time left; at the end the weights. Attach it last.

    Args:
        validation: the run's; None for a run without one.
    """

    def __init__(self, validation: Validation | None = None) -> None:
        self.validation, self.metrics = validation, dict[str, float]()

    def attach(self, engine: Engine) -> None:
        """Follow ``engine``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._report)
        engine.add_event_handler(Events.COMPLETED, self._end)

    def _start(self, engine: Engine) -> None:
        self.since = time.perf_counter()

    def _report(self, engine: Engine) -> None:
        state, seconds = engine.state, time.perf_counter() - self.since
        found = {name.removeprefix("val/"): v for name, v in state.metrics.items() if name.startswith("val/")}
        self.metrics = found or self.metrics
        left = seconds * (state.max_epochs - state.epoch)
        parts = [losses(state.metrics), *([f"validation {quality(found)}"] if found else [])]
        parts += [f"{seconds:.1f} s", *([f"{spelt(left)} left"] if left else [])]
        say(f"epoch {state.epoch}/{state.max_epochs}: {', '.join(parts)}")

    def _end(self, engine: Engine) -> None:
        if self.validation is None or not self.metrics:
            return  # as where it was trained already
        kept, state = self.validation, engine.state
        before = quick_metrics(Unmoved(), kept.loader, kept.precision)  # by every process, for its share of the pairs
        after = f"validation {quality(self.metrics)}, without registration {quality(before)}"
        say(f"trained: last epoch {state.epoch} of {state.max_epochs}; {after}{best_of(kept)}")
        which = f"best epoch, {kept.best_epoch}" if kept.keep == "best" else "last epoch"
        say(f"weights of the {which}: {kept.path}")


class Unmoved(nn.Module):
    """No registration: a field of zeros."""

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        """The deformation of two images (B, 1, *spatial)."""
        return Deformation(fixed.new_zeros(len(fixed), fixed.dim() - 2, *fixed.shape[2:]).float())


def say(line: str) -> None:
    """Print a line on the process that speaks, above a progress bar if there is one."""
    if rank() == 0:
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()


def losses(metrics: Mapping[str, float]) -> str:
    """The loss of each estimator."""
    found = {match[1]: v for name, v in metrics.items() if (match := re.fullmatch(r"train/(\w+)/loss", name))}
    return ", ".join(f"{name} loss {value:.4g}" for name, value in found.items())


def quality(metrics: Mapping[str, float]) -> str:
    """The Dice by which a validation judges, and by the published protocol; without labels the mean squared error."""
    name = next((name for name in DICE if name in metrics), None)
    if name is None or math.isnan(metrics[name]):
        return f"MSE {metrics['mse']:.4g}"
    published = metrics.get("published/dsc", math.nan) if name == "standard/dsc" else math.nan
    return f"DSC {metrics[name]:.2f} %" + ("" if math.isnan(published) else f" (published {published:.2f} %)")


def best_of(kept: Validation) -> str:
    """The best epoch, where it is known."""
    score = f"{kept.best:.2f} %" if kept.best >= 0 else f"MSE {-kept.best:.4g}"
    return f"; best epoch {kept.best_epoch} ({score})" if kept.best_epoch else ""


def spelt(seconds: float) -> str:
    """A time in words, as exact as one reads it."""
    minutes, hours = seconds / 60, seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.0f} min" if minutes >= 2 else f"{seconds:.0f} s"
