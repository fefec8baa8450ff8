"""Follow a heart through a whole cine: the motion from one frame to all others, sizes and strains over time.

    python -m tools.cine CINE.nii.gz --bundle vxm_hetero_disp --label ED_LABEL.nii.gz --wall 2 --cavity 3 --output DIR

One frame, the reference, is registered to every frame. Without a label there are the motion, the warped frames and an
animation; with one, the areas or volumes of its structures and the strain of the wall as well.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common.collection.find import find_bundle
from common.errors import InputError, say_in_one_line
from common.files import refuse_file
from common.io.fields import FORMATS
from common.registration.bundle import open_bundle

from .animation import view_of
from .curves import Band, measure
from .motion import aimed, track
from .reading import read_cine, read_reference_label
from .results import Results, write


def parser() -> argparse.ArgumentParser:
    """Return the command line's description."""
    made = argparse.ArgumentParser(
        prog="python -m tools.cine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("cine", nargs="+", metavar="CINE", help="a 4D file, a DICOM series, or a file a frame, in order")
    made.add_argument("--bundle", required=True, metavar="NAME|FOLDER|ZIP", help="what registers")
    made.add_argument("--output", type=Path, required=True, metavar="DIR")
    made.add_argument("--reference-frame", type=int, default=0, metavar="N", help="counted from 0 (default: 0)")
    made.add_argument("--label", metavar="FILE", help="label map of the reference frame (of a 4D one, that frame)")
    made.add_argument("--wall", type=int, metavar="VALUE", help="the label whose strain is wanted (default: none)")
    made.add_argument(
        "--cavity", type=int, metavar="VALUE", help="the label whose centre strains are about (default: the wall)"
    )
    made.add_argument("--frame-time", type=float, metavar="MS", help="from one frame to the next (default: the file's)")
    made.add_argument(
        "--center", metavar="WHERE", help="of what is seen: image, detect or I,J (default: the label, else detect)"
    )
    made.add_argument("--crop-size", metavar="N", help="voxels that it sees, or all (default: the bundle's)")
    made.add_argument("--fields", choices=FORMATS, metavar="FORMAT", help=f"a field a frame too: {', '.join(FORMATS)}")
    made.add_argument("--draws", type=int, default=Band.draws, metavar="N", help="of the band (default: %(default)s)")
    made.add_argument(
        "--correlation-length",
        type=float,
        default=Band.length,
        metavar="MM",
        help="over which the errors of a displacement belong together, for the band (default: %(default)s)",
    )
    made.add_argument(
        "--deviation-scale",
        type=float,
        default=Band.scale,
        metavar="X",
        help="times the network's standard deviation, for the band (default: %(default)s)",
    )
    made.add_argument("--slice", type=int, metavar="K", help="that is animated (default: the one with the most label)")
    made.add_argument("--device", metavar="NAME", help="cpu or cuda (default: a GPU if there is one)")
    return made


def main(arguments: list[str] | None = None) -> None:
    """Follow a cine from the command line."""
    say_in_one_line()
    options = parser().parse_args(arguments)
    band = _band(options)
    refuse_file(options.output)
    cine = read_cine(options.cine, options.frame_time)
    reference = options.reference_frame
    if not 0 <= reference < len(cine.frames):
        raise InputError(f"--reference-frame {reference}: {cine.path} has frames 0 to {len(cine.frames) - 1}.")
    label = read_reference_label(options.label, cine, reference) if options.label else None
    if label is not None and options.wall is not None and not (label == options.wall).any():
        raise InputError(f"{options.label}: --wall {options.wall} is not in it; choose another value.")
    if options.fields == "l2r" and cine.frames.ndim == 3:
        raise InputError(f"--fields l2r: {cine.path} is 2D, for which l2r has no form; choose another format.")
    slices = cine.frames.shape[3] if cine.frames.ndim == 4 else 1
    if options.slice is not None and not 0 <= options.slice < slices:
        raise InputError(f"--slice {options.slice}: {cine.path} has slices 0 to {slices - 1}.")
    opened = open_bundle(find_bundle(options.bundle), options.device)
    bundle = aimed(opened, options.center, options.crop_size, label)
    motion = track(bundle, cine, reference, label)
    view = view_of(motion, label, options.slice)
    curves = None if label is None else measure(motion, label, options.wall, options.cavity, band)
    files = write(Results(cine, motion, label, curves, view, bundle, band), options.output, options.fields)
    print(f"{options.output}: {len(cine.frames)} frames by {bundle.name}, {motion.seconds:.1f} s; {len(files)} files")


def _band(options: argparse.Namespace) -> Band:
    if options.draws < 2:
        raise InputError(f"--draws {options.draws}: give 2 or more.")
    for name, unit in (("correlation_length", "mm"), ("deviation_scale", "a factor")):
        if not 0 < getattr(options, name) < float("inf"):
            raise InputError(f"--{name.replace('_', '-')} {getattr(options, name):g}: give {unit} above 0.")
    for given, needed in (("cavity", "wall"), ("wall", "label")):
        if getattr(options, given) is not None and getattr(options, needed) is None:
            raise InputError(f"--{given} {getattr(options, given)}: give --{needed}, too.")
    return Band(options.draws, options.correlation_length, options.deviation_scale)


if __name__ == "__main__":
    main()
