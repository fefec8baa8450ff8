from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from inference import Constant, infer, names_of, prepared_from
from monai.bundle import ConfigWorkflow
from monai.bundle.properties import InferProperties

from common.engines.inferer import BatchInferer
from common.errors import InputError
from common.fields import to_voxels
from common.grids import crop_affine, min_max
from common.io import read_field, save_weights
from common.networks import VoxelMorph
from common.networks.registration import RegistrationNetwork
from common.nifti import save_image
from common.registration.inference import RegistrationInference
from common.registration.pairs import PairsToRegister
from common.registration.region import Framing


def test_a_stack_is_registered_in_its_region_and_written_on_its_grid(
    tmp_path: Path, files: dict[str, Path], affine: np.ndarray
) -> None:
    network = Constant((2.0, 0.0))
    framing = Framing(crop_size=16, center=(20, 12))
    written = infer(network, tmp_path / "out", **files, framing=framing)
    moving, label = (np.asarray(nib.load(files[name]).dataobj) for name in ("moving", "moving_label"))
    region = np.s_[12:28, 4:20]
    image = network.seen[-1].numpy()
    assert image.shape == (4, 2, 16, 16)
    np.testing.assert_array_equal(image[2, 0], min_max(moving[region][..., 2]))
    # inside: moved by two voxels along i; outside: as it was
    expected = moving.copy()
    expected[region] = np.roll(moving, -2, 0)[region]
    np.testing.assert_allclose(written["moving_warped"], expected, rtol=1e-4)
    expected = label.copy()
    expected[region] = np.roll(label, -2, 0)[region]
    np.testing.assert_array_equal(written["moving_warped_label"], expected)
    assert written["moving_warped_label"].dtype == np.uint8
    ddf, field_affine = in_voxels(tmp_path / "out" / "moving_displacement.nii.gz")
    inside = np.zeros(moving.shape)
    inside[region] = 2
    np.testing.assert_allclose(ddf, [inside, 0 * inside, 0 * inside], atol=1e-5)
    np.testing.assert_allclose(field_affine, affine, atol=1e-5)
    np.testing.assert_array_equal(written["moving_log_variance"], np.where(inside > 0, -5, np.nan))
    for path in (tmp_path / "out").glob("*.nii.gz"):
        np.testing.assert_allclose(nib.load(path).affine, affine, atol=1e-5)


