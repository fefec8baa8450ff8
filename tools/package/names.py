"""What a bundle is called where it is not one of ours alone: anatomy, modality, task, name."""

from __future__ import annotations

from typing import Any

from tools.render import combinations, results

DATA = {"ACDC": "cardiac_cine", "Hippocampus": "hippocampus_mr"}  # by what the weights were trained on
MEANT_FOR = {2: "cardiac_cine", 3: "hippocampus_mr"}  # without weights


def zoo_name(bundle: str) -> str:
    """The bundle's name in the Model Zoo: ``cardiac_cine_registration_vxm_hetero``."""
    measured: dict[str, Any] = results(bundle)
    dims = combinations()[bundle][1].get("spatial_dims", 2)
    return f"{DATA[measured['dataset']] if measured else MEANT_FOR[dims]}_registration_{bundle}"
