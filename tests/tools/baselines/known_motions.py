"""Let one engine find known motions: ``python known_motions.py ENGINE FILE``. A program of its own, because ITK's
packages cannot share a process. FILE gets ``<case>/moving``, ``truth``, ``ddf`` and the engine's own ``warped``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

SHAPES = {"2D": (56, 48), "3D": (28, 32, 26)}
SHIFT = (2.0, -1.5, 1.0)
SETTINGS = {  # elastix is slow; ants composes its transforms where there are two
    "elastix": {"translation": {"iterations": 60, "samples": 1500}, "smooth": {"iterations": 60, "samples": 1500}},
    "ants": {"smooth": {"affine": True}},
}


def texture(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Blobs that fade out before the border, so that nothing enters or leaves."""
    image = gaussian_filter(np.random.default_rng(0).normal(size=shape), 2.5)
    image = (image - image.min()) / np.ptp(image)
    for axis, size in enumerate(shape):
        edge = np.minimum(np.arange(size), np.arange(size)[::-1])
        image = image * np.clip((edge - 3) / 4, 0, 1).reshape([size if a == axis else 1 for a in range(len(shape))])
    return image.astype(np.float32)


def translation(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.stack([np.full(shape, step, np.float32) for step in SHIFT[: len(shape)]])


def smooth(shape: tuple[int, ...]) -> NDArray[np.float32]:
    random = np.random.default_rng(1)
    field = np.stack([gaussian_filter(random.normal(size=shape), 9) for _ in shape])
    return (2.5 * field / np.abs(field).max()).astype(np.float32)


def recorded(owner: Any, name: str, calls: list) -> None:
    """Keep the arguments and the result of each call of ``owner.name``."""
    function = getattr(owner, name)

    def record(*arguments: Any, **named: Any) -> Any:
        calls.append((arguments, function(*arguments, **named)))
        return calls[-1][1]

    setattr(owner, name, record)


def of_demons(engine: ModuleType) -> Callable[[NDArray], NDArray]:
    sitk, calls = engine.load(), []
    recorded(engine, "_demons", calls)

    def warp(moving: NDArray) -> NDArray:
        return sitk.GetArrayFromImage(sitk.Warp(sitk.GetImageFromArray(moving), calls[-1][1]))

    return warp


def of_elastix(engine: ModuleType) -> Callable[[NDArray], NDArray]:
    itk, calls = engine.load(), []
    recorded(itk, "transformix_deformation_field", calls)
    return lambda moving: itk.array_from_image(itk.transformix_filter(*calls[-1][0]))


def of_ants(engine: ModuleType) -> Callable[[NDArray], NDArray]:
    calls: list = []
    recorded(engine.load(), "registration", calls)
    return lambda moving: calls[-1][1]["warpedmovout"].numpy()


def of_greedy(engine: ModuleType) -> Callable[[NDArray], NDArray]:
    (greedy, sitk), calls = engine.load(), []
    for dims in (2, 3):
        recorded(greedy, f"Greedy{dims}D", calls)

    def warp(_: NDArray) -> NDArray:
        run = calls[-1][1]  # which still has the images and the field
        run.execute("-rf fixed -rm moving warped -r field -V 0", warped=None)
        return sitk.GetArrayFromImage(run["warped"])

    return warp


def main(name: str, path: str) -> None:
    engine = import_module(f"tools.baselines.{name}")
    try:
        own = {"demons": of_demons, "elastix": of_elastix, "ants": of_ants, "greedy": of_greedy}[name](engine)
    except ImportError as error:
        sys.exit(f"absent: {engine.PACKAGE} ({error})")
    found = {}
    for kind in (translation, smooth):
        settings = engine.Settings(**SETTINGS.get(name, {}).get(kind.__name__, {}))
        for label, shape in SHAPES.items():
            moving, truth = texture(shape), kind(shape)
            fixed = map_coordinates(moving, np.indices(shape) + truth, order=1, mode="constant")
            ddf = engine.register(moving, fixed.astype(np.float32), settings)
            case = {"moving": moving, "truth": truth, "ddf": ddf, "warped": own(moving)}
            found |= {f"{kind.__name__} {label}/{key}": array for key, array in case.items()}
    np.savez(path, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
