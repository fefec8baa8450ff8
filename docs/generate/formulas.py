"""Set the recipes' formulas as MathML, which browsers show without scripts, fonts or a network.

The recipes write ``mean([s2^beta] * (r / s2 + log s2) / 2),  beta = 0.5``. The notation: ``*`` and a space multiply,
``/`` divides its two neighbours, ``^`` and ``_`` raise and lower, ``[x]`` is x without gradient, ``s2`` sigma squared.
"""

from __future__ import annotations

import re
from html import escape

GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "lambda": "λ", "mu": "μ", "pi": "π", "rho": "ρ", "sigma": "σ",
         "eps": "ε", "grad": "∇"}  # fmt: skip
VARIANCES = {"s2": "<msup><mi>σ</mi><mn>2</mn></msup>", "sz2": "<msubsup><mi>σ</mi><mi>z</mi><mn>2</mn></msubsup>"}
FUNCTIONS = {"mean", "sigmoid", "log", "exp", "cos", "sqrt", "smooth", "sum", "tr", "ncc", "overlap", "softmax", "conv",
             "minmax", "moving"}  # fmt: skip
NAMES = {"noise", "prior", "features", "loss", "warped"}
BRACKETS = {"(": ")", "[": "]", "|": "|"}
TOKEN = re.compile(r"\s*(<-|[A-Za-z]+\d?'?(?:_[A-Za-z]\b)?|\d+(?:\.\d+)?|[-+*/^=(),|.]|\[|\])")


class NotAFormula(ValueError):
    """The text is in no notation that this module knows."""


def blocks(text: str) -> str:
    """Markdown with its indented code as equations, and its inline code where it is a formula.

    Raises:
        NotAFormula: if indented code is none.
    """
    parts = re.split(r"((?:^ {4}[^\n]*(?:\n|\Z)(?:\s*\n(?= {4}))*)+)", text, flags=re.MULTILINE)
    prose = [re.sub(r"`([^`\n]+)`", lambda code: inline(code[1]), part) for part in parts[::2]]
    equations = [equation(part) + "\n" for part in parts[1::2]]
    return "".join(p + e for p, e in zip(prose, [*equations, ""]))


def inline(code: str) -> str:
    """A formula as MathML, anything else as the code that it is."""
    try:
        if not set(re.findall(r"[A-Za-z]{2,}", code)) <= GREEK.keys() | FUNCTIONS | NAMES | {"sz"}:
            raise NotAFormula(code)
        # a span, since Markdown takes a line that begins with <math> for a block
        return f"<span><math>{Formula(code).statement()}</math></span>"
    except NotAFormula:
        return f"`{code}`"


def equation(code: str) -> str:
    """Lines of ``label: statement,  statement`` as a table; a line that begins with a sign goes on from the last."""
    lines = re.sub(r"\n\s+(?=[-+] )", " ", code.strip("\n")).splitlines()
    rows = "".join(f"<mtr>{_row(line.strip())}</mtr>" for line in lines if line.strip())
    return f'<div class="equations"><math display="block"><mtable displaystyle="true">{rows}</mtable></math></div>\n'


def _row(line: str) -> str:
    label, body = "", line
    if found := re.match(r"([a-z_]+ *(?:\([^)]*\))?) *(: +|(?= = ))(.*)", line):
        label, body = (found[1], found[3]) if found[2] else _named(found[1], found[3])
    statements = [Formula(part).statement() for part in re.split(r",\s{1,2}(?![^(]*\))", body)]
    gap = '<mo>,</mo><mspace width="1.5em"/>'
    return f"<mtd>{_text(label)}</mtd><mtd><mrow>{gap.join(statements)}</mrow></mtd>"


def _named(name: str, rest: str) -> tuple[str, str]:
    """``loss (Eq. 4) = x`` is labelled; ``alpha = x`` is an equation as it stands."""
    word, _, where = name.partition(" (")
    return (f"({where}", f"{word.strip()}{rest}") if where else ("", f"{name.strip()}{rest}")


def _text(words: str) -> str:
    return f"<mtext>{escape(re.sub(' +', ' ', words))}</mtext>" if words else ""


