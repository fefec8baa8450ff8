"""Measure the CPU seconds from a command to its files: ``warpsure register`` of a pair, part by part."""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median

from common.errors import InputError, say_in_one_line

BAR = 4.0  # CPU seconds of the whole command, of a stack as ACDC has them, on a core of an AMD EPYC server
SIZE, SLICES = (216, 256), 10  # of the phantom: such a stack
ROOT = Path(__file__).resolve().parents[2]
PARTS = {
    "Python": "the interpreter, and this command's options",
    "numpy": "arrays",
    "torch": "all of it: it cannot be imported in parts; where it is new to the disk's cache it takes far longer",
    "nibabel": "reads and writes images",
    "warpsure": "this library, without MONAI, ignite, SciPy's slow parts and networks of other bundles",
    "bundle": "config, network and weights",
    "reading": "both images",
    "network": "the registration itself, back on the images' own grid",
    "images": "the image, warped once, and the Jacobian determinant",
    "inverse": "the field from the moving to the fixed image, point by point",
    "numbers": "similarities before and after, what the maps sum up to",
    "matplotlib": "imported for the picture alone",
    "picture": "ten panels with their scales",
    "writing": "NIfTI files, compressed",
}


def run(args: argparse.Namespace) -> None:
    """Print what each part takes, and the command as a whole.

    Raises:
        InputError: for one image of two, and if the command fails.
    """
    if (args.moving is None) != (args.fixed is None):
        raise InputError("--moving and --fixed: give both, or none for the phantom")
    from .bench import measuring  # not above: what PyTorch takes is measured of this module's own process
    from .ratios import Clock, Timed

    with measuring(args) as bench, tempfile.TemporaryDirectory() as folder:
        bench.clock = Clock("CPU time", time.process_time)  # of the processes, whatever their threads
        pair = [args.moving, args.fixed] if args.moving else phantom(Path(folder))
        words = [*map(str, pair), args.bundle, str(Path(folder) / "out")]
        if not args.quick:
            whole(words, args.threads)  # what is new to the disk's cache does not count
        told = [(parts_of(words, args.threads), whole(words, args.threads)) for _ in range(bench.rounds)]
        seconds = {name: [found[name] for found, _ in told] for name in PARTS}
        wholes = [total for _, total in told]
        what = f"`warpsure register` of {'a phantom' if args.moving is None else args.moving.name} by {args.bundle}"
        bench.timed[what] = Timed(1, seconds | {"the command": wholes})
        print(*report(what, {name: median(each) for name, each in seconds.items()}, median(wholes)), sep="\n")
        bench.claim("start_register", what, f"{BAR:g} CPU seconds", [BAR / total for total in wholes])


def report(what: str, parts: Mapping[str, float], total: float) -> list[str]:
    """The table of the parts, and the whole beside its bar."""
    lines = [f"CPU seconds of {what}:"]
    lines += [f"  {name:12}{seconds:6.2f}  {PARTS[name]}".rstrip() for name, seconds in parts.items()]
    held = "holds" if total <= BAR else "missed"
    lines.append(f"  {'their sum':12}{sum(parts.values()):6.2f}")
    lines.append(f"  {'the command':12}{total:6.2f}  in processes of its own; the bar is {BAR:g}: {held}")
    return lines


def phantom(folder: Path) -> list[Path]:
    """Write two stacks of slices, of phantoms at end diastole and end systole."""
    import numpy as np

    from common.data.phantom import make_subject
    from common.nifti import save_image

    drawn = [subject.draw(noise) for subject, noise in (make_subject("mr", SIZE, 0, k) for k in range(SLICES))]
    paths = [folder / f"{name}.nii.gz" for name in ("moving", "fixed")]
    for path, slices in zip(paths, zip(*drawn, strict=True), strict=True):
        save_image(path, np.stack(slices, axis=-1).astype(np.float32), np.diag([1.5, 1.5, 10.0, 1.0]))
    return paths


def parts_of(words: list[str], threads: int) -> dict[str, float]:
    """What a new process measures of itself while it does what the command does, part by part."""
    return json.loads(_ended([sys.executable, "-m", __name__, *words], threads).splitlines()[-1])


def whole(words: list[str], threads: int) -> float:
    """The CPU seconds of the command itself, in a new process."""
    moving, fixed, bundle, output = words
    start = _of_children()
    asked = ["--bundle", bundle, "--output", output, "--device", "cpu"]
    program = __name__.rpartition(".benchmark")[0]
    _ended([sys.executable, "-m", program, "register", moving, fixed, *asked], threads)
    return _of_children() - start


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _ended(words: list[str], threads: int) -> str:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": path}
    ended = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise InputError(f"register ended with status {ended.returncode}: {said[0].removeprefix('error: ')}")
    return ended.stdout


def measured(moving: str, fixed: str, bundle: str, output: str) -> dict[str, float]:
    """Do what ``warpsure register`` does, and tell the CPU seconds of each part of `PARTS`."""
    ends = [0.0, time.process_time()]

    def over() -> None:
        ends.append(time.process_time())

    import numpy  # noqa: F401

    over()
    import torch  # noqa: F401

    over()
    import nibabel  # noqa: F401

    over()
    from common.registration import api, numbers  # noqa: F401
    from common.registration.bundle import open_bundle

    over()
    opened = open_bundle(bundle, "cpu")
    over()
    case = api.case_of_files(moving, fixed)
    over()
    found = api.register_case(opened, case)
    over()
    for name in ("images", "inverse", "numbers"):
        getattr(found, name)
        over()
    from common.registration import picture

    over()
    picture.draw(found)
    over()
    found.save(output, picture=False)
    over()
    return {name: after - before for name, (before, after) in zip(PARTS, pairwise(ends), strict=True)}


if __name__ == "__main__":
    say_in_one_line()
    gc.disable()  # as the command does
    print(json.dumps(measured(*sys.argv[1:])))
