"""Which module may import which: no circles, and nothing below imports what stands above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GROUND = (
    "errors",
    "lazy",
    "files",
    "memory",
    "label_values",
    "voxels",
    "nifti",
    "forms",
    "grids",
    "fields",
    "similarity",
)
FORBIDDEN = [  # (who, whom): not at the top of a module, not within a function, not by way of others
    ("common", "tools"),
    ("common.io", "common.data"),
    ("common.data", "common.losses"),
    ("common.metrics", "common.losses"),
    ("common.engines", "common.registration"),
    ("common.engines", "common.serving"),
]
BACK = {  # (who, whom): within a function, against the order of the others, and why
    ("common.registration.outcome", "common.registration.outputs"): "a result is asked to save itself",
}
Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """Every module of the library and of the programs: dotted name -> file."""
    files = [file for top in ("common", "tools") for file in (ROOT / top).rglob("*.py")]
    parts = {file: file.relative_to(ROOT).with_suffix("").parts for file in files}
    return {".".join(p[:-1] if p[-1] == "__init__" else p): file for file, p in parts.items()}


FILES = modules()


def imports(node: ast.AST, within: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The imports below ``node``, and whether each waits within a function; those for type checkers are left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, within
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        else:
            yield from imports(child, within or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def named(module: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """What an import in ``module`` names, as dotted names of ours: modules, or what is in them."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    package = module.split(".") if FILES[module].name == "__init__.py" else module.split(".")[:-1]
    base = package[: len(package) - node.level + 1] if node.level else []
    base += [node.module] if node.module else []
    yield from (".".join([*base, alias.name]) for alias in node.names)


def started(module: str, name: str) -> set[str]:
    """The modules that run where ``module`` imports ``name``: the one it lies in, and the packages around that."""
    parts = name.split(".")
    ours = [each for each in (".".join(parts[:end]) for end in range(1, len(parts) + 1)) if each in FILES]
    return {each for each in ours if not is_in(module, each)} | set(ours[-1:])


def lazily(module: str, tree: ast.AST) -> set[str]:
    """The submodules that a package imports by `lazy.attributes` when they are asked for."""
    if not any(isinstance(node, ast.ImportFrom) and node.module == "lazy" for node in ast.walk(tree)):
        return set()
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]
    return {f"{package}.{text}" for text in texts} & FILES.keys()


def graph(waiting: bool) -> Graph:
    """Who imports whom: at the top of a module, or (``waiting``) whenever it does."""
    found: Graph = {}
    for module, file in FILES.items():
        tree = ast.parse(file.read_text("utf-8"))
        seen = [started(module, name) for node, within in imports(tree) if waiting or not within
                for name in named(module, node)]  # fmt: skip
        found[module] = set().union(*seen, lazily(module, tree) if waiting else ()) - {module}
    return found


def circle(edges: Graph) -> str | None:
    """One circle of ``edges``, as a path; None if there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return None


def way(edges: Graph, start: str, to: str) -> str | None:
    """The shortest way from the package or module ``start`` into ``to``; None if there is none."""
    ways = {module: module for module in edges if is_in(module, start)}
    for module in (waiting := list(ways)):
        for other in sorted(edges[module] - ways.keys()):
            ways[other] = f"{ways[module]} -> {other}"
            if is_in(other, to):
                return ways[other]
            waiting.append(other)
    return None


def is_in(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


EAGER, ALL = graph(waiting=False), graph(waiting=True)


def test_the_imports_are_seen() -> None:
    assert "common.spatial" in EAGER["common.losses.base"] and "common.errors" in EAGER["tools.render"]
    assert "common.networks.voxelmorph" in ALL["common.networks"]
    assert all(EAGER[module] <= ALL[module] for module in FILES)


def test_a_circle_and_a_way_are_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": set(), "d.e": {"a"}}
    assert circle(edges) is None and way(edges, "d", "c") == "d.e -> a -> b -> c" and way(edges, "c", "a") is None
    assert circle(edges | {"c": {"a"}}) == "a <- c <- b <- a"


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle(EAGER) is None


def test_nor_within_functions_but_for_what_is_named_here() -> None:
    assert all(whom in ALL[who] for who, whom in BACK)
    assert circle({who: {whom for whom in others if (who, whom) not in BACK} for who, others in ALL.items()}) is None


@pytest.mark.parametrize(("who", "whom"), FORBIDDEN)
def test_what_stands_below_does_not_import_what_stands_above(who: str, whom: str) -> None:
    assert way(ALL, who, whom) is None


@pytest.mark.parametrize("module", GROUND)
def test_the_ground_floor_stands_on_itself(module: str) -> None:
    assert ALL[f"common.{module}"] <= {f"common.{each}" for each in GROUND}
