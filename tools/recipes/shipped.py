"""What was measured with the weights that a bundle ships: a file for each set of them, in ``tools/recipes/results``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import yaml

from common.collection.weights import file_name

RECIPES = Path(__file__).parent


def results_file(bundle: str, weights: str | None = None) -> Path:
    """Where it stands: ``BUNDLE.json`` of the default, ``NAME/BUNDLE.json`` of the weights called NAME."""
    return RECIPES / "results" / (weights or "") / f"{bundle}.json"


def results(bundle: str, weights: str | None = None) -> dict[str, Any]:
    """What was measured with a bundle's default weights, or others; empty before that."""
    path = results_file(bundle, weights)
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def default_name(row: Mapping[str, Any]) -> str:
    """What a bundle's default weights are called: after their data set."""
    return row["dataset"].lower()


def all_results(bundle: str) -> dict[str, dict[str, Any]]:
    """The same of every set of weights, by name: the default, then the others; none without a default."""
    if not (default := results(bundle)):
        return {}
    others = sorted(path.parent.name for path in (RECIPES / "results").glob(f"*/{bundle}.json"))
    return {default_name(default): default} | {name: results(bundle, name) for name in others}


def all_weights(bundle: str) -> list[dict[str, Any]]:
    """What a bundle's files say of every set of weights: name, file, what was measured, the data, how to repeat it."""
    return [
        {
            "name": name,
            "file": f"models/{file_name(name if number else None)}",
            "results": {"ause": None, **row},
            "data": {"resized": False, **about_data(row["dataset"])},
            "command": training_command(bundle, row),
        }
        for number, (name, row) in enumerate(all_results(bundle).items())
    ]


def about_data(dataset: str) -> dict[str, Any]:
    """What is said of the data that weights were trained on."""
    return yaml.safe_load((RECIPES / "data.yaml").read_text("utf-8"))[dataset]


def training_command(bundle: str, row: Mapping[str, Any]) -> str:
    """What repeats the training of weights, indented as code: every setting that is known of it.

    Where it began with weights of another training, that one comes first.
    """
    settings = {**row["weights"]["settings"], **row.get("settings", {})}
    if not (begun := row["weights"].get("began_with")):
        return one_command(bundle, settings)
    first = one_command(bundle, begun | {"output_dir": "runs/first"})
    return f"{first}\n{one_command(bundle, settings | {'init': 'runs/first/model.pt'})}"


def one_command(bundle: str, settings: Mapping[str, Any]) -> str:
    """The command of a training with these settings."""
    texts = {key: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
             for key, value in sorted(settings.items())}  # fmt: skip
    options = [f"--{key} {shlex.quote(text)}" for key, text in texts.items()]
    # an option and its value stay on one line
    words = [option.replace(" ", "\N{NO-BREAK SPACE}") for option in options]
    head = (
        f"    python -m monai.bundle run training --config_file bundles/{bundle}/configs/train.yaml --dataset_dir DIR"
    )
    lines = wrap(" ".join(words), 110, break_long_words=False, break_on_hyphens=False)
    return " \\\n      ".join([head, *lines]).replace("\N{NO-BREAK SPACE}", " ")
