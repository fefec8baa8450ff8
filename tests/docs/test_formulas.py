"""The recipes' formulas as MathML: known ones, all of the recipes', and what is none."""

from __future__ import annotations

import re
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tools import render

METHODS = render.recipes("methods")


@pytest.mark.parametrize(
    ("code", "mathml"),
    [
        ("W", "<mi>W</mi>"),
        ("s2", "<msup><mi>σ</mi><mn>2</mn></msup>"),
        ("r / s2", "<mfrac><mrow><mi>r</mi></mrow><mrow><msup><mi>σ</mi><mn>2</mn></msup></mrow></mfrac>"),
        ("(a + b) / 2", "<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mrow><mn>2</mn></mrow></mfrac>"),
        ("u_n^2", "<msubsup><mi>u</mi><mi>n</mi><mn>2</mn></msubsup>"),
        ("sqrt(x)", "<msqrt><mi>x</mi></msqrt>"),
        ("m <- 2 m", '<mi>m</mi><mo>←</mo><mn>2</mn><mspace width="0.25em"/><mi>m</mi>'),
    ],
)
def test_known_formulas(formulas: ModuleType, code: str, mathml: str) -> None:
    assert formulas.Formula(code).statement() == mathml


def test_a_sum_divides_as_a_whole_and_a_product_by_its_last_factor(formulas: ModuleType) -> None:
    fraction = ElementTree.fromstring(f"<m>{formulas.Formula('a * (b - c) / d').statement()}</m>").find("mfrac")
    assert ["".join(part.itertext()) for part in fraction] == ["b−c", "d"]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method["name"])
def test_every_recipe_is_set_and_loses_nothing(formulas: ModuleType, method: dict) -> None:
    found = formulas.blocks(method["equations"])
    assert '<math display="block">' in found
    for tree in re.findall(r"<math.*?</math>", found):
        ElementTree.fromstring(tree)
    indented = "".join(re.findall(r"^ {4}.*\n?", method["equations"], re.MULTILINE))
    numbers = re.findall(r"(?<![\w.])\d+(?:\.\d+)?", indented)
    shown = re.sub(r"<[^>]+>", " ", found)
    assert all(number in shown for number in numbers)
    words = set(re.findall(r"[A-Za-z]{3,}", indented)) - formulas.GREEK.keys() - {"sqrt", "sz2"}
    assert all(word in shown for word in words)


@pytest.mark.parametrize("code", ["formulation: released", "tversky", "vxm_weak", "--gamma 0.25", "a +", "(a"])
def test_other_code_stays_code(formulas: ModuleType, code: str) -> None:
    assert formulas.inline(code) == f"`{code}`"


@pytest.mark.parametrize("code", ["    a ) b\n", "    (a + b\n", "    a ? b\n", "    a = \n"])
def test_an_equation_that_cannot_be_set_stops_the_build(formulas: ModuleType, code: str) -> None:
    with pytest.raises(formulas.NotAFormula):
        formulas.blocks(code)
