"""A bundle's documents as a package has them."""

from __future__ import annotations

import json
from typing import Any

from common.errors import InputError

from .configs import in_the_bundle
from .library import of_the_repository

DISTRIBUTIONS = {"ignite": "pytorch-ignite", "yaml": "pyyaml", "PIL": "pillow"}  # by module, where they differ
NAMED_APART = {"monai", "torch", "numpy"}  # metadata has a field for the version of each
USE = """\
All commands are given from this folder. `python -m tools...` are programs of the Warpsure repository; nothing else is
needed of it. With another working directory, give the configs' full paths. From Python, with the weights:

    from monai.bundle import load
    network = load("{zoo_name}", bundle_dir="THE FOLDER ABOVE", workflow_type="inference").eval()
    pred = network(image)  # (B, {inputs}, *spatial) -> (B, {channels}, *spatial); `network.channels` names them

The weights fit the network of the inference config; that of the training config follows the data that it is given. As
TorchScript:

    python -m monai.bundle ckpt_export --config_file configs/inference.yaml --bundle_root .

"""


def readme(text: str, name: str, zoo_name: str, metadata: dict[str, Any]) -> str:
    """The bundle's page, with the package's name, its paths and how it is loaded.

    Raises:
        InputError: for a page without a section of its use.
    """
    if "\n## Use\n\n" not in text:
        raise InputError(f"{name}: docs/README.md has no section `Use`; render the bundles.")
    data = metadata["network_data_format"]
    inputs, channels = data["inputs"]["image"]["num_channels"], data["outputs"]["pred"]["num_channels"]
    text = of_the_repository(in_the_bundle(text, name)).replace(f"# {name}\n", f"# {zoo_name}\n", 1)
    use = USE.format(zoo_name=zoo_name, inputs=inputs, channels=channels)
    if "weights" not in metadata:  # there is nothing to load yet
        use = use.partition(" From Python")[0] + "\n\n"
    return text.replace("\n## Use\n\n", f"\n## Use\n\n{use}", 1)


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
