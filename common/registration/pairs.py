"""The pairs of an inference run: two files of a user, or a split of a prepared data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from ..data import prepared
from ..errors import InputError
from .api import case_of_files
from .case import Case, case_of_pair
from .region import Framing


class Entries(Protocol):
    """What a run goes through: entries that hold a case, in the region that ``framing`` gives."""

    spatial_dims: int
    framing: Framing

    def __len__(self) -> int:
        """How many."""
        ...

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """One after the other."""
        ...


class PairsToRegister:
    """The cases of a run; iterating gives ``{"case": Case}``.

    Give ``moving`` and ``fixed``, or ``dataset_dir`` and ``split``. No label is needed.

    Args:
        moving, fixed: files on any grids: 2D images, stacks of slices or volumes.
        moving_label: a label map to carry along; fixed_label: one to compare it with.
        dataset_dir, split: a prepared data set; each pair gets a folder of its own.
        source: the folder that the data set was prepared from, to write results on the grids of its files; without
            it they are on the prepared grid.
        spatial_dims: of the network.
        framing: where the network looks in ``moving`` and ``fixed``; a prepared data set is framed already.
        name: what the files are called after; None is the moving file's name. Not for a data set.

    Raises:
        InputError: neither files nor a data set, or input that cannot be registered.
    """

    def __init__(
        self,
        moving: str | Path | None = None,
        fixed: str | Path | None = None,
        moving_label: str | Path | None = None,
        dataset_dir: str | Path | None = None,
        split: str = "test",
        source: str | Path | None = None,
        spatial_dims: int = 2,
        framing: Framing | None = None,
        name: str | None = None,
        fixed_label: str | Path | None = None,
    ) -> None:
        self.spatial_dims, self.framing, self.source = spatial_dims, framing or Framing(), source
        if bool(moving) != bool(fixed):
            raise InputError(f"moving is {moving!r} and fixed is {fixed!r}; give both.")
        if not (moving or dataset_dir):
            raise InputError("nothing to register; give --moving and --fixed, or --dataset_dir.")
        labels = (moving_label or None, fixed_label or None)
        self._single = case_of_files(moving, fixed, labels, name=name) if moving else None
        if self._single is None:
            self.dataset = prepared.read(str(dataset_dir))
            self.pairs = self.dataset.pairs(split)
            if self.dataset.spatial_dims != spatial_dims:
                raise InputError(
                    f"{dataset_dir}: pairs are {self.dataset.spatial_dims}D but the network is {spatial_dims}D; "
                    "use another bundle or data set."
                )

    def __len__(self) -> int:
        return 1 if self._single else len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"case": self._single or self._of_pair(self.pairs[index])}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def _of_pair(self, pair: dict[str, Any]) -> Case:
        return case_of_pair(self.dataset, pair, self.source)
