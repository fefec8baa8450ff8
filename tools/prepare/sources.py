"""What can be prepared, and the options of each. Nothing heavy is imported: the work is in modules of these names."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from common.data.phantom.settings import DEFAULT_PAIRS, DEFAULT_SIZE, KINDS
from common.options import add_fill, add_jobs, add_seed, positive
from common.options import add_output as add_folder

from . import options


def acdc(parser: argparse.ArgumentParser) -> None:
    """Add the options of ACDC."""
    options.add_output(parser, "the folder with patientNNN, or one above it (with training/)")
    options.add_dims(parser)
    parser.add_argument(
        "--crop-center",
        type=options.centre,
        default="label",
        metavar="label|image|I,J",
        help="the middle of the crop: the myocardium of the middle ED slice, as published (default), "
        "the middle of the image, or a voxel of the native grid",
    )
    options.add_align_slices(parser)
    options.add_size(parser, "in-plane size", "128,128", (128, 128))
    options.add_spacing(parser, "voxel size in 3D; 2D keeps the native one", "1.5,1.5,5", (1.5, 1.5, 5.0))
    parser.add_argument(
        "--depth",
        type=positive,
        default=24,
        metavar="N",
        help="in 3D, slices: a taller stack loses its ends, a lower one is zero padded (default: 24)",
    )


def camus(parser: argparse.ArgumentParser) -> None:
    """Add the options of CAMUS."""
    options.add_output(parser, "the folder with patientNNNN, or one above it; either release")
    options.add_size(parser, "the size that images are stretched to", "128,128", (128, 128))


def msd(parser: argparse.ArgumentParser) -> None:
    """Add the options of a task of the Decathlon."""
    options.add_output(parser, "a task's folder, the one with dataset.json", default=(0.5, 99.5))
    options.add_fractions(parser, "0.7,0.1,0.2")
    options.add_grid(parser, "the largest, rounded up to multiples of 16")
    subjects = "moving subjects for each fixed one, of the same split (default: 2)"
    parser.add_argument("--pairs-per-subject", type=positive, default=2, metavar="N", help=subjects)
    channel = "of images with several: a number or a modality's name, as T2 (default: 0)"
    parser.add_argument("--channel", default="0", metavar="NAME", help=channel)


def pairs(parser: argparse.ArgumentParser) -> None:
    """Add the options of a folder of pairs."""
    options.add_output(parser, "the folder with the images (.nii, .nii.gz, .mha, .mhd, .nrrd), at any depth")
    parser.add_argument(
        "--moving-pattern",
        default="{id}_moving",
        metavar="NAME",
        help="name of a moving image, with {id} and/or {subject}, * for anything, and any format if "
        "no extension is given (default: {id}_moving)",
    )
    parser.add_argument("--fixed-pattern", default="{id}_fixed", metavar="NAME", help="the same (default: {id}_fixed)")
    options.add_label_suffix(parser, "_label")
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="instead of patterns: CSV of id, subject, moving, fixed, moving_label, "
        "fixed_label, split, group; paths relative to --source",
    )
    add_fill(parser, "moving image, on the fixed image's grid")
    _of_own_data(parser)


def cine(parser: argparse.ArgumentParser) -> None:
    """Add the options of 4D files."""
    options.add_output(parser, "a 4D NIfTI file, or a folder of them at any depth")
    pattern = "names of the cines in the folder, as *_4d.nii.gz (default: any)"
    parser.add_argument("--pattern", default="*", metavar="NAME", help=pattern)
    parser.add_argument("--moving-frame", type=int, required=True, metavar="N", help="counted from 0")
    parser.add_argument("--fixed-frame", type=int, required=True, metavar="N", help="counted from 0")
    options.add_label_suffix(parser, "_gt")
    _of_own_data(parser)


def _of_own_data(parser: argparse.ArgumentParser) -> None:
    options.add_dims(parser)
    options.add_align_slices(parser)
    options.add_grid(parser, "the largest of the set; in 2D in-plane only")
    options.add_fractions(parser, "0.8,0.2,0.0")
    options.add_about(parser)


def phantom(parser: argparse.ArgumentParser) -> None:
    """Add the options of the phantom."""
    add_folder(parser, "folder of the prepared data set, new or empty")
    options.add_dims(parser)
    kind = "short-axis mr, apical ultrasound, or both by turns (default: mr)"
    parser.add_argument("--kind", choices=list(KINDS), default="mr", help=kind)
    each = f"pairs of each split, a subject each (default: {_both(DEFAULT_PAIRS)})"
    parser.add_argument("--pairs", type=options.counts, metavar="TRAIN,VAL,TEST", help=each)
    options.add_size(parser, "voxels along each axis", _both(DEFAULT_SIZE))
    add_seed(parser, "the phantom: the same makes the same")
    add_jobs(parser, "processes that work at once")


def _both(defaults: dict[int, tuple[int, ...]]) -> str:
    return "; ".join(f"{','.join(map(str, values))} in {dims}D" for dims, values in defaults.items())


def check(parser: argparse.ArgumentParser) -> None:
    """Add the options of the check."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="a prepared data set")


SOURCES: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "acdc": ("ACDC: cine MRI, end diastole to end systole", acdc),
    "camus": ("CAMUS: echocardiography, end diastole to end systole", camus),
    "msd": ("a task of the Medical Segmentation Decathlon: pairs of subjects", msd),
    "pairs": ("a folder or a table of image pairs", pairs),
    "cine": ("4D NIfTI files: two frames of each", cine),
    "phantom": ("synthetic pairs whose displacement and noise are known", phantom),
    "check": ("list every problem of a prepared data set", check),
}