def in_voxels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A written field in voxels, (D, *spatial), and its affine."""
    field = read_field(path)
    return to_voxels(field.vectors, field.affine), field.affine


def test_a_region_beyond_the_image_is_padded(tmp_path: Path, files: dict[str, Path]) -> None:
    network = Constant((0.0, 1.0), "score", 0.5)
    written = infer(network, tmp_path / "out", moving=files["moving"], fixed=files["fixed"], name="x")
    assert network.seen[-1].shape == (4, 2, 128, 128)
    assert set(written) == names_of("x", "score")
    assert (written["x_score"] == 0.5).all()
    assert written["x_displacement"].shape == (37, 30, 4, 1, 3)


def test_a_volume_of_odd_size_goes_through_a_real_network(tmp_path: Path, files: dict[str, Path]) -> None:
    torch.manual_seed(0)
    network = RegistrationNetwork(VoxelMorph(spatial_dims=3))
    written = infer(network, tmp_path / "out", **files)
    assert set(written) == names_of("moving", "warped_label")
    assert written["moving_warped"].shape == (37, 30, 4)


def test_a_2d_image_stays_2d(tmp_path: Path, files: dict[str, Path]) -> None:
    for name in ("moving", "fixed"):
        save_image(tmp_path / f"{name}2.nii.gz", np.asarray(nib.load(files[name]).dataobj)[..., 1], np.eye(4))
    pair = {"moving": tmp_path / "moving2.nii.gz", "fixed": tmp_path / "fixed2.nii.gz"}
    written = infer(Constant((1.0, 0.0)), tmp_path / "out", **pair, framing=Framing("all"))
    assert written["moving2_warped"].shape == (37, 30)
    assert written["moving2_displacement"].shape == (37, 30, 1, 1, 2)


def test_a_resized_region_moves_native_voxels(tmp_path: Path, files: dict[str, Path]) -> None:
    network = Constant((1.0, -2.0))
    framing = Framing("all", network_size=(74, 15))
    infer(network, tmp_path / "out", moving=files["moving"], fixed=files["fixed"], framing=framing)
    assert network.seen[-1].shape == (4, 2, 74, 15)
    ddf, _ = in_voxels(tmp_path / "out" / "moving_field.nii.gz")
    np.testing.assert_allclose(ddf[0], 0.5, atol=1e-5)
    np.testing.assert_allclose(ddf[1], -4.0, atol=1e-5)


def test_input_that_cannot_be_registered_is_refused(tmp_path: Path, files: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="give --moving and --fixed, or --dataset_dir"):
        PairsToRegister()
    with pytest.raises(InputError, match="give both"):
        PairsToRegister(moving=files["moving"])
    flat = np.ones((37, 30, 4), np.float32)
    flat[0, 0] = 2
    save_image(tmp_path / "flat.nii.gz", flat, nib.load(files["moving"]).affine)
    with pytest.raises(InputError, match="flat.nii.gz: constant in the region"):
        infer(
            Constant((0.0, 0.0)), tmp_path, moving=files["moving"], fixed=tmp_path / "flat.nii.gz", framing=Framing(8)
        )
    with pytest.raises(InputError, match="spatial_dims is 2 but the network is 3D"):
        RegistrationInference("cpu", Constant((0.0,) * 3), PairsToRegister(files["moving"], files["fixed"]), tmp_path)


def test_an_output_folder_that_cannot_be_made_is_named(tmp_path: Path, files: dict[str, Path]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/out: cannot be written to"):
        infer(Constant((0.0, 0.0)), tmp_path / "file" / "out", moving=files["moving"], fixed=files["fixed"])


def test_a_prepared_split_is_written_on_its_own_grid_or_the_native_one(
    tmp_path: Path, files: dict[str, Path], affine: np.ndarray
) -> None:
    start = (12, 4, 1)
    root = prepared_from(files, tmp_path / "data", start)
    written = infer(Constant((2.0, 0.0)), tmp_path / "out", dataset_dir=root)
    assert written["a1_warped"].shape == (16, 20, 1)
    assert "a1_warped_label" in written
    place = nib.load(tmp_path / "out" / "a1" / "a1_warped.nii.gz").affine
    np.testing.assert_allclose(place, crop_affine(affine, (12, 4, 2)), atol=1e-5)
    written = infer(Constant((2.0, 0.0)), tmp_path / "native", dataset_dir=root, source=tmp_path)
    moving = np.asarray(nib.load(files["moving"]).dataobj)[..., 2:3]
    expected = moving.copy()
    expected[12:28, 4:24] = np.roll(moving, -2, 0)[12:28, 4:24]
    np.testing.assert_allclose(written["a1_warped"], expected, rtol=1e-4)
    place = nib.load(tmp_path / "native" / "a1" / "a1_warped.nii.gz").affine
    np.testing.assert_allclose(place, crop_affine(affine, (0, 0, 2)), atol=1e-5)


def test_batches_of_any_size_give_the_same_and_are_timed() -> None:
    images = torch.rand(5, 2, 6, 7)
    network = Constant((1.0, 0.0))
    inferer = BatchInferer(2)
    assert torch.equal(inferer(images, network), Constant((1.0, 0.0))(images))
    assert [len(image) for image in network.seen] == [2, 2, 2, 1]  # the first is the warm-up
    assert inferer.seconds > 0
    with pytest.raises(InputError, match="batch_size is 0"):
        BatchInferer(0)


@pytest.mark.parametrize("shape", [(5, 2, 16, 16), (1, 2, 16, 16, 16)])
def test_a_batch_of_one_in_front_of_the_slices_comes_back(shape: tuple[int, ...]) -> None:
    network, image = Constant((1.0,) * (len(shape) - 2)), torch.rand(shape)
    plain = BatchInferer(2)(image, network)
    network.seen.clear()
    assert torch.equal(BatchInferer(2)(image[None], network), plain[None])
    assert [len(part) for part in network.seen] == ([2, 2, 1] if len(shape) == 4 else [1])  # none goes through twice


CONFIG = """
imports: [$import common.io]
bundle_root: {root}
moving: null
fixed: null
moving_label: null
dataset_dir: null
output_dir: {root}/out
crop_size: null
center: image
device: $torch.device("cpu")
network_def:
  _target_: common.networks.registration.RegistrationNetwork
  estimator: {{_target_: common.networks.VoxelMorph, spatial_dims: 2}}
dataset:
  _target_: common.registration.pairs.PairsToRegister
  moving: "@moving"
  fixed: "@fixed"
  moving_label: "@moving_label"
  dataset_dir: "@dataset_dir"
  spatial_dims: 2
  framing:
    _target_: common.registration.region.Framing
    crop_size: "@crop_size"
    center: "@center"
inferer:
  _target_: common.engines.inferer.BatchInferer
evaluator:
  _target_: common.registration.inference.RegistrationInference
  device: "@device"
  network: "@network_def"
  dataset: "@dataset"
  output_dir: "@output_dir"
  checkpoint: {root}/model.pt
  inferer: "@inferer"
initialize: []
inference: [$@evaluator.run()]
"""


def test_a_bundle_config_has_what_monai_asks_for_and_runs(tmp_path: Path, files: dict[str, Path]) -> None:
    save_weights(RegistrationNetwork(VoxelMorph(spatial_dims=2)), tmp_path / "model.pt")
    (tmp_path / "inference.yaml").write_text(CONFIG.format(root=tmp_path))
    (tmp_path / "metadata.json").write_text("{}")
    workflow = ConfigWorkflow(
        str(tmp_path / "inference.yaml"),
        meta_file=str(tmp_path / "metadata.json"),
        logging_file=False,
        workflow_type="infer",
        run_id="inference",
        moving=str(files["moving"]),
        fixed=str(files["fixed"]),
        center=(12, 12),
        crop_size=24,
    )
    workflow.initialize()
    required = [entry["id"] for entry in InferProperties.values() if entry["required"]]
    assert [key for key in required if key not in workflow.parser] == []
    workflow.run()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"{name}.nii.gz" for name in names_of("moving")} | {"moving.json", "moving.png"}
