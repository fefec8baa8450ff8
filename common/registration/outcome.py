"""A registration: its images, its field, and all that follows from them, computed when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..carry import carry_image, carry_points
from ..chain import compose
from ..fields import Field
from ..interfaces import needed
from ..io.given import image_of, label_of
from ..io.images import MedicalImage
from ..io.points import Points, points_of
from ..physical import background, invert_field, invert_points, jacobian_determinant, sample, warp_image
from ..refinement import Report
from .card import Card
from .case import Case, check_name


class By(NamedTuple):
    """What registers: a bundle's name and version, its file of weights (or those of an ensemble), and a device."""

    name: str
    version: str
    weights: str | Path | Sequence[Path] | None
    device: Any


@dataclass(frozen=True, eq=False)
class Registration:
    """What was registered, and what came out.

    All arrays are on the fixed image's grid, except those of ``inverse``, which are on the moving image's.

    Attributes:
        case: the images.
        field: u: a point p of the fixed image lies at p + u(p) in the moving image; LPS mm, 0 outside ``seen``. With an
            initial transform it is both in one, and outside of ``seen`` that alone.
        maps: those of the method by name, (*spatial), see `maps_of`.
        seen: (*spatial) bool, what the network was shown of the fixed image, without slices of a stack that the moving
            image does not reach.
        overlap: share of that region that the moving image covers, 0 to 1.
        seconds: of the network for this pair.
        network_spacing: mm of the network's voxels along its axes.
        network_shape: of the network's grid.
        slice_axis: of the fixed image, across the slices that were registered one by one; None elsewhere.
        by: what registered them; without it there are no ``numbers`` and no files.
        trained: the images that the network was trained on, as far as it is known.
        own: the network's field alone, which comes behind an initial transform or is of slices in line; None is
            ``field``.
        refined: what its refinement did; None without one.
        slice_shifts_mm: (slices, 2), by which slices were brought in line for the network, along the two axes in their
            plane; None where they were not, see `aligned`.
    """

    case: Case
    field: Field
    maps: dict[str, np.ndarray]
    seen: np.ndarray
    overlap: float
    seconds: float
    network_spacing: tuple[float, ...]
    network_shape: tuple[int, ...]
    slice_axis: int | None = None
    by: By | None = None
    trained: Card = Card()
    own: Field | None = None
    refined: Report | None = None
    slice_shifts_mm: np.ndarray | None = None

    @property
    def own_field(self) -> Field:
        """What the network itself moves, LPS mm: ``field`` without the initial transform."""
        return self.field if self.own is None else self.own

    @property
    def moving(self) -> MedicalImage:
        """The moving image."""
        return self.case.moving

    @property
    def fixed(self) -> MedicalImage:
        """The fixed image."""
        return self.case.fixed

    @cached_property
    def unmoved(self) -> np.ndarray:
        """The moving image as it lies, or as the initial transform puts it, float32."""
        return self._pulled(self._initial)

    @cached_property
    def warped(self) -> np.ndarray:
        """The moving image, sampled once where the field points, float32; outside its smallest value or `Case.fill`."""
        return self._pulled(self.field)

    @property
    def _still(self) -> Field:
        return Field(np.zeros_like(self.field.vectors), self.field.affine)

    @cached_property
    def _initial(self) -> Field:
        return self._still if self.case.initial is None else compose(self.case.initial, self._still)

    def _pulled(self, field: Field) -> np.ndarray:
        image = self.moving
        return warp_image(image.array, image.affine, field, fill=background(image.array, self.case.fill))

    @cached_property
    def warped_label(self) -> np.ndarray | None:
        """The moving label, to the nearest voxel; None without one."""
        return self._nearest(self.case.label, self.field)

    @cached_property
    def unmoved_label(self) -> np.ndarray | None:
        """The moving label as it lies, or as the initial transform puts it; None without one."""
        return self._nearest(self.case.label, self._initial)

    @cached_property
    def fixed_label(self) -> np.ndarray | None:
        """The fixed label on the fixed image's grid; None without one."""
        return self._nearest(self.case.fixed_label, self._still)

    @staticmethod
    def _nearest(label: MedicalImage | None, field: Field) -> np.ndarray | None:
        return None if label is None else warp_image(label.array, label.affine, field, order=0)

    @cached_property
    def jacobian(self) -> np.ndarray:
        """det d(p + u)/dp, float32."""
        return jacobian_determinant(self.field)

    @property
    def inverse(self) -> Field:
        """v, from a point of the moving image to its point of the fixed image, LPS mm."""
        return self._inverted[0]

    @property
    def inverse_residual(self) -> np.ndarray:
        """What is left of v + u, mm, on the moving image's grid."""
        return self._inverted[1]

    @cached_property
    def _inverted(self) -> tuple[Field, np.ndarray]:
        return invert_field(self.field, self.moving.array.shape, self.moving.affine)

    @cached_property
    def warped_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the points of the moving image lie in the fixed one, (N, 2 or 3) LPS mm, and what is left, in mm.

        The field pulls the image, so that its points go the inverse way.
        """
        places = needed(self.case.points, "point").lps.copy()
        places[:, : self.field.dims], residual = invert_points(places[:, : self.field.dims], self.field)
        return places, residual

    @cached_property
    def points_seen(self) -> np.ndarray:
        """Which of the points the network saw, (N,) bool; nothing is known of how others move."""
        places = self.warped_points[0][:, : self.field.dims]
        return sample(self.seen.astype(np.float32), self.fixed.affine, places) > 0.5

    @cached_property
    def inner(self) -> np.ndarray:
        """What the network saw but for its rim, where the field drops to 0 from one voxel to the next.

        The slices of a stack have no rim across: what differs between them folds nothing.
        """
        seen = self.seen
        inner = seen.copy()
        for axis in (a for a in range(seen.ndim) if a != self.slice_axis):
            kept, neighbours = np.moveaxis(inner, axis, 0), np.moveaxis(seen, axis, 0)
            kept[1:] &= neighbours[:-1]
            kept[:-1] &= neighbours[1:]
        return inner

    @cached_property
    def compared(self) -> np.ndarray:
        """What the network saw where the moving image has values both before and after."""
        ones, affine = np.ones(self.moving.array.shape, np.float32), self.moving.affine
        covered = [warp_image(ones, affine, field) > 0.999 for field in (self._initial, self.field)]
        return self.seen & covered[0] & covered[1]

    @cached_property
    def images(self) -> dict[str, np.ndarray]:
        """What is written as images on the fixed image's grid, by the ends of the files' names."""
        label = {} if self.warped_label is None else {"warped_label": self.warped_label}
        return {"warped": self.warped, **label, "jacobian": self.jacobian, **self.maps, "seen": self.seen}

    @cached_property
    def similarity(self) -> dict[str, dict[str, float]]:
        """How alike the images are, "before" and "after", see `numbers.similarity`."""
        from .numbers import similarity

        return {"before": similarity(self, self.unmoved), "after": similarity(self, self.warped)}

    @cached_property
    def agreement(self) -> dict[str, dict[str, dict[str, float]]]:
        """Dice and distances of the labels, before and after, see `labelled.agreement`; {} without a fixed label."""
        from .labelled import agreement

        return agreement(self)

    @cached_property
    def warnings(self) -> list[str]:
        """What to know before believing it, a line each: what was not seen, similarity that fell, ..."""
        from .remarks import remarks

        return remarks(self)

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """What was registered, by what, and how it went; what cannot be computed is NaN."""
        from .numbers import about, inverse_consistency, summary

        return about(self) | summary(self) | {"inverse_consistency_mm": inverse_consistency(self)}

    def save(
        self,
        output: str | Path,
        name: str | None = None,
        format: str = "nifti",
        picture: bool = True,
        outside: str = "nan",
    ) -> list[Path]:
        """Write every file of this registration to the folder ``output``, all of them or none; return them.

        Args:
            name: what they are called after; None is the case's.
            format: of the fields, see `io.fields`.
            picture: whether there is one.
            outside: what the method's maps are in files where nothing was seen, "nan" or "0".

        Raises:
            InputError: a file cannot be written, or a format or a name that there cannot be.
        """
        from .outputs import write_registration

        return write_registration(
            self, Path(output), check_name(name or self.case.name), format, picture, outside=outside
        )

    def warp(self, what: Any, label: bool = False, inverse: bool = False) -> Any:
        """Carry an image, a label map or points of the moving image to the fixed image; with ``inverse``, back.

        Args:
            what: an image or a label map as `api.register` takes it; `Points`, or (N, 2 or 3) in LPS mm.
            label: it is a label map: take the nearest voxel.

        Returns:
            A `MedicalImage` on the other image's grid, or points as they were given.

        Raises:
            InputError: something else, or of other dimensions.
        """
        if isinstance(what, Points):
            return replace(what, lps=carry_points(self.field, what, inverse)[0])
        if isinstance(what, np.ndarray):
            return carry_points(self.field, points_of(what), inverse)[0]
        image = label_of(what) if label else image_of(what)
        return carry_image(self.field, image, label, inverse, self.moving if inverse else None)[0]
