"""Write the bundles from their recipes, or ``--check`` that they are as rendered.

A bundle is one architecture trained by one method. ``tools/recipes`` holds a fragment for each of them and
the templates of a bundle's files; a bundle's weights and what was measured with them are not rendered.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common.collection.find import need_repository
from common.errors import InputError, say_in_one_line
from common.options import Parser, add_output, program

from .recipes.shipped import RECIPES, about_data, all_weights, results

BUNDLES = Path(__file__).parent.parent / "bundles"
REQUIREMENTS = Path(__file__).parent.parent / "requirements.txt"
CONFIGS = (
    "train.yaml",
    "snapshot_train.yaml",
    "multi_gpu_train.yaml",
    "evaluate.yaml",
    "ensemble_evaluate.yaml",
    "inference.yaml",
    "ensemble_inference.yaml",
    "logging.conf",
    "metadata.json",
)
KEYS = {  # that a recipe must have, and that it may have
    "architectures": (
        "name title reference network field network_settings path smooth_factor training cost",
        "order encoder",
    ),
    "methods": (
        "name title reference what equations limits objective objective_settings trainer settings search cost",
        "order architectures spatial_dims training extra_epochs images companion maps estimator_settings "
        "network_settings network_values ablations shows_weight",
    ),
}
NAMES = {"architectures": r"[a-z]+", "methods": r"[a-z][a-z0-9_]*"}
GIVES = {"displacement_log_variance": "the log variance of the displacement"}
TEMPLATES = {f"configs/{name}": name for name in CONFIGS} | {
    "docs/README.md": "README.md",
    "docs/data_license.txt": "data_license.txt",
    "LICENSE": "LICENSE",
}


def recipes(kind: str) -> list[dict[str, Any]]:
    """The fragments in ``tools/recipes/<kind>``, by name."""
    return [yaml.safe_load(path.read_text("utf-8")) for path in sorted((RECIPES / kind).glob("*.yaml"))]


def check_recipe(kind: str, recipe: dict[str, Any]) -> None:
    """Refuse a recipe that lacks a key, has one that is not known, or a name that no bundle can have.

    Raises:
        InputError: naming the key.
    """
    where, (required, optional) = f"tools/recipes/{kind}/{recipe.get('name')}.yaml", map(str.split, KEYS[kind])
    if missing := [key for key in required if key not in recipe]:
        raise InputError(f"{where}: no {', '.join(missing)}; docs/extending.md shows a whole recipe.")
    if unknown := recipe.keys() - {*required, *optional}:
        raise InputError(f"{where}: {min(unknown)}: no such key; known are {', '.join([*required, *optional])}.")
    if not re.fullmatch(NAMES[kind], recipe["name"]):
        raise InputError(f"{where}: name {recipe['name']!r}: give one like {NAMES[kind]}.")


def combinations() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Every bundle that there are recipes for: name -> its architecture's and its method's."""
    return {
        f"{architecture['name']}_{method['name']}": (architecture, method)
        for architecture in recipes("architectures")
        for method in recipes("methods")
        if architecture["name"] in method.get("architectures", [architecture["name"]])
    }


def bundle_names() -> list[str]:
    """Every bundle that there are recipes for."""
    return list(combinations())


