"""A bundle's documents as a package has them."""

from __future__ import annotations

import json
from textwrap import wrap
from typing import Any

from common.errors import InputError

from .configs import in_the_bundle
from .library import of_the_repository

DISTRIBUTIONS = {"ignite": "pytorch-ignite", "yaml": "pyyaml", "PIL": "pillow"}  # by module, where they differ
NAMED_APART = {"monai", "torch", "numpy"}  # metadata has a field for the version of each
USE = """\
All commands are given from this folder; with another working directory, give the configs' full paths. Programs that are
said to be of the Warpsure repository are not in this package, and are needed only to prepare data of your own.

    # what it was made and tested with; other versions may do
    pip install {pins}

    # whether every file is as it was packed
    sha256sum -c SHA256SUMS
{register}
Everything that the bundle itself does:

"""
REGISTER = """
    # register two files, on grids of their own: images, fields in both directions, maps, a picture and figures
    python -m {library}.registration MOVING.nii.gz FIXED.nii.gz --output OUT

    # as TorchScript, to models/model.ts
    python -m monai.bundle ckpt_export --config_file configs/inference.yaml --bundle_root .

From Python, with the weights:

    from monai.bundle import load
    network = load("{zoo_name}", bundle_dir="THE FOLDER ABOVE").eval()
    pred = network(image)  # (B, {inputs}, *spatial) -> (B, {channels}, *spatial); `network.channels` names them
{classes}"""
CLASSES = """
The weights are of {classes} classes, background included. With data of another number of classes, train first, and give
`--checkpoint` to the evaluation and `--num_classes` with it to inference, also by an ensemble.
"""


def readme(text: str, name: str, metadata: dict[str, Any], library: str) -> str:
    """The bundle's page, with the package's name, its paths, what to install and how it is used.

    Raises:
        InputError: for a page without a section of its use.
    """
    if "\n## Use\n\n" not in text:
        raise InputError(f"{name}: docs/README.md has no section `Use`; render the bundles.")
    text = of_the_repository(in_the_bundle(text, name)).replace(f"# {name}\n", f"# {metadata['name']}\n", 1)
    register = _register(metadata, library) if "weights" in metadata else ""  # else there is nothing to use yet
    return text.replace("\n## Use\n\n", f"\n## Use\n\n{USE.format(pins=_pins(metadata), register=register)}", 1)


def _register(metadata: dict[str, Any], library: str) -> str:
    """What can be done with the weights as they are."""
    data = metadata["network_data_format"]
    inputs, channels = data["inputs"]["image"]["num_channels"], data["outputs"]["pred"]["num_channels"]
    shares = sum(each.startswith("share of class") for each in data["outputs"]["pred"]["channel_def"].values())
    classes = CLASSES.format(classes=shares) if shares else ""
    names = {"library": library, "zoo_name": metadata["name"]}
    return REGISTER.format(inputs=inputs, channels=channels, classes=classes, **names)


def _pins(metadata: dict[str, Any]) -> str:
    """Every package that is needed, as pip reads it, over as many lines as it takes."""
    pins = {"torch": metadata["pytorch_version"]} | {each: metadata[f"{each}_version"] for each in ("monai", "numpy")}
    words = [f"{name}=={version}" for name, version in (pins | metadata["required_packages_version"]).items()]
    return " \\\n".join(wrap(" ".join(words), 100, break_on_hyphens=False, subsequent_indent=" " * 6))


def packaged_metadata(text: str, zoo_name: str, requires: set[str]) -> dict[str, Any]:
    """The bundle's metadata under the package's name.

    Raises:
        InputError: where the library imports what the metadata does not ask for.
    """
    metadata = {**json.loads(text), "name": zoo_name}
    wanted = {DISTRIBUTIONS.get(module, module) for module in requires - NAMED_APART}
    missing = sorted(wanted - set(metadata["required_packages_version"]))
    if missing:
        raise InputError(
            f"{zoo_name}: required_packages_version lacks {', '.join(missing)}, which the library imports; "
            "add it to tools/recipes/base/metadata.json."
        )
    return metadata
