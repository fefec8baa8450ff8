"""B-spline registration by elastix (Klein et al., IEEE TMI 2010), as itk-elastix brings it."""

from __future__ import annotations

from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from .settings import choice, number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PACKAGE = "itk-elastix"
METRICS = {
    "mse": "AdvancedMeanSquares",
    "ncc": "AdvancedNormalizedCorrelation",
    "mi": "AdvancedMattesMutualInformation",
}


@dataclass(frozen=True)
class Settings:
    """What elastix minimises, over which grid, and for how long."""

    # All 193 validation pairs of ACDC: DSC/HD/ASD 81.98/4.35/1.11 published, 80.82/4.24/1.15 standard, folding 0.06 %,
    # 0.52 s. Chosen on 24 of them among 3 metrics, spacings of 4 to 12 and weights of 0.1 to 10 by the published Dice.
    metric: str = choice("ncc", "mse", "mi")
    grid_spacing: float = number(4.0, 1)  # voxels between control points at the finest level
    resolutions: int = number(3, 1)  # levels, each with half the smoothing and half the grid spacing of the one before
    iterations: int = number(128, 1)  # of each level
    samples: int = number(2048, 1)  # random points of each iteration
    bending: float = number(3.0)  # weight of the bending energy


def load() -> Any:
    """Import itk with elastix, to run on one thread."""
    import itk

    if not hasattr(itk, "ElastixRegistrationMethod"):
        raise ImportError("itk is there, itk-elastix is not")
    itk.MultiThreaderBase.SetGlobalMaximumNumberOfThreads(1)
    return itk


def register(moving: NDArray[np.float32], fixed: NDArray[np.float32], settings: Settings) -> NDArray[np.float32]:
    """Register ``moving`` to ``fixed``, both (*spatial), with warped(x) = moving(x + ddf(x)): ddf (D, *spatial)."""
    import numpy as np

    from . import grids

    itk = load()
    images = [itk.image_from_array(np.ascontiguousarray(image)) for image in (fixed, moving)]
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap({key: [str(v) for v in value] for key, value in _parameters(settings).items()})
    _, transform = itk.elastix_registration_method(*images, parameter_object=parameters, number_of_threads=1)
    with TemporaryDirectory() as folder:  # where it also writes what it returns
        field = itk.transformix_deformation_field(images[1], transform, output_directory=folder)
    return grids.to_ddf(itk.array_view_from_image(field))


def _parameters(settings: Settings) -> dict[str, list[Any]]:
    metrics, weights = [METRICS[settings.metric]], [1]
    if settings.bending:
        metrics, weights = [*metrics, "TransformBendingEnergyPenalty"], [1, settings.bending]
    return {
        "Registration": ["MultiMetricMultiResolutionRegistration"],
        "Metric": metrics,
        **{f"Metric{i}Weight": [weight] for i, weight in enumerate(weights)},
        "NumberOfResolutions": [settings.resolutions],
        "FixedImagePyramid": ["FixedSmoothingImagePyramid"],
        "MovingImagePyramid": ["MovingSmoothingImagePyramid"],
        "Transform": ["BSplineTransform"],
        "FinalGridSpacingInVoxels": [settings.grid_spacing],
        "GridSpacingSchedule": [2**level for level in reversed(range(settings.resolutions))],
        "Optimizer": ["AdaptiveStochasticGradientDescent"],
        "AutomaticParameterEstimation": ["true"],
        "MaximumNumberOfIterations": [settings.iterations],
        "ImageSampler": ["RandomCoordinate"],
        "NumberOfSpatialSamples": [settings.samples],
        "NewSamplesEveryIteration": ["true"],
        "RandomSeed": [1],
        "Interpolator": ["LinearInterpolator"],
        "ResampleInterpolator": ["FinalLinearInterpolator"],
        "Resampler": ["DefaultResampler"],
        "WriteResultImage": ["false"],
    }
