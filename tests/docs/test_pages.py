"""The pages say what the recipes and README.md say, and their examples hold."""

from __future__ import annotations

import doctest
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml
from documents import blocks
from PIL import Image
from stacks import write_stacks

from common.interfaces import Pair
from tools import render

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
VXM = next(a for a in render.recipes("architectures") if a["name"] == "vxm")


def test_every_recipe_has_a_page_with_its_settings_and_bundles(texts: dict[str, str]) -> None:
    for name, (architecture, method) in render.combinations().items():
        page = texts[f"methods/{method['name']}.md"]
        assert f"`{name}`" in page and method["limits"].strip() in page
        assert all(f"`--{setting}`" in page for setting in method["settings"])
        assert f"`{name}`" in texts[f"architectures/{architecture['name']}.md"]


def test_a_recipe_that_cannot_be_set_is_named(pages: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {**render.recipes("methods")[0], "name": "broken", "equations": "    a ? b\n"}
    monkeypatch.setattr(render, "recipes", lambda kind: [VXM] if kind == "architectures" else [broken])
    with pytest.raises(pages.formulas.NotAFormula, match=r"tools/recipes/methods/broken\.yaml: 'a \? b' is no formula"):
        pages.all_pages()


def test_measured_numbers_are_those_of_the_shipped_weights(texts: dict[str, str]) -> None:
    dsc = render.results("vxm_hetero")["published"]["dsc"]
    row = next(line for line in texts["methods/hetero.md"].splitlines() if line.startswith("| `vxm_hetero` | ACDC"))
    assert f"{dsc['mean']:.2f} ± {dsc['sd']:.2f}" in row
    assert "No weights are shipped" not in texts["methods/weak.md"]


def test_a_section_of_the_readme_ends_where_the_next_begins(pages: ModuleType) -> None:
    limits = pages.section("Limits")
    assert limits.startswith("- Research software") and "## " not in limits and "Apache" not in limits
    assert "## Labels, ensembles" in pages.section("Results")
    assert "](../methods/hetero.md)" in pages.section("Bundles", 1)
    assert "<!--" not in pages.section("Results") + pages.section("Speed")  # marks of tables
    with pytest.raises(KeyError, match="no section 'Nothing'"):
        pages.section("Nothing")


@pytest.mark.filterwarnings("ignore")  # ITK's wrapping raises from C, and crashes where warnings are errors
@pytest.mark.parametrize("page", ["conventions.md", "python.md"])
def test_worked_examples_hold(
    texts: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_stacks(tmp_path / "images")
    code = "\n".join(content for _, content in blocks(texts[page], "pycon"))
    test = doctest.DocTestParser().get_doctest(code, {}, page, page, 0)
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
    assert results.attempted > 15 and results.failed == 0


def test_the_recipes_shown_can_be_rendered(texts: dict[str, str]) -> None:
    shown = {title.split("/")[2]: yaml.safe_load(content) for title, content in blocks(texts["extending.md"], "yaml")}
    files = render.render(VXM, shown["methods"])
    assert "common.losses.l1.L1Objective" in files["configs/train.yaml"]
    mse = next(m for m in render.recipes("methods") if m["name"] == "mse")
    assert set(shown["architectures"]) == set(VXM) - {"order"} and set(shown["methods"]) == set(mse) - {"order"}


def test_pictures_are_of_methods_and_programs(texts: dict[str, str]) -> None:
    for picture in (DOCS / "pictures").glob("*.png"):
        pages = {f"methods/{picture.stem}.md", f"{picture.stem}.md"} & set(texts)
        assert any(f"pictures/{picture.name}" in texts[page] for page in pages)
        assert picture.stat().st_size < 250_000


def test_a_picture_can_be_drawn_anew(pictures: ModuleType, tmp_path: Path) -> None:
    pair = Pair(*torch.rand(2, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0)))
    recipes = {method["name"]: method for method in render.recipes("methods")}
    for name in ("mse", "hetero_disp", "adaframe"):
        pictures.draw(recipes[name], pair, tmp_path / f"{name}.png")
    shown = [np.asarray(Image.open(tmp_path / f"{m}.png").convert("RGB")) for m in ("mse", "hetero_disp")]
    lower_right = [(np.ptp(image[-200:, -600:], axis=-1) > 60).any() for image in shown]
    assert lower_right == [False, True]  # panels of colour where there are maps alone