class Formula:
    """One statement, read from left to right."""

    def __init__(self, code: str) -> None:
        self.tokens: list[tuple[str, bool]] = []  # and whether a space stands before it
        position, code = 0, code.rstrip()
        while position < len(code):
            found = TOKEN.match(code, position)
            if not found:
                raise NotAFormula(code)
            self.tokens.append((found[1], code[position].isspace()))
            position = found.end()
        self.code, self.at = code, 0

    def statement(self) -> str:
        """Sums with ``=``, ``<-`` or a comma between."""
        parts = [self._sum("")]
        while self.at < len(self.tokens):
            sign = self._next()
            if sign not in ("=", "<-", ","):
                raise NotAFormula(self.code)
            parts += [f"<mo>{'←' if sign == '<-' else sign}</mo>", self._sum("")]
        return "".join(parts)

    def _peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def _next(self) -> str:
        self.at += 1
        if self.at > len(self.tokens):
            raise NotAFormula(self.code)
        return self.tokens[self.at - 1][0]

    def _sum(self, end: str) -> str:
        parts = []
        if self._peek() == "-":
            parts.append(f'<mo form="prefix">{self._minus()}</mo>')
        parts.append(self._product(end))
        while self._peek() in ("+", "-"):
            parts += [f"<mo>{self._minus()}</mo>", self._product(end)]
        return "".join(parts)

    def _minus(self) -> str:
        return {"-": "−"}.get(sign := self._next(), sign)

    def _product(self, end: str) -> str:
        parts = [self._power()]
        while (token := self._peek()) and token not in ("+", "-", "=", "<-", ",", ")", "]") and token != end:
            if token == "/":
                self._next()
                fraction = f"<mfrac><mrow>{_bare(parts.pop())}</mrow><mrow>{_bare(self._power())}</mrow></mfrac>"
                parts.append(fraction)
            elif token == "*":
                self._next()
                parts += ["<mo>·</mo>", self._power()]
            else:
                parts += ['<mspace width="0.25em"/>', self._power()]
        return "".join(parts)

    def _power(self) -> str:
        base = self._atom()
        if self._peek() != "^":
            return base
        self._next()
        exponent = self._atom()
        if lowered := re.fullmatch(r"<msub>(.*)</msub>", base):
            return f"<msubsup>{lowered[1]}{exponent}</msubsup>"
        if base in VARIANCES.values():
            base = f"<mrow><mo>(</mo>{base}<mo>)</mo></mrow>"
        return f"<msup>{base}{exponent}</msup>"

    def _atom(self) -> str:
        token = self._next()
        if token in BRACKETS:
            return self._bracket(token)
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token == ".":
            return "<mo>·</mo>"
        if not token[0].isalpha():
            raise NotAFormula(self.code)
        applied = self._peek() == "(" and not self.tokens[self.at][1]
        if token == "sqrt" and applied:
            return f"<msqrt>{_bare(self._atom())}</msqrt>"
        return f"<mrow>{_name(token)}{self._atom()}</mrow>" if applied else _name(token)

    def _bracket(self, left: str) -> str:
        right = BRACKETS[left]
        content = self._sum(right)
        while self._peek() == ",":
            self._next()
            content += f"<mo>,</mo>{self._sum(right)}"
        if self._next() != right:
            raise NotAFormula(self.code)
        return f'<mrow><mo form="prefix">{left}</mo>{content}<mo form="postfix">{right}</mo></mrow>'


def _bare(group: str) -> str:
    """What stands in round brackets, if the whole does."""
    left, right = '<mrow><mo form="prefix">(</mo>', '<mo form="postfix">)</mo></mrow>'
    return group[len(left) : -len(right)] if group.startswith(left) and group.endswith(right) else group


def _name(token: str) -> str:
    name, _, below = token.partition("_")
    prime, name = name.endswith("'"), name.rstrip("'")
    if name in VARIANCES:
        return VARIANCES[name]
    name = GREEK.get(name, name)
    if len(name) > 1 and name not in FUNCTIONS | NAMES:
        return f'<mspace width="0.3em"/><mtext>{escape(name)}</mtext>'
    base = f"<mi>{name}</mi>"
    if prime and below:
        return f"<msubsup>{base}<mi>{below}</mi><mo>′</mo></msubsup>"
    return f"<msub>{base}<mi>{below}</mi></msub>" if below else f"<msup>{base}<mo>′</mo></msup>" if prime else base
