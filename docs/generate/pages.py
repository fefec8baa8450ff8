"""The pages that say what the recipes say: one per method, one per architecture."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import formulas
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tools import render

DOCS = Path(__file__).resolve().parent.parent
ROOT = DOCS.parent
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
SMOOTHNESS = (
    "`smooth(v)` is the mean squared forward difference of the regularised field `v`: of the velocity with VoxelMorph, "
    "of the displacement itself with the other architectures."
)
COLUMNS = "| bundle | data | seeds | DSC %, published | DSC %, standard | HD95 px, standard | folding % | AUSE, 10⁻⁴ |"
NONE_MEASURED = "No weights are shipped, so nothing was measured: train first."
PICTURED = "vxm"  # the architecture whose bundles the pictures are of
KINDS = ("methods", "architectures")  # of recipes, each with a folder of pages


def paths(kind: str) -> list[str]:
    """The pages on one kind of recipe, below docs: their index, and one for each."""
    return [f"{kind}/{name}.md" for name in ("index", *(recipe["name"] for recipe in render.recipes(kind)))]


def all_pages() -> dict[str, str]:
    """Every generated page: its path below docs -> Markdown.

    Raises:
        NotAFormula: if what stands for equations is none, naming the recipe.
    """
    made = {"methods": (methods_index, method_page), "architectures": (architectures_index, architecture_page)}
    return {
        path: content
        for kind, (index, page) in made.items()
        for path, content in zip(paths(kind), [index(), *(_of_recipe(page, kind, r) for r in render.recipes(kind))])
    }


def _of_recipe(page: Callable[[dict[str, Any]], str], kind: str, recipe: dict[str, Any]) -> str:
    try:
        return page(recipe)
    except formulas.NotAFormula as error:
        said = f"{error.args[0]!r} is no formula; docs/generate/formulas.py has the notation"
        raise formulas.NotAFormula(f"tools/recipes/{kind}/{recipe['name']}.yaml: {said}.") from error


def method_page(method: dict[str, Any]) -> str:
    """The page of one method."""
    bundles = [name for name, (_, of) in render.combinations().items() if of["name"] == method["name"]]
    bundles.sort(key=lambda name: not name.startswith(f"{PICTURED}_"))
    values = render.network_values(*render.combinations()[bundles[0]])
    recipe = {"companion": None, "ablations": [], "shows_weight": False, **method}
    return TEMPLATES.get_template("method.md").render(
        method=recipe,
        bundles=bundles,
        maps=values["maps"],
        dims=values["spatial_dims"],
        settings=render.settings_of(bundles[0], *render.combinations()[bundles[0]]),
        picture=(DOCS / "pictures" / f"{method['name']}.png").is_file(),
        pictured=PICTURED,
        equations=formulas.blocks(method["equations"]),
        smoothness=formulas.blocks(SMOOTHNESS),
        results=table(bundles),
    )


def architecture_page(architecture: dict[str, Any]) -> str:
    """The page of one architecture."""
    network = render.class_of("networks", architecture["network"])
    summary, _, arguments = inspect.cleandoc(network.__doc__ or "").partition("Args:")
    return TEMPLATES.get_template("architecture.md").render(
        architecture={**architecture, "field": formulas.blocks(architecture["field"])},
        summary=summary.strip().replace("``", "`"),
        arguments=textwrap.dedent(arguments.split("\nRaises:")[0]).strip().replace("``", "`"),
        an_argument=next((name for name in list(inspect.signature(network).parameters)[1:]), None),
        parameters=_sizes(architecture, 2),
        parameters_3d=_sizes(architecture, 3),
        results=table([name for name, (a, _) in render.combinations().items() if a["name"] == architecture["name"]]),
    )


@cache
def _count(network: str, dims: int, settings: tuple[tuple[str, Any], ...]) -> int:
    made = render.class_of("networks", network)(dims, **dict(settings))
    return sum(p.numel() for p in made.parameters())


def _sizes(architecture: dict[str, Any], dims: int) -> str:
    """How many parameters there are, by the settings that the recipe begins with, which it names."""
    settings = render.estimator_defaults(architecture)
    named = ", ".join(f"`{name}` {entry['value']}" for name, entry in architecture["network_settings"].items())
    return f"{_count(architecture['network'], dims, tuple(settings.items())):,}" + (f" ({named})" if named else "")


def table(bundles: list[str]) -> str:
    """What was measured with the shipped weights of ``bundles``, on validation pairs."""
    rows = [_row(name, each) for name in bundles for each in render.all_weights(name)]
    without = [f"`{name}`" for name in bundles if not render.results(name)]
    missing = f"Without weights: {', '.join(without)}."
    if not rows:
        return f"{NONE_MEASURED} {missing}"
    rule = "|---" * (COLUMNS.count("|") - 1) + "|"
    note = "On validation pairs, mean ± standard deviation over seeds. More is in [Results](../results.md)."
    return "\n".join([COLUMNS, rule, *rows]) + f"\n\n{note}" + (f"\n\n{missing}" if without else "")


def _row(name: str, weights: dict[str, Any]) -> str:
    measured = weights["results"]
    named = f"`{name}`" + ("" if weights["file"] == "models/model.pt" else f", `--weights {weights['name']}`")
    published, standard = (measured[protocol]["dsc"] for protocol in ("published", "standard"))
    ause = measured.get("ause")
    cells = [named, measured["dataset"], len(measured["seeds"]), _spread(published), _spread(standard),
             f"{measured['standard']['hd95']['mean']:.2f}", f"{measured['folding_percent']['mean']:.3f}",
             f"{1e4 * ause['mean']:.2f}" if ause and "label" not in measured else "–"]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def uncertainty_table() -> str:
    """How well the maps of the shipped weights rank residuals, and find wrong labels."""
    rows = ["| bundle | map | AUSE, 10⁻⁴ | AUROC, image | AUROC, borders |", "|---|---|---|---|---|"]
    for name, (architecture, method) in render.combinations().items():
        measured = render.results(name)
        if all(measured.get(key) for key in ("ause", "error_auroc")):
            first = render.network_values(architecture, method)["maps"][0]
            ause = "–" if "label" in measured else f"{1e4 * measured['ause']['mean']:.2f}"
            aurocs = (f"{measured[key]['mean']:.2f}" for key in ("error_auroc", "error_auroc_band"))
            rows.append(f"| `{name}` | `{first}` | {ause} | {' | '.join(aurocs)} |")
    return "\n".join(rows)


def _spread(value: dict[str, Any]) -> str:
    return f"{value['mean']:.2f}" + (f" ± {value['sd']:.2f}" if "sd" in value else "")


def methods_index() -> str:
    """The page that lists the methods."""
    rows = [f"| [`{m['name']}`]({m['name']}.md) | {m['title']} | {_gives(m)} |" for m in render.recipes("methods")]
    head = ["# Methods", "", "A bundle is one architecture trained by one method: `<architecture>_<method>`.", ""]
    return "\n".join([*head, "| method | | gives beside the field |", "|---|---|---|", *rows, *_bundle_table()]) + "\n"


def _gives(method: dict[str, Any]) -> str:
    companion = method.get("companion")
    maps = ([companion["what"]] if companion else []) + [render.GIVES[name] for name in method.get("maps", [])]
    return " and ".join(maps) or "–"


def _bundle_table() -> Iterator[str]:
    architectures = [a["name"] for a in render.recipes("architectures")]
    yield from ["", "## Bundles", "", f"| | {' | '.join(architectures)} |", "|---" * (1 + len(architectures)) + "|"]
    known = render.bundle_names()
    for method in render.recipes("methods"):
        names = [f"{a}_{method['name']}" for a in architectures]
        cells = ["weights" if render.results(n) else "to train" if n in known else "–" for n in names]
        yield f"| [`{method['name']}`]({method['name']}.md) | {' | '.join(cells)} |"


def architectures_index() -> str:
    """The page that lists the architectures."""
    rows = [f"| [`{a['name']}`]({a['name']}.md) | {a['title']} | {a['reference']} | {_sizes(a, 2)} |"
            for a in render.recipes("architectures")]  # fmt: skip
    head = ["# Architectures", "", "Each is `forward(moving, fixed) -> Deformation`, in 2D and in 3D.", ""]
    columns = ["| | | reference | parameters in 2D |", "|---|---|---|---|"]
    return "\n".join([*head, *columns, *rows]) + "\n"


def section(heading: str, depth: int = 0) -> str:
    """The section of README.md under ``heading``, its links as seen from a page ``depth`` folders below docs.

    Raises:
        KeyError: if README.md has no such heading.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    parts = re.split(r"^(#+) (.+)$", text, flags=re.MULTILINE)
    found = [number for number in range(2, len(parts), 3) if parts[number] == heading]
    if not found:
        raise KeyError(f"README.md has no section {heading!r}")
    level, content = len(parts[found[0] - 1]), parts[found[0] + 1]
    for number in range(found[0] + 2, len(parts), 3):
        if len(parts[number]) <= level:
            break
        content += f"{parts[number][level - 1 :]} {parts[number + 1]}{parts[number + 2]}"
    up = "../" * depth
    content = re.sub(r"^<!-- (table: .*|end) -->\n", "", content, flags=re.MULTILINE)
    content = re.sub(r"\]\(bundles/[a-z]+_(\w+)/docs/README\.md\)", rf"]({up}methods/\1.md)", content)
    return content.replace("](docs/", f"]({up}").replace(" ± ", "\u00a0±\u00a0").strip()
