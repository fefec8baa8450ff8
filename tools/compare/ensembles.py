"""Ensembles as rows: which weights they are made of, and what ensemble_evaluate.yaml is told of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import file_hash
from common.networks.members import chosen, files_of

KINDS = ("bootstrap", "dropout", "snapshot")
CONFIG = "ensemble_evaluate.yaml"
DROPOUT = 0.1  # predictive, section 4.1


@dataclass(frozen=True)
class Ensemble:
    """``count`` samples of a bundle's network, drawn in one of three ways (predictive, section 3.2).

    Bootstrap takes the first of the weights that ``pattern`` names, snapshot random ones, by seed 0; dropout samples
    one set of weights. ``pattern`` is a file, a folder or a glob pattern, relative to where the program was started.
    """

    kind: str
    pattern: str
    count: int = 8

    @property
    def label(self) -> str:
        """The first digits of the SHA-256 of what names the members: another pattern has another folder."""
        return hashlib.sha256(str(Path(self.pattern).absolute()).encode()).hexdigest()[:12]

    @cached_property
    def files(self) -> list[Path]:
        """The weights of each member.

        Raises:
            InputError: there are none, or too few or too many.
        """
        found = [path.resolve() for path in files_of(str(Path(self.pattern).absolute()))]
        if missing := [path for path in found if not path.is_file()]:
            raise InputError(f"{missing[0]}: no such file; give weights, a folder of them or a quoted pattern.")
        wanted = 1 if self.kind == "dropout" else self.count
        if len(found) < wanted:
            raise InputError(f"{self.pattern}: {len(found)} files for {wanted} members; train more, or give --members.")
        if self.kind == "dropout" and len(found) > 1:
            raise InputError(f"{self.pattern}: {len(found)} files, but dropout samples one network; give one file.")
        return chosen(found, wanted, "random") if self.kind == "snapshot" else found[:wanted]

    @property
    def settings(self) -> dict[str, str]:
        """What the evaluation is told beside the members."""
        passes = {"passes": str(self.count), "dropout": str(DROPOUT)}
        return {"kind": self.kind, **(passes if self.kind == "dropout" else {})}

    @property
    def overrides(self) -> dict[str, str]:
        """Of ensemble_evaluate.yaml."""
        told = {key: value for key, value in self.settings.items() if key != "kind"}
        return {"members": json.dumps([str(file) for file in self.files]), **told}

    @property
    def trainings(self) -> int:
        """How many trainings it takes: the paper's #Trn."""
        return self.count if self.kind == "bootstrap" else 1

    def is_of(self, members: Sequence[Mapping[str, Any]]) -> bool:
        """Tell whether ``members`` of a metrics.json are these weights."""
        return sorted(each["checkpoint_sha256"] for each in members) == sorted(map(file_hash, self.files))
