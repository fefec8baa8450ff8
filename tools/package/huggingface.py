"""A package as a model repository of Hugging Face: the same files, a model card, and weights as safetensors."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml

from common.errors import InputError
from tools.recipes.shipped import all_weights

from .contents import Package, with_sums

LICENCES = {  # by the address of the licence of the data that weights were trained on
    "https://creativecommons.org/licenses/by-nc-sa/4.0/": "cc-by-nc-sa-4.0",
    "https://creativecommons.org/licenses/by-sa/4.0/": "cc-by-sa-4.0",
}
MODALITIES = {"MR": "mri", "US": "ultrasound"}  # as they are tagged there, by their names in DICOM
LARGE = "*.pt filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
METRICS = {"dsc": "Dice coefficient, %", "hd": "Hausdorff distance, voxels", "asd": "mean surface distance, voxels"}
TYPES = {"dsc": "dice"}  # where the name differs there


def repository(package: Package) -> dict[str, bytes]:
    """The files of the model repository: path -> content."""
    files = {**package.files, **package.large, ".gitattributes": LARGE.encode()}
    files.pop("large_files.yml", None)
    weights = [path for path in files if path.endswith(".pt")]
    files |= {f"{path.removesuffix('.pt')}.safetensors": as_safetensors(files[path]) for path in weights}
    return with_sums({**files, "README.md": card(package).encode()})


def as_safetensors(weights: bytes) -> bytes:
    """A state dict as safetensors, which can hold nothing but tensors.

    Raises:
        InputError: where the package safetensors is missing.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise InputError("--huggingface needs safetensors: pip install safetensors") from error
    state = torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True)
    return save({key: value.contiguous() for key, value in state.items()}, {"format": "pt"})


def card(package: Package) -> str:
    """The model card: what Hugging Face reads of it, and the bundle's page."""
    front = yaml.safe_dump(front_matter(package), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{front}---\n\n{package.files['docs/README.md'].decode()}"


def front_matter(package: Package) -> dict[str, Any]:
    """The card's fields."""
    metadata, weights = package.metadata, all_weights(package.bundle)
    dims = len(metadata["network_data_format"]["inputs"]["image"]["spatial_shape"])
    uncertain = any(word in metadata["pred_classes"] for word in ("variance", "score", "uncertainty"))
    modalities = dict.fromkeys(MODALITIES[each["data"]["modality"]] for each in weights) or ["mri"]
    tags = ["monai", "medical", *modalities, f"{dims}d", "image-registration", "deformable-registration"]
    tags += [*package.bundle.split("_", 1), *["uncertainty"] * uncertain]
    front = {"library_name": "monai", "license": "apache-2.0", "tags": tags}
    if not weights:
        return front
    licences = {LICENCES.get(each["data"]["licence_url"], "other") for each in weights}
    return front | {
        "license": licences.pop() if len(licences) == 1 else "other",
        "datasets": list(dict.fromkeys(each["results"]["dataset"] for each in weights)),
        "metrics": ["dice"],
        "model-index": [model(package.name, each, number) for number, each in enumerate(weights)],
    }


def model(name: str, weights: dict[str, Any], number: int) -> dict[str, Any]:
    """What was measured with one of the sets of weights, by the package's name and, but for the default, its own."""
    named = f"{name}, weights {weights['name']}" if number else name
    return {"name": named, "results": [result(weights["results"], weights["data"])]}


def result(measured: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """What was measured with the shipped weights on ``data``, as Hugging Face lists it."""
    figures = [
        {"type": TYPES.get(kind, kind), "name": f"{METRICS[kind]} ({protocol} protocol)", "value": round(value, 4)}
        for protocol, values in sorted(measured["shipped"].items())
        for kind, value in values.items()
        if kind in METRICS
    ]
    return {
        "task": {"type": "image-registration", "name": "Deformable image registration"},
        "dataset": {"name": data["title"], "type": measured["dataset"].lower(), "split": "validation"},
        "metrics": figures,
    }


def write_folder(files: dict[str, bytes], folder: Path) -> None:
    """Write a folder whole or not at all.

    Raises:
        InputError: if it exists or cannot be written.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists already; remove it, or choose another output")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing_", dir=folder.parent))
        try:
            for path, content in files.items():
                (temporary / path).parent.mkdir(parents=True, exist_ok=True)
                (temporary / path).write_bytes(content)
            temporary.chmod(0o755)
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another output") from error