def settings_of(name: str, architecture: dict[str, Any], method: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A method's settings with their values for one bundle: those of the training that was best, where one was."""
    settings = {key: {"of_dataset": None, **entry} for key, entry in method["settings"].items()}
    if "smooth_weight" in settings:
        settings["smooth_weight"]["value"] *= architecture["smooth_factor"]
    if "smooth_spacing" in method["objective_settings"]:
        settings = with_spacing(settings)
    return {key: entry | chosen(name, key, entry["value"]) for key, entry in settings.items()}


def with_spacing(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with that of smoothness behind lambda, which every method that has it calls the same."""
    comment = "edges of a voxel, mm, as [1.8, 1.8, 10]; null: as of a cube"
    spacing = {"smooth_spacing": {"of_dataset": None, "value": "null", "comment": comment}}
    keys = list(settings)
    first = keys[: keys.index("smooth_weight") + 1]
    return {key: settings[key] for key in first} | spacing | settings


def network_settings_of(name: str, architecture: dict[str, Any], method: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """An architecture's settings with their values for one bundle, in the same way."""
    values = {key: entry["value"] for key, entry in architecture["network_settings"].items()}
    values |= method.get("network_values", {})
    return {
        key: {"of_dataset": None, **entry, **chosen(name, key, values[key])}
        for key, entry in architecture["network_settings"].items()
    }


def chosen(name: str, key: str, otherwise: Any) -> dict[str, Any]:
    """The value of a setting that was chosen for a bundle, or another."""
    return {"value": results(name).get("chosen", {}).get(key, otherwise)}


def network_values(architecture: dict[str, Any], method: dict[str, Any]) -> dict[str, Any]:
    """What the templates know of a bundle's networks."""
    companion = method.get("companion", {})
    name = f"{architecture['name']}_{method['name']}"
    settings, of_architecture = settings_of(name, architecture, method), network_settings_of(name, architecture, method)
    estimator_settings = {key: f'"@{key}"' for key in architecture["network_settings"]}
    known = {*settings, *of_architecture}  # not every architecture has all that a companion can take
    wanted = companion.get("settings", {})
    of_companion = {key: setting for key, setting in wanted.items() if setting in known or setting.startswith("$")}
    of_network = dict.fromkeys([*of_companion.values(), *method.get("network_settings", [])])
    dims, maps = method.get("spatial_dims", 2), method.get("maps", [])
    all_maps = [companion["map"], *maps] if companion else maps
    return {
        "companion": companion,
        "estimator_settings": estimator_settings | method.get("estimator_settings", {}),
        "companion_settings": {key: f'"{at_or_formula(setting)}"' for key, setting in of_companion.items()},
        "network_settings": of_architecture | {key: settings[key] for key in of_network if key in settings},
        "architecture_settings": of_architecture,
        "num_classes": "num_classes" in settings,
        "spatial_dims": dims,
        "maps": all_maps,
        "channels": channel_names(dims, all_maps, settings),
        "gives": ([companion["what"]] if companion else []) + [GIVES[name] for name in maps],
    }


def at_or_formula(setting: str) -> str:
    """What a config says to take the value of a setting, or of a formula of settings, which begins with $."""
    return setting if setting.startswith("$") else f"@{setting}"


AXES = ("first", "second", "third")


def channel_names(dims: int, maps: list[str], settings: dict[str, Any]) -> list[str]:
    """What the channels of a bundle's prediction are, in words."""
    classes = settings["num_classes"]["value"] if "num_classes" in settings else 0
    of_classes = {"label_uncertainty": [f"label_uncertainty of class {c}" for c in range(classes)]}
    named = [name for each in maps for name in of_classes.get(each, [each])]
    fields = [f"displacement along the {axis} axis, voxels" for axis in AXES[:dims]]
    return [*fields, *named, *(f"share of class {c}" for c in range(classes)), "warped moving image"]


def expectation(measured: dict[str, Any]) -> str:
    """What to expect of a training, in one line."""
    if not measured:
        return "Nothing is measured yet."
    label = "label" in measured
    dsc, seeds = measured["label" if label else "published"]["dsc"], len(measured["seeds"])
    spread = f" +- {dsc['sd']:.1f} % ({seeds} seeds)" if seeds > 1 else " % (1 seed)"
    where = f"{measured['dataset']} ({about_data(measured['dataset'])['subjects']})"
    how = "" if label else ", published protocol"
    return f"Expect on {where}{how}: validation {'Dice of the labels' if label else 'DSC'} {dsc['mean']:.1f}{spread}."


def class_of(package: str, name: str) -> type:
    """What a recipe calls ``name``: a class that ``common.<package>`` exports, or MODULE.CLASS below it.

    Raises:
        InputError: if there is none.
    """
    module, _, attribute = f"common.{package}.{name}".rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise InputError(
            f"{name}: common.{package} exports no such class; write MODULE.CLASS, or export it ({error})."
        ) from error


def estimator_defaults(architecture: dict[str, Any]) -> dict[str, Any]:
    """An architecture's settings as its class takes them."""
    return {key: yaml.safe_load(str(entry["value"])) for key, entry in architecture["network_settings"].items()}


def parameters(architecture: dict[str, Any], method: dict[str, Any]) -> int:
    """How many parameters a bundle's networks have, in the dimensions that it is meant for."""
    dims = method.get("spatial_dims", 2)
    settings = estimator_defaults(architecture)
    fixed = {key: value for key, value in method.get("estimator_settings", {}).items() if "@" not in value}
    made = [class_of("networks", architecture["network"])(dims, **settings, **fixed)]
    if "companion" in method:
        made.append(class_of("networks", method["companion"]["network"])(dims))
    return sum(p.numel() for network in made for p in network.parameters())


def versions() -> dict[str, str]:
    """The pinned version of each package that the project is tested with, the newest Python's."""
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)", REQUIREMENTS.read_text("utf-8"), re.MULTILINE)[::-1])
    return {name.lower(): version for name, version in pins.items()}


def render(architecture: dict[str, Any], method: dict[str, Any]) -> dict[str, str]:
    """The files of one bundle: path within the bundle -> content.

    Raises:
        InputError: for a recipe that says too little, or what is not known.
    """
    check_recipe("architectures", architecture)
    check_recipe("methods", method)
    environment = Environment(
        loader=FileSystemLoader(RECIPES / "base"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters["wrapped"] = partial(textwrap.fill, width=120, break_long_words=False, break_on_hyphens=False)
    environment.filters["references"] = references
    environment.filters["of_weights"] = of_weights
    name = f"{architecture['name']}_{method['name']}"
    settings, weights = settings_of(name, architecture, method), all_weights(name)
    training = architecture["training"] | method.get("training", {})
    listed = [entry if isinstance(entry, dict) else {entry: entry} for entry in method["objective_settings"]]
    values = {
        "name": name,
        "architecture": {"encoder": None, **architecture},
        "method": {"ablations": [], "images": None, **method},
        "settings": settings,
        "objective_settings": {key: setting for entry in listed for key, setting in entry.items()},
        "training": training | {"max_epochs": training["max_epochs"] + method.get("extra_epochs", 0)},
        "alternating": method["trainer"] == "AlternatingTrainer",
        "weights": weights,
        "results": weights[0]["results"] if weights else {},
        "expect": expectation(results(name)),
        "cost": method["cost"] if "spatial_dims" in method else f"{architecture['cost']} {method['cost']}".strip(),
        "parameters": parameters(architecture, method),
        "versions": versions(),
        **network_values(architecture, method),
    }
    return {path: environment.get_template(template).render(values) for path, template in TEMPLATES.items()}


def of_weights(value: Any, setting: str, is_ensemble: bool) -> str:
    """The expression for a setting of the network, which is what the weights were trained with."""
    files, meant = "members" if is_ensemble else "checkpoint", yaml.safe_load(str(value))
    return f"$bundle.of_weights(@{files}, {setting!r}, {meant!r})"


def references(settings: Sequence[str]) -> list[str]:
    """Lines of ``name: "@name", ...`` (of "name@other": ``name: "@other"``), none broken between name and value."""
    named = [setting.partition("@") for setting in settings]
    pairs = ", ".join(f'{name}:\N{NO-BREAK SPACE}"@{other or name}"' for name, _, other in named)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in textwrap.wrap(pairs, 110)]


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    described = Parser(program("render"), description=__doc__)
    check = "change nothing; fail if a file differs from its recipe"
    described.add_argument("--check", action="store_true", help=check)
    add_output(described, "the folder of bundles (default: the repository's)", default=BUNDLES)
    return described


def main(arguments: Sequence[str] | None = None) -> int:
    """Render all bundles, or report those that differ from their recipes."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    need_repository("render")
    stale = []
    for name, (architecture, method) in combinations().items():
        for path, content in render(architecture, method).items():
            file = options.output / name / path
            if file.is_file() and file.read_text("utf-8") == content:
                continue
            stale.append(str(file))
            if not options.check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content, "utf-8")
    for file in stale:
        print(f"{file}: {'differs from its recipe; run `warpsure render`' if options.check else 'written'}")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
