"""Follow a heart through a whole cine: the motion from one frame to all others, sizes and strains over time.

    warpsure cine CINE.nii.gz --bundle vxm_hetero_disp --label ED_LABEL.nii.gz --wall 2 --cavity 3 --output DIR

One frame, the reference, is registered to every frame. Without a label there are the motion, the warped frames and an
animation; with one, the areas or volumes of its structures and the strain of the wall as well.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common import options as shared
from common.errors import InputError, say_in_one_line
from common.io.formats import FORMATS
from common.registration.program import settings

from . import band
from .band import Band

TIMELESS = "does not say how long a frame takes, so that there are frame numbers for times; --frame-time sets it"


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    made = shared.Parser(shared.program("cine"), description=__doc__)
    made.add_argument("cine", nargs="+", metavar="CINE", help="a 4D file, a DICOM series, or a file a frame, in order")
    shared.add_bundle(made)
    shared.add_weights(made)
    shared.add_output(made, "folder for the results")
    made.add_argument("--reference-frame", type=int, default=0, metavar="N", help="counted from 0 (default: 0)")
    label = "label map of the reference frame (of a 4D one, that frame)"
    made.add_argument("--label", type=Path, help=label)
    made.add_argument("--wall", type=int, metavar="VALUE", help="the label whose strain is wanted (default: none)")
    about = "the label whose centre strains are about (default: the wall)"
    made.add_argument("--cavity", type=int, metavar="VALUE", help=about)
    made.add_argument("--frame-time", type=float, metavar="MS", help="from one frame to the next (default: the file's)")
    made.add_argument("--slice", type=int, metavar="K", help="that is animated (default: the one with the most label)")
    shared.add_format(made, FORMATS, None, "write a field a frame too, in this format (default: none)")
    shared.add_fill(made, "reference frame")
    shared.add_region(made, "auto: the label, else what moves")
    shared.add_outside(made)
    band.add_arguments(made)
    shared.add_refine(made)
    shared.add_overrides(made, "settings of the bundle's inference config")
    shared.add_device(made)
    shared.add_memory(made)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Follow a cine from the command line."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    drawn = Band(options.draws, options.correlation_length, options.deviation_scale)
    for given, needed in (("cavity", "wall"), ("wall", "label")):
        if getattr(options, given) is not None and getattr(options, needed) is None:
            raise InputError(f"--{given} {getattr(options, given)}: give --{needed}, too.")
    follow(options, drawn)


def follow(options: argparse.Namespace, drawn: Band) -> None:
    """Follow the cine of ``options``, write the results and say where they are.

    Raises:
        InputError: anything that cannot be used; nothing is written then.
    """
    from common.files import refuse_file, refuse_overwriting
    from common.registration.bundle import open_bundle

    from .animation import view_of
    from .curves import measure
    from .motion import aimed, track
    from .reading import read_cine, read_reference_label
    from .results import ALWAYS, Results, write

    refuse_file(options.output)
    cine = read_cine(options.cine, options.frame_time)
    reference = options.reference_frame
    if not 0 <= reference < len(cine.frames):
        raise InputError(f"--reference-frame {reference}: {cine.path} has frames 0 to {len(cine.frames) - 1}.")
    read = [*options.cine, options.label]
    refuse_overwriting((options.output / f"{cine.name}_{kind}" for kind in ALWAYS), read)
    label, remark = read_reference_label(options.label, cine, reference) if options.label else (None, "")
    if label is not None and options.wall is not None and not (label == options.wall).any():
        raise InputError(f"{options.label}: --wall {options.wall} is not in it; choose another value.")
    if options.format == "l2r" and cine.frames.ndim == 3:
        raise InputError(f"--format l2r: {cine.path} is 2D, for which l2r has no form; choose another format.")
    slices = cine.frames.shape[3] if cine.frames.ndim == 4 else 1
    if options.slice is not None and not 0 <= options.slice < slices:
        raise InputError(f"--slice {options.slice}: {cine.path} has slices 0 to {slices - 1}.")
    for line in filter(None, [remark, "" if cine.times is not None else f"{cine.path}: {TIMELESS}"]):
        print(f"warning: {line}")
    asked = settings(options)
    bundle = open_bundle(options.bundle, options.device, **asked)
    bundle = bundle if "center" in asked else aimed(bundle)
    motion = track(bundle, cine, reference, label)
    view = view_of(motion, label, options.slice)
    curves = None if label is None else measure(motion, label, options.wall, options.cavity, drawn)
    results = Results(cine, motion, label, curves, view, bundle, drawn, options.fill, options.outside)
    files = write(results, options.output, options.format, read)
    for line in results.warnings:
        print(f"warning: {line}")
    if (done := motion.refined) is not None:
        print(f"refined in {done['steps']:.3g} steps a frame: loss {done['before']:.4g} to {done['after']:.4g}; "
              f"{done['followed']:.0%} began where the frame before ended")  # fmt: skip
    print(f"{options.output}: {len(cine.frames)} frames by {bundle.name}, {motion.seconds:.1f} s; {len(files)} files")


if __name__ == "__main__":
    sys.exit(main())
