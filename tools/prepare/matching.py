"""Which files of a folder, or rows of a table, are pairs."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from common.data.prepared import IMAGE_KEYS, LABEL_KEYS, SPLITS
from common.errors import InputError

from .cases import Case
from .volumes import EXTENSIONS, BrokenInput, stem

COLUMNS = ("id", "subject", "moving", "fixed", "moving_label", "fixed_label", "split", "group")


def match_folder(
    source: Path, moving: str, fixed: str, label_suffix: str, output: Path
) -> tuple[list[Case], list[BrokenInput]]:
    """Pair the files whose names match the patterns and agree in their ``{id}`` and ``{subject}``.

    Args:
        moving, fixed: a name, or a path below ``source`` where it holds a ``/``; without an extension any
            image format will do.
        label_suffix: what a label's name has behind its image's.
        output: what lies in it was made before, and is no source, unless it is ``source`` itself.

    Returns:
        the pairs, and an error for every image whose partner is missing.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; pass the one with the images as --source")
    sides = [_matches(source, pattern, label_suffix, output) for pattern in (moving, fixed)]
    if not any(sides):
        raise InputError(
            f"{source}: looked for {moving} and {fixed} here and below and found none; "
            "see --moving-pattern, --fixed-pattern and --table"
        )
    lone = [
        _partner_missing(path, pattern)
        for own, other, pattern in ((sides[0], sides[1], fixed), (sides[1], sides[0], moving))
        for key, path in own.items()
        if key not in other
    ]
    keys = sorted(set(sides[0]) & set(sides[1]))
    return [_case(source, key, sides[0][key], sides[1][key], label_suffix) for key in keys], lone


def files_below(source: Path, pattern: str, output: Path) -> list[Path]:
    """The files below ``source`` but for those in ``output``, unless that is above ``source``; sorted."""
    made, above = output.resolve(), source.resolve().is_relative_to(output.resolve())
    found = [path for path in source.rglob(pattern) if above or not path.resolve().is_relative_to(made)]
    return sorted(path for path in found if path.is_file())


def _partner_missing(path: Path, pattern: str) -> BrokenInput:
    return BrokenInput(f"{path}: no file {pattern} belongs to it; add it, mend the pattern or pass --skip-broken")


def _matches(source: Path, pattern: str, label_suffix: str, output: Path) -> dict[tuple[str, ...], Path]:
    regex = _regex(pattern)
    found: dict[tuple[str, ...], Path] = {}
    for path in files_below(source, "*", output):
        name = path.relative_to(source).as_posix() if "/" in pattern else path.name
        match = regex.fullmatch(name)
        if not match or (label_suffix and stem(path).endswith(label_suffix)):
            continue
        fields = match.groupdict()
        key = (fields.get("subject") or "", fields.get("id") or "")
        if key in found:
            raise InputError(
                f"{path} and {found[key]} are both {pattern} of {'_'.join(filter(None, key))}; "
                "tell them apart by {subject} or a / in the pattern"
            )
        found[key] = path
    return found


def _regex(pattern: str) -> re.Pattern[str]:
    """Turn ``{id}``, ``{subject}`` and ``*`` into an expression; a second {id} must repeat the first."""
    if not any(field in pattern for field in ("{id}", "{subject}")):
        raise InputError(f"pattern {pattern!r} has neither {{id}} nor {{subject}}; as in {{id}}_moving.nii.gz")
    text, seen = "", set()
    for part in re.split(r"(\{id\}|\{subject\}|\*)", pattern):
        field = part.strip("{}")
        if part in ("{id}", "{subject}"):
            text += f"(?P={field})" if field in seen else f"(?P<{field}>[^/]+?)"
            seen.add(field)
        else:
            text += "[^/]*" if part == "*" else re.escape(part)
    endings = "|".join(map(re.escape, EXTENSIONS))
    return re.compile(text if pattern.endswith(EXTENSIONS) else f"{text}(?:{endings})")


def _case(source: Path, key: tuple[str, ...], moving: Path, fixed: Path, label_suffix: str) -> Case:
    name = "_".join(part for part in key if part)
    files = {"moving": str(moving), "fixed": str(fixed)}
    for label, image in zip(LABEL_KEYS, (moving, fixed), strict=True):
        candidates = (
            [image.with_name(f"{stem(image)}{label_suffix}{ending}") for ending in EXTENSIONS] if label_suffix else []
        )
        if path := next((path for path in candidates if path.is_file()), None):
            files[label] = str(path)
    return Case(name, key[0] or name, files, str(source))


def read_table(table: Path, source: Path) -> list[Case]:
    """Read pairs from CSV with the columns of COLUMNS, of which ``moving`` and ``fixed`` are needed.

    Paths are relative to ``source``. A column ``split`` decides the split; without it the seeded split does.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: cannot be read ({error}); pass a CSV file as --table") from error
    missing = [key for key in IMAGE_KEYS if key not in columns]
    if missing or not rows:
        raise InputError(
            f"{table}: {'no column ' + missing[0] if missing else 'no rows'}; the columns are "
            f"{', '.join(COLUMNS)}, of which moving and fixed are needed"
        )
    return [_row(table, number, row, source) for number, row in enumerate(rows, start=2)]


def _row(table: Path, number: int, row: dict[str, str], source: Path) -> Case:
    values = {key: (row.get(key) or "").strip() for key in COLUMNS}
    for key in IMAGE_KEYS:
        if not values[key]:
            raise InputError(f"{table}: line {number} has no {key} image; add it or remove the line")
    if values["split"] not in ("", *SPLITS):
        raise InputError(f"{table}: line {number}: split {values['split']!r} is none of {', '.join(SPLITS)}")
    name = values["id"] or f"{stem(values['moving'])}_to_{stem(values['fixed'])}"
    if name != Path(name).name:
        raise InputError(f"{table}: line {number}: id {name!r} is no file name; leave out the /")
    files = {key: str(source / values[key]) for key in (*IMAGE_KEYS, *LABEL_KEYS) if values[key]}
    return Case(name, values["subject"] or name, files, str(source), values["split"] or None, values["group"])
