"""What a cine gives: its files, a table of its curves, and its numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from common.collection.weights import told
from common.files import staged, write_bytes, write_json
from common.metrics import folding_percent
from common.registration.bundle import OpenBundle
from common.registration.look import look

from .animation import View, animation
from .curves import Band, Curves
from .motion import Motion
from .picture import BAND, curves_figure, to_png
from .reading import Cine
from .writing import (
    warped_frames,
    warped_labels,
    write_fields,
    write_frames,
    write_motion,
    write_sequence,
)

ALWAYS = ("motion.nii.gz", "warped.nii.gz", "warped.seq.nrrd", "cine.gif", "frames.csv", "cine.json")


@dataclass(frozen=True, eq=False)
class Results:
    """All that is written of one cine; label and curves are None without a label, ``fill`` where none was asked for."""

    cine: Cine
    motion: Motion
    label: np.ndarray | None
    curves: Curves | None
    view: View
    bundle: OpenBundle
    band: Band
    fill: float | None = None
    outside: str = "nan"

    @cached_property
    def warped(self) -> np.ndarray:
        """The reference frame warped to every frame, (T, *spatial)."""
        return warped_frames(self.cine, self.motion, self.fill)

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """What is said of each frame, see `per_frame`."""
        return per_frame(self.cine, self.motion, self.warped)

    @cached_property
    def warnings(self) -> list[str]:
        """What to know before believing it, a line each."""
        fell = self.columns["correlation_after"] < self.columns["correlation_before"]
        fell[self.motion.reference] = False
        frames = ", ".join(map(str, np.flatnonzero(fell)))
        return [*self.motion.warnings, *([f"similarity fell in frames {frames}"] if frames else [])]

    @property
    def step(self) -> float | None:
        """ms between two frames, their mean where it varies; None where it is not known."""
        times = self.cine.times
        return None if times is None else float(times[-1] / (len(times) - 1))

    @property
    def banded(self) -> bool:
        """Whether there are bands."""
        return self.curves is not None and bool(self.curves.deviations)


def write(
    results: Results, output: Path, fields: str | None = None, inputs: Iterable[str | Path | None] = ()
) -> list[Path]:
    """Write every file of ``results`` into the folder ``output``, all of them or none; return their paths.

    Args:
        fields: a format of `common.io.formats` to write the field of each frame in, too.
        inputs: the files that were read.

    Raises:
        InputError: a file cannot be written or would replace an input, or a format that does not fit.
    """
    with staged(output, inputs) as folder:
        _write(results, folder, fields)
        names = sorted(path.name for path in folder.iterdir())
    return [output / name for name in names]


def _write(results: Results, folder: Path, fields: str | None) -> None:
    cine, motion, step = results.cine, results.motion, results.step
    files = {kind: folder / f"{cine.name}_{kind}" for kind in _kinds(results)}
    write_motion(files["motion.nii.gz"], motion, step)
    write_frames(files["warped.nii.gz"], results.warped, motion.affine, step)
    write_sequence(files["warped.seq.nrrd"], results.warped, motion.affine, cine.times)
    for name, maps in motion.maps.items():
        shown = look(name, maps, motion.seen, results.outside)
        write_frames(files[f"{name}.nii.gz"], shown.array, motion.affine, step, shown.window, shown.note)
    if results.label is not None:
        write_frames(files["warped_label.nii.gz"], warped_labels(results.label, motion), motion.affine, step)
    if fields:
        write_fields(folder, cine.name, motion, fields)
    write_bytes(files["cine.gif"], animation(cine, motion, results.view, results.label, results.curves))
    if results.curves is not None:
        note = band_note(results)
        figure = curves_figure(results.curves, cine.times, motion.reference, note)
        write_bytes(files["curves.png"], to_png(figure))
    write_bytes(files["frames.csv"], table(cine, results.curves, results.columns))
    write_json(files["cine.json"], numbers(results, results.columns))


def _kinds(results: Results) -> list[str]:
    maps = [f"{name}.nii.gz" for name in results.motion.maps]
    labelled = ["warped_label.nii.gz", "curves.png"] if results.label is not None else []
    return [*ALWAYS, *maps, *labelled]


def band_note(results: Results) -> str:
    """Say what the band is, or why there is none."""
    if results.banded:
        band = results.band
        scaled = "" if band.scale == 1 else f" times {band.scale:g}"
        return (
            f"Band: ±{BAND} SD of {band.draws} draws of the displacement, by the network's own standard deviation"
            f"{scaled}, correlated over {band.length:g} mm. It is no confidence interval."
        )
    return f"No band: {results.bundle.name} predicts no uncertainty of the displacement."


def per_frame(cine: Cine, motion: Motion, warped: np.ndarray) -> dict[str, np.ndarray]:
    """Return, for each frame, how far points moved, folding, and how alike the images are before and after.

    Over what the network saw: mean |u| in mm, cells with |J| <= 0 in percent, correlation of the intensities.
    """
    seen, still = motion.seen, cine.frames[motion.reference]
    rows = []
    for t, frame in enumerate(cine.frames):
        moved = float(np.linalg.norm(motion.vectors[t], axis=-1)[seen].mean())
        before, after = (float(np.corrcoef(image[seen], frame[seen])[0, 1]) for image in (still, warped[t]))
        rows.append((moved, _folding(motion, t), before, after))
    names = ("mean_displacement_mm", "folding_percent", "correlation_before", "correlation_after")
    return dict(zip(names, np.array(rows).T, strict=True))


def _folding(motion: Motion, frame: int) -> float:
    box = tuple(slice(int(place.min()), int(place.max()) + 1) for place in np.nonzero(motion.seen))
    ddf = motion.ddf(frame)[(slice(None), *box)]
    if motion.dims == ddf.ndim - 1:
        return folding_percent(ddf)
    return float(np.mean([folding_percent(ddf[..., k]) for k in range(ddf.shape[-1])]))


def table(cine: Cine, curves: Curves | None, extra: Mapping[str, np.ndarray]) -> bytes:
    """Return a CSV file: a row a frame, its time, ``extra`` columns, and the curves with their deviations."""
    columns: dict[str, Any] = {"frame": range(len(cine.frames))}
    if cine.times is not None:
        columns["time_ms"] = cine.times
    columns |= extra
    if curves is not None:
        for name, values in curves.values.items():
            title = titled(name, curves.solid)
            columns[title] = values
            if name in curves.deviations:
                columns[f"{title}_sd"] = curves.deviations[name]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([f"{v:.6g}" for v in row] for row in zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def titled(name: str, solid: bool) -> str:
    """The name of a curve in files: what it is, of which label, in which unit."""
    if not name.startswith("size_"):
        return f"{name}_strain"
    return f"{'volume_mm3' if solid else 'area_mm2'}_{name.removeprefix('size_')}"


def summary(curves: Curves, reference: int) -> dict[str, Any]:
    """Return the numbers that a person asks for: extremes of each size, its ejection fraction, peak strains.

    The fraction is (largest - smallest) / largest of the curve, in percent.
    """
    sizes = {}
    for value in curves.labels:
        curve = curves.values[f"size_{value}"]
        low, high = int(np.argmin(curve)), int(np.argmax(curve))
        sizes[str(value)] = {
            "unit": "mm3" if curves.solid else "mm2",
            "reference": float(curve[reference]),
            "largest": float(curve[high]), "largest_frame": high,
            "smallest": float(curve[low]), "smallest_frame": low,
            "fraction_percent": 100 * float(1 - curve[low] / curve[high]),
        }  # fmt: skip
        if spread := _spread(curves, f"size_{value}", low):
            sizes[str(value)]["smallest_sd"] = spread
    strains = {}
    for name in curves.strains:
        peak = int(np.nanargmax(np.abs(curves.values[name]))) if np.isfinite(curves.values[name]).any() else reference
        strains[name] = {"peak": float(curves.values[name][peak]), "peak_frame": peak}
        if spread := _spread(curves, name, peak):
            strains[name]["peak_sd"] = spread
    return {"sizes": sizes, "strains": strains}


def _spread(curves: Curves, name: str, frame: int) -> float | None:
    return float(curves.deviations[name][frame]) if name in curves.deviations else None


def numbers(results: Results, columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return what the JSON file holds: what was done to what by which weights, and what came out."""
    cine, motion, bundle = results.cine, results.motion, results.bundle
    content: dict[str, Any] = {
        "cine": str(cine.path), "frames": len(cine.frames), "shape": list(cine.frames.shape[1:]),
        "frame_time_ms": results.step, "reference_frame": motion.reference,
        "bundle": bundle.name, "version": bundle.version, **told(bundle.weights),
        "region_center": bundle.framing.center, "seconds": round(motion.seconds, 3),
        "refinement": motion.refined,
        "motion": "LPS mm, from a point of frame t to its point in the reference frame",
        "warnings": results.warnings,
        "mean": {name: float(np.mean(values)) for name, values in columns.items()},
    }  # fmt: skip
    if results.curves is None:
        return content
    content |= {"labels": list(results.curves.labels), "wall": results.curves.wall}
    content |= summary(results.curves, motion.reference)
    if results.curves.strains:
        content["strain"] = "Green-Lagrange, directions of the reference frame, mean over the wall there"
    band = asdict(results.band) if results.banded else None
    return content | {"band": band, "band_note": band_note(results)}
