"""Atlas segmentation: from a file of any grid to labels on that grid, with a confidence that can be trusted."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toy_task import SIZE, SUBJECTS, ball, save

from common.data import prepared
from common.errors import InputError
from common.io import save_weights
from common.labels import one_hot
from common.networks import EnsembleNetwork, RegistrationNetwork, VoxelMorph
from common.registration.segment import AtlasSegmentation, ImagesToSegment
from tools.prepare.__main__ import main


class Still(nn.Module):
    """Move nothing, and expect an error of ``uncertainty`` in each class (None: expect none)."""

    spatial_dims, inputs = 3, 3

    def __init__(self, uncertainty: tuple[float, ...] | None = (0.1, 0.2, 0.4), num_classes: int | None = 3) -> None:
        super().__init__()
        self.num_classes, self.uncertainty = num_classes, uncertainty
        maps = [f"label_uncertainty_{c}" for c in range(len(uncertainty or ()))]
        classes = [f"segmentation_{c}" for c in range(num_classes or 0)]
        self.channels = ("ddf_0", "ddf_1", "ddf_2", *maps, *classes, "warped")

    def forward(self, image: Tensor) -> Tensor:
        moving, label = image[:, :1], image[:, 2:]
        maps = [torch.full_like(moving, value) for value in self.uncertainty or ()]
        return torch.cat([0 * image, *maps, one_hot(label, self.num_classes), moving], dim=1)


def segment(output: Path, network: nn.Module | None = None, **options: object) -> dict[str, nib.Nifti1Image]:
    segmentation = AtlasSegmentation("cpu", network or Still(), ImagesToSegment(**options), output)
    segmentation.run()
    assert sorted(segmentation.files) == sorted(output.iterdir())
    return {path.name.removesuffix(".nii.gz"): nib.load(path) for path in segmentation.files}


def values(image: nib.Nifti1Image) -> np.ndarray:
    return np.asarray(image.dataobj)


def training_subjects(atlas_dir: Path) -> list[str]:
    return sorted({pair["subject"] for pair in prepared.read(atlas_dir).pairs("train")})


def test_an_atlas_itself_gets_its_own_label(
    source: Path, atlas_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in training_subjects(atlas_dir):
        image = source / f"imagesTr/{name}.nii.gz"
        written = segment(tmp_path / name, image=image, atlas_dir=atlas_dir)
        label = nib.load(source / f"labelsTr/{name}.nii.gz")
        assert set(written) == {f"{name}_{kind}" for kind in ("segmentation", "confidence", "warped")}
        np.testing.assert_array_equal(values(written[f"{name}_segmentation"]), values(label))
        assert f"{name}: atlas {name}, NLCC " in capsys.readouterr().out
        for file in written.values():
            np.testing.assert_allclose(file.affine, label.affine, atol=1e-5)
        assert values(written[f"{name}_segmentation"]).dtype == np.uint8
        warped = values(written[f"{name}_warped"])
        assert np.corrcoef(warped.ravel(), values(nib.load(image)).ravel())[0, 1] > 0.99


def test_a_file_is_prepared_as_its_set_was(source: Path, atlas_dir: Path) -> None:
    for name in SUBJECTS:
        task = ImagesToSegment(source / f"imagesTr/{name}.nii.gz", atlas_dir)[0]["task"]
        np.testing.assert_array_equal(task.image[0, 1], values(nib.load(atlas_dir / f"images/{name}.nii.gz")))


def test_an_image_of_another_grid_is_segmented_on_its_own(atlas_dir: Path, tmp_path: Path) -> None:
    shape, angle = (17, 15, 19), 0.2
    affine = np.array([[0, -1.3, 0, 60], [-1.3, 0, 0, 20], [0, 0, 1.3, -30], [0, 0, 0, 1]])  # P, L, S
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    label = ball(shape, np.array(shape) / 2 - 0.5, 6.5, 1.3)
    image = save(tmp_path / "x.nii.gz", (label * 700.0 + 50).astype(np.float32), turn @ affine)
    written = segment(tmp_path / "out", image=image, atlas_dir=atlas_dir)
    found = values(written["x_segmentation"])
    assert found.shape == shape
    for file in written.values():
        np.testing.assert_allclose(file.affine, turn @ affine, atol=1e-5)
    overlap = [2 * ((found == c) & (label == c)).sum() / ((found == c).sum() + (label == c).sum()) for c in (1, 2)]
    assert min(overlap) > 0.7  # of balls that only are about as large


def test_confidence_is_that_of_the_class_and_nothing_outside(source: Path, atlas_dir: Path, tmp_path: Path) -> None:
    name = training_subjects(atlas_dir)[0]
    native = nib.load(source / f"imagesTr/{name}.nii.gz")
    wide = np.pad(values(native), ((8, 8), (0, 0), (0, 0)))
    wide += np.random.default_rng(0).random(wide.shape).astype(np.float32)
    image = save(tmp_path / "wide.nii.gz", wide, native.affine)
    written = segment(tmp_path / "out", Still((0.1, 0.2, 1.4)), image=image, atlas_dir=atlas_dir)
    classes, confidence = (values(written[f"wide_{kind}"]) for kind in ("segmentation", "confidence"))
    seen = np.s_[6:30]
    assert classes.shape == wide.shape
    expected = np.array([0.9, 0.8, 0.0], np.float32)[classes]
    np.testing.assert_allclose(confidence[seen], expected[seen], atol=1e-6)
    for kind in ("segmentation", "confidence", "warped"):
        outside = values(written[f"wide_{kind}"])
        assert not outside[:6].any() and not outside[30:].any()


def test_without_an_uncertainty_confidence_is_the_share_of_the_class(
    source: Path, atlas_dir: Path, tmp_path: Path
) -> None:
    name = training_subjects(atlas_dir)[0]
    image = source / f"imagesTr/{name}.nii.gz"
    written = segment(tmp_path / "out", Still(None), image=image, atlas_dir=atlas_dir, name="y")
    np.testing.assert_array_equal(values(written["y_confidence"]), 1)


def test_a_split_is_segmented_by_other_subjects(
    source: Path, atlas_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = training_subjects(atlas_dir)
    written = segment(tmp_path / "out", dataset_dir=atlas_dir, split="train")
    lines = [line for line in capsys.readouterr().out.splitlines() if "atlas" in line and "NLCC" in line]
    taken = dict(line.split(", NLCC")[0].split(": atlas ") for line in lines)
    assert sorted(taken) == names and all(name != other for name, other in taken.items())
    for name, other in taken.items():
        label = values(nib.load(atlas_dir / f"labels/{other}.nii.gz"))
        np.testing.assert_array_equal(values(written[f"{name}_segmentation"]), label)
    native = segment(tmp_path / "native", dataset_dir=atlas_dir, split="train", source=source)
    for name in names:
        file = nib.load(source / f"imagesTr/{name}.nii.gz")
        assert native[f"{name}_segmentation"].shape == file.shape
        np.testing.assert_allclose(native[f"{name}_segmentation"].affine, file.affine, atol=1e-5)
        total = [(values(files[f"{name}_segmentation"]) > 0).sum() for files in (native, written)]
        assert total[0] == total[1]


def test_a_network_that_cannot_segment_is_refused(source: Path, atlas_dir: Path, tmp_path: Path) -> None:
    images = ImagesToSegment(source / f"imagesTr/{SUBJECTS[0]}.nii.gz", atlas_dir)
    with pytest.raises(InputError, match="no num_classes, so it cannot segment"):
        AtlasSegmentation("cpu", Still(num_classes=None), images, tmp_path)
    with pytest.raises(InputError, match="dataset.json: labels up to 2, but the network's num_classes is 2"):
        AtlasSegmentation("cpu", Still(num_classes=2), images, tmp_path)
    flat = Still()
    flat.spatial_dims = 2
    with pytest.raises(InputError, match="spatial_dims is 3 but the network is 2D"):
        AtlasSegmentation("cpu", flat, images, tmp_path)


def test_input_that_cannot_be_segmented_is_refused(source: Path, atlas_dir: Path, tmp_path: Path) -> None:
    image = source / f"imagesTr/{SUBJECTS[0]}.nii.gz"
    for options in ({}, {"image": image}, {"image": image, "dataset_dir": atlas_dir}):
        with pytest.raises(InputError, match="give --image and --atlas_dir, or --dataset_dir and --split"):
            ImagesToSegment(**options)
    content = json.loads((atlas_dir / "dataset.json").read_text())
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "dataset.json").write_text(json.dumps(content | {"preparation": {"size": [24, 24, 24]}}))
    with pytest.raises(InputError, match="preparation has no spacing, percentiles, channel"):
        ImagesToSegment(image, tmp_path / "old")
    plane = save(tmp_path / "plane.nii.gz", np.random.default_rng(0).random((9, 9)).astype(np.float32), np.eye(4))
    with pytest.raises(InputError, match="plane.nii.gz: shape .9, 9. is no volume"):
        ImagesToSegment(plane, atlas_dir)[0]
    with pytest.raises(InputError, match="nowhere.nii.gz: no such file"):
        ImagesToSegment(tmp_path / "nowhere.nii.gz", atlas_dir)[0]


def test_other_voxels_than_those_of_a_set_that_was_not_resampled_are_told(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--output", str(tmp_path / "native"), "--size", SIZE, "--fractions", "0.5,0.25,0.25", "--jobs", "1"]
    assert main(["msd", "--source", str(source), *options]) == 0
    native = nib.load(source / f"imagesTr/{SUBJECTS[0]}.nii.gz")
    image = save(tmp_path / "x.nii.gz", values(native), np.diag([2.0, 2, 2, 1]))
    ImagesToSegment(image, tmp_path / "native")[0]
    assert "warning: " in (said := capsys.readouterr().out) and "2x2x2 mm, but the atlases' are 1x1x1 mm" in said


@pytest.mark.parametrize("members", [0, 2])
def test_a_real_network_and_an_ensemble_of_it_segment(
    source: Path, atlas_dir: Path, tmp_path: Path, members: int
) -> None:
    small = {"encoder": (4, 8), "decoder": (8, 8), "final": (8,)}
    torch.manual_seed(0)
    network: nn.Module = RegistrationNetwork(VoxelMorph(spatial_dims=3, **small), num_classes=3)
    for number in range(members):
        save_weights(RegistrationNetwork(VoxelMorph(spatial_dims=3, **small), num_classes=3), tmp_path / f"{number}.pt")
    if members:
        network = EnsembleNetwork(network, [tmp_path / f"{number}.pt" for number in range(members)])
    name = training_subjects(atlas_dir)[0]
    written = segment(tmp_path / "out", network, image=source / f"imagesTr/{name}.nii.gz", atlas_dir=atlas_dir)
    label = values(nib.load(source / f"labelsTr/{name}.nii.gz"))
    np.testing.assert_array_equal(values(written[f"{name}_segmentation"]), label)  # untrained, they hardly move
    confidence = values(written[f"{name}_confidence"])
    assert confidence.min() >= 0 and 0.9 < confidence.mean() <= confidence.max() <= 1
