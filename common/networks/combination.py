"""What several predictions of one pair say together (predictive, Eq. 7 and 9), from running sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError

LABEL_UNCERTAINTY, SEGMENTATION = "label_uncertainty_", "segmentation_"
LOG_VARIANCES = ("log_variance", "displacement_log_variance")


class Moments:
    """Mean and variance of what is added, by Welford's recurrence: stable in float32 however many they are.

    Args:
        over_channels: average the variance over the channels.
    """

    def __init__(self, over_channels: bool = False) -> None:
        self.count, self.over_channels = 0, over_channels

    def add(self, x: Tensor) -> None:
        """Take one more ``x`` (B, C, *spatial)."""
        self.count += 1
        if self.count == 1:
            self.mean = x.clone()
            self.squares = torch.zeros_like(x[:, :1] if self.over_channels else x)
            return
        difference = x - self.mean
        self.mean.add_(difference, alpha=1 / self.count)
        squares = difference.square_()
        squares = squares.mean(1, keepdim=True) if self.over_channels else squares
        self.squares.add_(squares, alpha=(self.count - 1) / self.count)

    @property
    def variance(self) -> Tensor:
        """1/N sum (x_n - mean)^2, exactly 0 for one."""
        return self.squares / self.count


class Combination:
    """The prediction of an ensemble, member by member; no member's own prediction is kept.

    With mean field phi, warped image W and segmentation S of N members:

    - "ddf_*": phi = 1/N sum phi_n
    - "log_variance" (of intensities): log 1/N sum [(W - W_n)^2 + exp s_n]
    - "score": 1/N sum
    - "displacement_log_variance": log(1/N sum exp s_n + ddf_variance)
    - "label_uncertainty_c": sqrt(1/N sum [(S - S_n)^2 + u_n^2]), with u_n = 0 where the network predicts none
    - "ddf_variance": 1/N sum (phi - phi_n)^2, averaged over the components, voxels^2
    - "segmentation_c": S = 1/N sum S_n
    - "warped": the moving image under phi

    Args:
        channels: of a member's prediction, see `RegistrationNetwork`.
        num_classes: of its segmentation; None for a network without one.

    Attributes:
        channels: of the result, in the order above but the maps in the members' order.

    Raises:
        InputError: for a map that there is no rule for.
    """

    def __init__(self, channels: Sequence[str], num_classes: int | None = None) -> None:
        self._slices = _slices(channels)
        self.maps = [name for name in self._slices if name not in ("ddf_", SEGMENTATION, "warped")]
        if unknown := [name for name in self.maps if name not in (*LOG_VARIANCES, "score", LABEL_UNCERTAINTY)]:
            raise InputError(f"map {unknown[0]!r}: an ensemble has no rule for it; use one of these networks alone.")
        self.predicts_labels = LABEL_UNCERTAINTY in self.maps
        if num_classes and not self.predicts_labels:
            self.maps.append(LABEL_UNCERTAINTY)
        widths = {name: part.stop - part.start for name, part in self._slices.items()}
        widths |= {LABEL_UNCERTAINTY: num_classes or 0, "ddf_variance": 1}
        order = ["ddf_", *self.maps, "ddf_variance", *[SEGMENTATION] * bool(num_classes), "warped"]
        self.channels = tuple(
            f"{name}{number}" if name.endswith("_") else name for name in order for number in range(widths[name])
        )
        self._order, self._field = order, Moments(over_channels=True)
        self._moments = {name: Moments() for name in ("warped", SEGMENTATION) if self._varies(name)}
        self._sums: dict[str, Tensor] = {}

    def _varies(self, name: str) -> bool:
        """Whether the spread of ``name`` over the members adds to a map."""
        return ("log_variance" if name == "warped" else LABEL_UNCERTAINTY) in self.maps

    @property
    def ddf(self) -> Tensor:
        """The mean field (B, D, *spatial) of what was added so far."""
        return self._field.mean

    def add(self, pred: Tensor) -> None:
        """Take one more prediction (B, C, *spatial)."""
        parts = {name: pred[:, part] for name, part in self._slices.items()}
        self._field.add(parts["ddf_"])
        for name, moments in self._moments.items():
            moments.add(parts[name])
        for name in self.maps:
            if name in parts:
                self._sum(name, parts[name])

    def _sum(self, name: str, x: Tensor) -> None:
        before = self._sums.get(name)
        x = x.square() if name == LABEL_UNCERTAINTY else x
        if before is None:
            self._sums[name] = x.clone()
        elif name in LOG_VARIANCES:
            torch.logaddexp(before, x, out=before)
        else:
            before.add_(x)

    def result(self, warped: Tensor) -> Tensor:
        """The prediction of all together (B, len(channels), *spatial).

        Args:
            warped: the moving image under ``ddf``.
        """
        found = {"ddf_": self.ddf, "ddf_variance": self._field.variance, "warped": warped}
        if SEGMENTATION in self._moments:
            found[SEGMENTATION] = self._moments[SEGMENTATION].mean
        return torch.cat([found[name] if name in found else self._map(name) for name in self._order], dim=1)

    def _map(self, name: str) -> Tensor:
        count = self._field.count
        if name == LABEL_UNCERTAINTY:
            squares = self._moments[SEGMENTATION].squares
            return ((squares + self._sums[name] if self.predicts_labels else squares) / count).sqrt()
        if name == "score":
            return self._sums[name] / count
        spread = self._field if name == "displacement_log_variance" else self._moments["warped"]
        # of one member the spread is 0, its logarithm minus infinity, and the sum what that member predicts
        return torch.logaddexp(self._sums[name] - math.log(count), spread.variance.log())


def _slices(channels: Sequence[str]) -> dict[str, slice]:
    """Where the channels of each kind lie: numbered ones, "ddf_0" and on, under their name without the number."""
    kinds = [name.rstrip("0123456789") for name in channels]
    return {kind: slice(kinds.index(kind), kinds.index(kind) + kinds.count(kind)) for kind in kinds}
