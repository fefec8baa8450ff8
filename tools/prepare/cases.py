"""One unit of conversion, and how many of them run at once, stop cleanly and are not done twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.data import prepared
from common.errors import InputError
from common.files import write_bytes

from .volumes import BrokenInput

STAMPS = ".prepare"
Settings = dict[str, Any]
Result = dict[str, Any]  # JSON: "pairs" as in dataset.json; "files" if there are none yet; "remarks"; a source's own


@dataclass(frozen=True)
class Case:
    """What one call of a source's ``convert`` works on.

    Attributes:
        name: unique among the cases; the files are called after it.
        subject: the patient, who is in one split only.
        files: role to path; these are watched for changes when a conversion is resumed.
        root: the folder that ``native`` paths are relative to.
        split: where the source's published rule puts it; None leaves it to the seeded split.
    """

    name: str
    subject: str
    files: dict[str, str]
    root: str
    split: str | None = None
    group: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def native(self, key: str) -> str:
        """Return the path of the file ``key`` relative to ``root``."""
        path = Path(self.files[key])
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()


Convert = Callable[[Case, Path, Settings], Result]


def convert_all(
    cases: Sequence[Case], convert: Convert, output: Path, settings: Settings, jobs: int, skip_broken: bool
) -> tuple[dict[str, Result], list[str]]:
    """Convert every case that is not done already; return the results by name and what was skipped.

    Raises:
        InputError: at the first broken case, unless ``skip_broken``; and if all are broken.
    """
    work = partial(_resumed, convert=convert, output=output, settings=settings)
    return run_all(cases, work, jobs, skip_broken, "converting")


def run_all(
    cases: Sequence[Case], work: Callable[[Case], Any], jobs: int, skip_broken: bool, what: str
) -> tuple[dict[str, Any], list[str]]:
    """Call ``work`` on every case, in ``jobs`` processes (1: in this one), with a progress bar."""
    results: dict[str, Any] = {}
    broken: list[str] = []
    with _finished(cases, work, jobs) as finished:
        for case, result in tqdm(finished, total=len(cases), desc=what, unit="case", disable=None):
            try:
                results[case.name] = result()
            except BrokenInput as error:
                if not skip_broken:
                    raise
                broken.append(str(error))
    if broken and not results:
        raise InputError(f"none of {len(cases)} cases can be used; the first: {broken[0]}")
    return results, sorted(broken)


@contextmanager
def _finished(cases: Sequence[Case], work: Callable[[Case], Any], jobs: int) -> Iterator[Iterator[tuple]]:
    """Yield (case, function that returns its result or raises its error), in the order they end."""
    if jobs <= 1 or len(cases) == 1:
        yield ((case, partial(work, case)) for case in cases)
        return
    pool = ProcessPoolExecutor(min(jobs, len(cases)), mp_context=_context())
    try:
        futures = {pool.submit(work, case): case for case in cases}
        yield ((futures[future], future.result) for future in as_completed(futures))
    finally:
        pool.shutdown(cancel_futures=True)


def _context() -> BaseContext:
    """Start processes from a server that has imported us once: safe beside threads, and quick where there is one."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _resumed(case: Case, convert: Convert, output: Path, settings: Settings) -> Result:
    """Return the result of an earlier, equal conversion whose files are all there; else convert."""
    stamp = output / STAMPS / f"{case.name}.json"
    fingerprint = _fingerprint(case, settings)
    if (earlier := _earlier(stamp, fingerprint)) and _complete(earlier, output):
        return earlier
    result = convert(case, output, settings)
    write_bytes(stamp, json.dumps({"made_from": fingerprint, "result": result}).encode())
    return result


def _fingerprint(case: Case, settings: Settings) -> dict[str, Any]:
    stats = {role: Path(path).stat() if Path(path).is_file() else None for role, path in case.files.items()}
    files = {role: stat and [case.files[role], stat.st_size, stat.st_mtime_ns] for role, stat in stats.items()}
    fingerprint = {"settings": settings, "files": files, "more": case.more, "group": case.group, "root": case.root}
    return json.loads(json.dumps(fingerprint))


def _earlier(stamp: Path, fingerprint: dict[str, Any]) -> Result | None:
    try:
        content = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent, or cut short by a crash: not done yet
        return None
    return content.get("result") if content.get("made_from") == fingerprint else None


def _complete(result: Result, output: Path) -> bool:
    try:
        for file in result.get("files") or files_of(result["pairs"]):
            prepared.read_image(output / file)
    except InputError:
        return False
    return True


def files_of(pairs: Sequence[dict[str, Any]]) -> set[str]:
    """Return the files, relative to the data set, that ``pairs`` refer to."""
    keys = (*prepared.IMAGE_KEYS, *prepared.LABEL_KEYS, *prepared.MASK_KEYS)
    files = {pair.get(key) for pair in pairs for key in keys}
    return {file for file in files | {f for pair in pairs for f in (pair.get("truth") or {}).values()} if file}


def refuse_repeated(cases: Sequence[Case]) -> None:
    """Raise InputError if two cases have one name, and so would write the same files."""
    seen: dict[str, Case] = {}
    for case in cases:
        if case.name in seen:
            first, second = (next(iter(c.files.values())) for c in (seen[case.name], case))
            raise InputError(f"{first} and {second} both make the pair {case.name!r}; give them different names")
        seen[case.name] = case
