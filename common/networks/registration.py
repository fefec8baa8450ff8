"""A bundle's network as others see it: one tensor in, one tensor out."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from ..contract import checked, dimensions
from ..errors import InputError
from ..interfaces import Deformation, needed
from ..labels import warped_one_hot
from ..refinement import Refinement
from ..sizes import settled
from ..spatial import resize_map, warp
from .cascaded import cascaded
from .tracing import Traced

LABEL_UNCERTAINTY = "label_uncertainty"


class RegistrationNetwork(nn.Module):
    """Wrap a displacement estimator, and its companion if it has one, for inference, export and MONAI Label.

    Args:
        estimator: ``forward(moving, fixed) -> Deformation``.
        companion: a network of ``inputs`` images: 1 (fixed) or 2 (warped and fixed); or a ``LabelRefiner``.
        companion_map: what it predicts, "log_variance", "score" or "label_uncertainty".
        num_classes: classes of the labels, background included, for a network that carries a label map along.
        cascades: how many times the estimator looks, see `Cascaded`.
        refinement: what is done to its deformation before anything is warped or mapped by it; None is nothing.

    Raises:
        InputError: for an estimator that lacks what it must have, or returns something else than it must.

    Attributes:
        inputs: images that it takes: moving and fixed, and with classes the moving label map.
        channels: the names of the prediction's channels: "ddf_0" and on, the companion's map (of each class, with
            "_0" and on, if it is "label_uncertainty"), "displacement_log_variance" if the estimator predicts an
            uncertainty of its own, with classes "segmentation_0" and on, "warped".
    """

    def __init__(
        self,
        estimator: nn.Module,
        companion: nn.Module | None = None,
        companion_map: str | None = None,
        num_classes: int | None = None,
        cascades: int = 1,
        refinement: Refinement | None = None,
    ) -> None:
        super().__init__()
        self.estimator, self.companion, self.companion_map = cascaded(estimator, cascades), companion, companion_map
        self.refinement = refinement
        self.spatial_dims = dimensions(estimator)
        self.seen: int = getattr(companion, "inputs", 2)
        self.num_classes, self.inputs = num_classes, 2 if num_classes is None else 3
        self.uncertain = bool(getattr(estimator, "uncertainty", None))
        self.channels: tuple[str, ...] = (
            *numbered("ddf", self.spatial_dims),
            *(() if companion is None else self._companion_channels()),
            *["displacement_log_variance"] * self.uncertain,
            *numbered("segmentation", num_classes or 0),
            "warped",
        )

    def _companion_channels(self) -> tuple[str, ...]:
        name = needed(self.companion_map, "name of the companion's map")
        return numbered(name, self.num_classes or 0) if name == LABEL_UNCERTAINTY else (name,)

    def __prepare_scriptable__(self) -> nn.Module:
        """What `torch.jit.script` compiles, and so MONAI's ckpt_export."""
        return Traced(self)

    def refining(self, steps: int | None = None) -> RegistrationNetwork:
        """This network, with the same weights in memory, whose refinement is its own: for one request among others.

        Args:
            steps: of its refinement; None is as many as here.

        Raises:
            InputError: steps of a network without a refinement, or a number of them that cannot be.
        """
        view = copy.copy(self)
        if self.refinement is not None:
            view.refinement = self.refinement.of(self.refinement.steps if steps is None else steps)
        elif steps:
            raise InputError(f"refine_steps is {steps}: this network has no refinement.")
        return view

    def forward(self, image: Tensor) -> Tensor:
        """``pred`` (B, C, *spatial), its channels as ``channels`` names them, float32.

        Args:
            image: (B, inputs, *spatial): moving and fixed, each in [0, 1], and with classes the moving label map,
                zeros where there is none.
        """
        moving, fixed = image[:, :1], image[:, 1:2]
        deformation = checked(self.estimator(moving, fixed), self.estimator, fixed)
        if self.refinement is not None:
            deformation = self.refinement(moving, fixed, deformation, self.estimator, self.companion)
        warped = warp(moving.float(), deformation.ddf)
        maps, segmentation = self._maps(image, deformation, warped)
        if self.uncertain:
            maps.append(displacement_log_variance(deformation))
        return torch.cat([deformation.ddf, *maps, *segmentation, warped], dim=1)

    def _maps(self, image: Tensor, deformation: Deformation, warped: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The companion's maps and the classes, each in a list of one or none."""
        classes = []
        if self.num_classes is not None:
            classes = [warped_one_hot(image[:, 2:], deformation.ddf, self.num_classes)]
        if self.companion is None:
            return [], classes
        if self.companion_map == LABEL_UNCERTAINTY:
            refined, log_uncertainty = self.companion(deformation.features, classes[0]).chunk(2, dim=1)
            return [torch.exp(log_uncertainty)], [refined]
        return [self.companion(*(warped, image[:, 1:2])[-self.seen :]).float()], classes


def numbered(name: str, count: int) -> tuple[str, ...]:
    """``name_0`` and on."""
    return tuple(f"{name}_{number}" for number in range(count))


def displacement_log_variance(deformation: Deformation) -> Tensor:
    """Log variance of the displacement, voxels^2, (B, 1, *spatial).

    That of a velocity is carried over to first order: averaged over the components, in voxels of the fine grid.
    """
    log_variance = needed(deformation.log_variance, "log variance of the displacement")
    if settled(log_variance.shape[1]) == 1:
        return log_variance
    fine = resize_map(log_variance.mean(1, keepdim=True), list(deformation.ddf.shape[2:]))
    return fine + 2 * math.log(math.prod(deformation.strides)) / len(deformation.strides)
