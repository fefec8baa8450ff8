"""What metrics.json of an evaluation may hold, of all that is read from it, as a JSON schema."""

from __future__ import annotations

from typing import Any

_NUMBER = {"type": ["number", "null"]}
_TEXT = {"type": ["string", "null"]}
_FIGURES = {"type": "object", "additionalProperties": _NUMBER}  # mean, sd, n of a metric
_TABLE = {"type": "object", "additionalProperties": {"type": ["object", "number", "null"]}}
_TABLE_OF_FIGURES = {"type": "object", "additionalProperties": {"anyOf": [_FIGURES, _NUMBER]}}
_PROTOCOLS = {"type": "object", "additionalProperties": _TABLE_OF_FIGURES}
_MEMBER = {"type": "object", "required": ["checkpoint"], "properties": {"checkpoint": {"type": "string"}}}
SCHEMA: dict[str, Any] = {
    "properties": {
        **dict.fromkeys(("dataset", "split", "bundle"), {"type": "string"}),
        "pairs": {"type": "integer", "minimum": 0},
        "protocols": {**_PROTOCOLS, "minProperties": 1},
        "undeformed": {**_PROTOCOLS, "type": ["object", "null"]},
        "not_computed": {"type": ["object", "null"], "additionalProperties": {"type": "integer", "minimum": 0}},
        **dict.fromkeys(("truth", "label"), {**_TABLE, "type": ["object", "null"]}),
        "label_sparsification": {**_TABLE, "type": ["object", "null"], "properties": {"ranked_by": _TEXT}},
        **dict.fromkeys(("checkpoint", "checkpoint_sha256"), _TEXT),
        "parameters": {"type": ["integer", "null"]},
        "labels": {"type": ["array", "null"], "items": {"type": "integer"}},
        "members": {"type": ["array", "null"], "items": _MEMBER},
    },
}


def fault(summary: dict[str, Any]) -> str | None:
    """The first entry of another type, in one line; None if there is none."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

    error = best_match(Draft202012Validator(SCHEMA).iter_errors(summary))
    if error is None:
        return None
    text = repr(error.instance)
    return f"'{'/'.join(map(str, error.absolute_path))}' is {text if len(text) <= 60 else f'{text[:57]}...'}"
