"""Which bundle a run trains, kept beside its weights, so that the run can be opened as a bundle is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..collection.find import RECORD
from ..files import write_json
from ..overrides import running_workflow

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

PLAIN = (str, int, float, list, dict, type(None))


def record_bundle(run: Path) -> None:
    """Write the bundle's folder and the network's config to the folder of a run, if a bundle's config is being run."""
    workflow = running_workflow()
    if workflow is not None and "network_def" in workflow.parser:
        folder = workflow.config_root_path.resolve().parent
        network = plain(workflow.parser, "network_def")
        write_json(run / RECORD, {"folder": str(folder), "network_def": network})


def plain(parser: ConfigParser, id: str) -> Any:
    """A setting without references and expressions: what they lead to stands in their place, unless it is an object.

    What a component requires is kept: the bundle's configs for inference have it too.
    """
    value = parser[id]
    if isinstance(value, str) and value.startswith("@"):
        return plain(parser, value[1:])
    if isinstance(value, str) and value.startswith("$"):
        content = parser.get_parsed_content(id)
        return content if isinstance(content, PLAIN) else value
    if isinstance(value, list):
        return [plain(parser, f"{id}::{number}") for number in range(len(value))]
    if isinstance(value, dict):
        return {key: each if key == "_requires_" else plain(parser, f"{id}::{key}") for key, each in value.items()}
    return value
