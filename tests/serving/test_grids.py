"""Images on grids of their own: the motion is that of space, on the fixed image's grid, as `register` finds it."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from inference import Constant
from toy_registration import MOTION, PLACE, CentreOfMass, blob, grid_around, written

from common.engines.inferer import BatchInferer
from common.errors import InputError
from common.io import write_image
from common.physical import grid_points
from common.registration.api import register
from common.registration.bundle import OpenBundle, open_bundle
from common.registration.region import Framing
from common.serving import ImageOfPrediction, PairOfRequest

BUNDLES = Path(__file__).parents[2] / "bundles"
TURN = np.array([[0.98, -0.17, 0.1], [0.17, 0.98, 0.02], [-0.1, 0.0, 0.99]])
FLIP = np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]])  # stored axes 0, 1, 2 run along z, x and y, two of them backwards


def serve(network: torch.nn.Module, folder: Path, framing: Framing | None = None, **asked: Any) -> dict[str, Any]:
    """What the server makes of a request for ``moving`` and ``fixed`` of ``folder``."""
    data = {"image": str(folder / "moving.nii.gz"), "fixed": "fixed", **asked}
    data = PairOfRequest(network, framing)(data)
    with torch.no_grad():
        data["pred"] = BatchInferer()(data["image"][None], network)[0]
    return ImageOfPrediction()(data)


def anatomy(shape: tuple[int, ...], affine: np.ndarray, motion: float = 0.0) -> np.ndarray:
    """A smooth pattern of space, 0 to 900; ``motion`` bends it."""
    x, y, z = np.moveaxis(grid_points(shape, affine), -1, 0)
    x = x + motion * np.sin(y / 9)
    waves = np.cos(x / 7) * np.cos(y / 8 + x / 30) * np.cos(z / 10)
    return (450 * (1 + waves * np.exp(-(x**2 + y**2 + z**2) / 4000))).astype(np.float32)


def write_pair(folder: Path, fixed: tuple[Any, ...], moving: tuple[Any, ...], label: tuple[Any, ...] = ()) -> None:
    """Write the pattern on two grids (shape, spacing, rotation, offset), and a label map of the moving image."""
    grids = [(shape, grid_around(shape, *rest)) for shape, *rest in (fixed, moving, label or moving)]
    arrays = [anatomy(*grids[0]), anatomy(*grids[1], 2.0), (anatomy(*grids[2], 2.0) > 500).astype(np.uint8)]
    for name, array, (_, affine) in zip(("fixed", "moving", "label"), arrays, grids, strict=True):
        write_image(folder / f"{name}.nii.gz", array, affine)


def opened(name: str, **how: Any) -> OpenBundle:
    return open_bundle(BUNDLES / name, "cpu", **how)


STACK = ((60, 56, 5), (1.3, 1.3, 6.0), TURN, 0.0)
PLAIN = ((30, 34, 32), (1.5, 1.4, 1.5), None, 0.0)
PAIRS = {
    "stacks": ("vxm_hetero_disp", {"crop_size": 48}, STACK, ((70, 72, 3), (1.1, 1.0, 6.5), None, [2.0, -3, 4])),
    "stack and volume": ("vxm_adacs", {"crop_size": 48}, STACK, ((44, 80, 84), (0.9, 1.2, 1.0), FLIP, 1.0)),
    "volumes": ("vxm_predictive", {}, PLAIN,
                ((26, 52, 60), (1.8, 1.0, 0.9), FLIP @ TURN, [3.0, -2.0, 1.0])),
}  # fmt: skip


@pytest.mark.skipif(not BUNDLES.is_dir(), reason="the repository's bundles are not here")
@pytest.mark.parametrize(("name", "how", "fixed", "moving"), PAIRS.values(), ids=PAIRS)
def test_the_fixed_grid_gets_what_register_gives(
    tmp_path: Path, name: str, how: dict[str, Any], fixed: tuple[Any, ...], moving: tuple[Any, ...]
) -> None:
    write_pair(tmp_path, fixed, moving)
    bundle = opened(name, **how)
    data = serve(bundle.network, tmp_path, bundle.framing, moving_label="label")
    files = [tmp_path / f"{image}.nii.gz" for image in ("moving", "fixed", "label")]
    expected, found = register(*files[:2], bundle, label=files[2]), data["registration"]
    assert data["pred"].shape[1:] == fixed[0]
    np.testing.assert_allclose(found.field.vectors, expected.field.vectors, atol=1e-4)  # mm
    assert np.abs(found.field.vectors).max() > 0.5 and expected.compared.mean() > 0.2
    assert set(found.images) == set(expected.images)
    for each in set(found.maps) - {"segmentation"}:
        np.testing.assert_allclose(found.maps[each], expected.maps[each], atol=1e-3, err_msg=each)
    np.testing.assert_allclose(found.warped, expected.warped, atol=1e-3 * 900)
    assert (found.warped_label == expected.warped_label).mean() > 0.999


def test_the_field_is_the_motion_of_space(tmp_path: Path) -> None:
    for name, grid, place in (
        ("fixed", ((40, 42, 44), (1.0, 1.1, 0.9)), PLACE),
        ("moving", ((44, 38, 52), (1.2, 1.2, 0.8), FLIP @ TURN, [1.0, 0, 2]), PLACE + MOTION),
    ):
        written(blob(grid[0], grid_around(*grid), place), tmp_path / f"{name}.nii.gz")
    data = serve(CentreOfMass(), tmp_path)
    vectors = data["registration"].field.vectors
    np.testing.assert_allclose(vectors.reshape(-1, 3).mean(0), MOTION, atol=0.06)
    before, after = (data["result"]["similarity"][when]["mean_squared_error"] for when in ("before", "after"))
    assert after < 0.02 * before


def test_slices_that_the_moving_image_does_not_reach_are_left_as_they_are(tmp_path: Path) -> None:
    write_pair(tmp_path, ((40, 36, 6), (1.3, 1.3, 6.0)), ((44, 40, 3), (1.2, 1.2, 6.0), None, [0, 0, 9]))
    shown = serve(Constant((1.0, 0.0)), tmp_path, Framing("all"), result="uncertainty")
    reached = [k for k in range(6) if shown["registration"].field.vectors[:, :, k].any()]
    assert reached == [3, 4, 5]
    assert np.isnan(shown["pred"][0, ..., :3]).all()
    smallest = shown["registration"].moving.array.min()
    np.testing.assert_allclose(shown["registration"].warped[..., :3], smallest, rtol=1e-6)
    assert shown["result"]["maps"]["log_variance"]["mean"] == pytest.approx(-5)


def test_a_label_of_another_grid_leaves_the_image_as_it_is(tmp_path: Path) -> None:
    grid = ((40, 36, 4), (1.3, 1.3, 6.0))
    write_pair(tmp_path, grid, grid, ((80, 72, 4), (0.65, 0.65, 6.0)))
    network, framing = CentreOfMass(2), Framing("all")
    plain, labelled = (serve(network, tmp_path, framing, moving_label=label) for label in ("", "label"))
    for name, image in plain["registration"].images.items():
        assert np.array_equal(image, labelled["registration"].images[name])
    assert labelled["registration"].warped_label.any()


@pytest.mark.parametrize("label", ["", "label"])
def test_images_that_do_not_overlap_are_a_bad_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    class HTTPException(Exception):
        pass

    grid, far = ((40, 36, 4), (1.3, 1.3, 6.0)), ((40, 36, 4), (1.3, 1.3, 6.0), None, [70.0, 0, 0])
    write_pair(tmp_path, grid, *((grid, far) if label else (far,)))
    monkeypatch.setitem(sys.modules, "starlette.exceptions", types.SimpleNamespace(HTTPException=HTTPException))
    with pytest.raises(HTTPException) as error:
        serve(CentreOfMass(2), tmp_path, moving_label=label)
    status, line = error.value.args
    reason = "no label of it lies in" if label else "do not overlap in space"
    assert status == 400 and reason in line and "\n" not in line and str(tmp_path) not in line


def test_an_image_without_slices_is_not_registered_to_a_stack(tmp_path: Path) -> None:
    write_pair(tmp_path, ((40, 36, 4), (1.3, 1.3, 6.0)), ((40, 36, 4), (1.3, 1.3, 6.0)))
    moving = np.asarray(nib.load(tmp_path / "moving.nii.gz").dataobj)[..., 0]
    nib.save(nib.Nifti1Image(moving, np.eye(4)), tmp_path / "moving.nii.gz")
    with pytest.raises(InputError, match="moving.nii.gz is 2D but fixed.nii.gz is 3D"):
        serve(CentreOfMass(2), tmp_path)
