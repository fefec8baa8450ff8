"""Inference by networks that know labels: what they see, and the maps that they write."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from inference import Constant, infer, names_of, prepared_from
from torch import Tensor

from common.errors import InputError
from common.labels import one_hot
from common.networks import LabelRefiner, VoxelMorph
from common.networks.registration import RegistrationNetwork
from common.registration.region import Framing


class OfLabels(Constant):
    """Move everything by ``shift``, say where the label is, and expect an error of 0.25 in each of two classes."""

    inputs, num_classes = 3, 4

    def __init__(self, shift: tuple[float, ...]) -> None:
        super().__init__(shift)
        uncertainties = [f"label_uncertainty_{c}" for c in range(2)]
        classes = [f"segmentation_{c}" for c in range(4)]
        self.channels = (*self.channels[: self.spatial_dims], *uncertainties, "ddf_variance", *classes, "warped")

    def forward(self, image: Tensor) -> Tensor:
        ddf = super().forward(image)[:, : self.spatial_dims]
        one = torch.ones_like(image[:, :1])
        classes = one_hot(image[:, 2:], 4) * 0.8 + 0.05
        return torch.cat([ddf, 0.25 * one, 0.25 * one, 3 * one, classes, image[:, :1]], dim=1)


def test_a_network_of_labels_sees_the_moving_label_and_writes_its_maps(
    tmp_path: Path, files: dict[str, Path], affine: np.ndarray
) -> None:
    network = OfLabels((0.0, 0.0))
    written = infer(network, tmp_path / "out", **files, framing=Framing(crop_size=16, center=(20, 12)))
    label = np.asarray(nib.load(files["moving_label"]).dataobj)
    region = np.s_[12:28, 4:20]
    np.testing.assert_array_equal(network.seen[-1].numpy()[:, 2], np.moveaxis(label[region], 2, 0))
    inside = np.zeros(label.shape, bool)
    inside[region] = True
    np.testing.assert_array_equal(written["moving_segmentation"], np.where(inside, label, 0))
    assert written["moving_segmentation"].dtype == np.uint8
    np.testing.assert_allclose(written["moving_label_uncertainty"], np.where(inside, 0.5, np.nan))
    np.testing.assert_allclose(written["moving_ddf_variance"], np.where(inside, 3, np.nan))
    for path in (tmp_path / "out").glob("*.nii.gz"):
        np.testing.assert_allclose(nib.load(path).affine, affine, atol=1e-5)


def test_without_a_label_a_network_of_labels_sees_zeros_and_says_nothing_of_labels(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    network = OfLabels((0.0, 0.0))
    written = infer(network, tmp_path / "out", moving=files["moving"], fixed=files["fixed"])
    assert network.seen[-1].shape[1] == 3 and not network.seen[-1][:, 2].any()
    assert set(written) == names_of("moving", "ddf_variance")


def test_a_network_needs_no_label_to_say_where_labels_will_be_wrong(tmp_path: Path, files: dict[str, Path]) -> None:
    network = RegistrationNetwork(VoxelMorph(), LabelRefiner(2), "label_uncertainty", num_classes=3)
    written = infer(network, tmp_path / "out", moving=files["moving"], fixed=files["fixed"], framing=Framing("all"))
    assert set(written) == names_of("moving", "label_uncertainty")
    assert (written["moving_label_uncertainty"] > 0.03).all()  # three times the least of a class


def test_a_label_that_the_network_does_not_know_is_refused(tmp_path: Path, files: dict[str, Path]) -> None:
    network = OfLabels((0.0, 0.0))
    network.num_classes = 3
    with pytest.raises(InputError, match="moving: the moving label holds 3, but the network knows 0 to 2"):
        infer(network, tmp_path / "out", **files, framing=Framing("all"))
    assert not (tmp_path / "out").exists()


def test_a_prepared_pair_brings_its_label_to_the_network(tmp_path: Path, files: dict[str, Path]) -> None:
    root = prepared_from(files, tmp_path / "data", (12, 4, 1))
    network = OfLabels((0.0, 0.0))
    for source in (None, tmp_path):
        written = infer(network, tmp_path / f"out_{source is None}", dataset_dir=root, source=source)
        seen = network.seen[-1][0, 2].numpy()
        np.testing.assert_array_equal(seen, np.asarray(nib.load(root / "moving_label.nii.gz").dataobj)[..., 2])
        assert {"a1_segmentation", "a1_label_uncertainty"} <= set(written)
