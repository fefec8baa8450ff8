"""The phantom's truth is true: motion, noise and artefacts are what its files say."""

from __future__ import annotations

import threading
from functools import cache

import numpy as np
import pytest
import torch

from common.data import prepared
from common.data.phantom import Settings, Subject, ensure_phantom, make_phantom, make_subject
from common.data.phantom.noise import COMPRESSION, Speckle, gamma, rician_variance
from common.data.phantom.subject import VISIBLE
from common.data.prepared_check import find_problems
from common.errors import InputError
from common.spatial import jacobian_determinant, warp
from tools.prepare.__main__ import main

KINDS = ["mr", "ultrasound"]
SIZES = [(128, 128), (64, 64, 24)]
TINY = {"pairs": (2, 1, 1), "size": 32}


@cache
def subject(kind: str, size: tuple[int, ...] = (128, 128), index: int = 0) -> Subject:
    return make_subject(kind, size, 7, index)[0]


def warped(image: np.ndarray, ddf: np.ndarray) -> np.ndarray:
    return warp(torch.from_numpy(image).float()[None, None], torch.from_numpy(ddf)[None])[0, 0].numpy()


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def rms(image: np.ndarray) -> float:
    return float(np.sqrt(np.mean(image**2)))


@pytest.mark.parametrize("size", SIZES, ids=["2d", "3d"])
@pytest.mark.parametrize("kind", KINDS)
class TestMotion:
    def test_warping_the_clean_moving_image_by_the_truth_gives_the_clean_fixed_image(self, kind, size):
        s = subject(kind, size)
        left = rms(warped(s.clean_moving, s.ddf) - s.clean_fixed)
        assert left < 0.3 * rms(s.clean_moving - s.clean_fixed)
        assert left < 0.025

    def test_warping_the_labels_by_the_truth_gives_the_fixed_labels(self, kind, size):
        s = subject(kind, size)
        for label in (1, 2, 3):
            found = warped((s.moving_label == label).astype(np.float32), s.ddf) >= 0.5
            assert dice(found, s.fixed_label == label) > (0.95 if len(size) == 2 else 0.88)

    def test_nothing_folds_and_nothing_leaves_the_image(self, kind, size):
        s = subject(kind, size)
        assert jacobian_determinant(torch.from_numpy(s.ddf)[None]).min() > 0.2
        reached = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij")) + s.ddf
        assert reached.min() > -1e-4
        assert all(reached[k].max() < n - 1 + 1e-4 for k, n in enumerate(size))


@pytest.mark.parametrize("kind", KINDS)
def test_the_motion_is_that_of_a_heart(kind):
    pairs = [subject(kind, index=index) for index in range(8)]
    overlaps = [dice(s.moving_label == 2, s.fixed_label == 2) for s in pairs]
    peaks = [np.sqrt((s.ddf**2).sum(0)).max() for s in pairs]
    assert 0.4 < np.mean(overlaps) < 0.75
    assert 4 < np.mean(peaks) < 12
    assert np.std(overlaps) > 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_the_variance_map_is_the_variance_of_repeated_draws(kind):
    s = subject(kind, (48, 48))
    rng = np.random.default_rng(0)
    draws = np.stack([s.draw(rng)[1] for _ in range(250)])
    empirical, saved = draws.var(axis=0, ddof=1), s.variance()
    assert np.corrcoef(empirical.ravel(), saved.ravel())[0, 1] > 0.97
    assert empirical.sum() / saved.sum() == pytest.approx(1, abs=0.05)
    noisy = saved > 1e-6
    assert np.median(empirical[noisy] / saved[noisy]) == pytest.approx(1, abs=0.05)
    assert np.sqrt(saved[noisy]).max() > 3 * np.sqrt(np.quantile(saved[noisy], 0.1))  # it varies in space


def test_speckle_of_a_volume_has_the_variance_it_says():
    s, coarse = subject("ultrasound", (24, 24, 16)), Speckle((0, 0, 0), along=4, across=0.1)
    rng, points = np.random.default_rng(0), s.grid.points()
    draws = np.stack([coarse(rng, s.shown_fixed, points) for _ in range(200)])
    empirical, saved = draws.var(axis=0, ddof=1), s.variance()
    assert empirical.sum() / saved.sum() == pytest.approx(1, abs=0.05)
    assert np.corrcoef(empirical.ravel(), saved.ravel())[0, 1] > 0.95


def test_the_noise_of_different_frames_is_independent():
    s = subject("ultrasound", (48, 48))
    moving, fixed = zip(*(s.draw(rng) for rng in [np.random.default_rng(1)] for _ in range(120)), strict=True)
    moving, fixed = (np.stack(f) - np.mean(f, axis=0) for f in (moving, fixed))
    inside = s.variance() > 1e-4
    correlation = (moving * fixed).mean(0)[inside] / (moving.std(0) * fixed.std(0) + 1e-9)[inside]
    assert abs(np.mean(correlation)) < 0.02


def test_variances_agree_with_their_limits():
    sigma = np.full(2, 0.05)
    dark, bright = rician_variance(np.array([0.0, 5.0]), sigma)
    assert dark == pytest.approx((2 - np.pi / 2) * 0.05**2, rel=1e-5)
    assert bright == pytest.approx(0.05**2, rel=1e-3)
    relative = gamma(1 + COMPRESSION) / gamma(1 + COMPRESSION / 2) ** 2 - 1
    assert Speckle.variance(np.array([0.1, 0.0])) == pytest.approx([0.01 * relative, 0], rel=1e-5)
    assert Speckle.variance(np.array([50.0])) == pytest.approx([0], abs=1e-6)  # a saturated display shows no noise


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_marks_what_the_other_frame_does_not_show(kind):
    touched = 0
    for index in range(8):
        s = subject(kind, index=index)
        odd = s.non_correspondence == 1
        difference = np.abs(warped(s.shown_moving, s.ddf) - s.shown_fixed)
        interpolation = np.abs(warped(s.clean_moving, s.ddf) - s.clean_fixed)
        assert (difference[~odd] < 2 * VISIBLE + interpolation[~odd] + 0.1).all()
        changed = np.abs(s.shown_fixed - s.clean_fixed) > VISIBLE
        assert odd[changed].all()
        if odd.any():
            touched += 1
            assert difference[odd].mean() > 3 * difference[~odd].mean()
        else:
            assert np.abs(s.shown_fixed - s.clean_fixed).max() <= VISIBLE
    assert touched >= 4


def test_ultrasound_is_black_outside_its_sector():
    s = subject("ultrasound")
    _, fixed = s.draw(np.random.default_rng(0))
    assert fixed[:20, :40].max() == fixed[-20:, :40].max() == 0
    assert s.variance()[:20, :40].max() == 0


def test_subjects_differ_and_seeds_reproduce():
    a, again, other = (make_subject("mr", (32, 32), seed, 0)[0] for seed in (0, 0, 1))
    assert a.clean_fixed.tobytes() == again.clean_fixed.tobytes()
    assert a.ddf.tobytes() == again.ddf.tobytes()
    assert rms(a.clean_fixed - other.clean_fixed) > 0.02


class TestDataset:
    @pytest.mark.parametrize("dims, kind", [(2, "mr"), (2, "both"), (3, "ultrasound")])
    def test_the_command_line_makes_a_valid_data_set(self, tmp_path, dims, kind, capsys):
        size = "32" if dims == 2 else "32,32,16"
        output = str(tmp_path / "phantom")
        command = ["phantom", "--output", output, "--spatial-dims", str(dims), "--kind", kind]
        assert main([*command, "--pairs", "2,1,1", "--size", size, "--seed", "3"]) == 0
        assert "2 train, 1 val, 1 test" in capsys.readouterr().out
        assert find_problems(output) == []
        dataset = prepared.read(output)
        assert dataset.spatial_dims == dims
        assert dataset.evaluated_labels == (2,)
        assert len({pair["subject"] for split in dataset.splits.values() for pair in split}) == 4
        keys = (*prepared.IMAGE_KEYS, *prepared.LABEL_KEYS, *prepared.TRUTH_KEYS)
        arrays = prepared.load_arrays(dataset, dataset.pairs("val")[0], keys)
        assert set(arrays) == set(keys)
        assert arrays["displacement"].shape == (dims, *arrays["fixed"].shape)
        assert min(arrays["moving"].min(), arrays["fixed"].min()) == 0
        assert max(arrays["moving"].max(), arrays["fixed"].max()) == 1

    def test_the_saved_variance_is_that_of_the_saved_image(self, tmp_path):
        dataset = make_phantom(tmp_path / "phantom", Settings(**TINY))
        arrays = prepared.load_arrays(dataset, dataset.pairs("train")[1], ("moving", "fixed", "variance"))
        s, noise = make_subject("mr", (32, 32), 0, 1)
        moving, fixed = s.draw(noise)
        scale = 1 / (max(moving.max(), fixed.max()) - min(moving.min(), fixed.min()))
        assert arrays["variance"] == pytest.approx(s.variance() * scale**2, rel=1e-5)
        assert np.ptp(arrays["fixed"]) == pytest.approx(np.ptp(fixed) * scale, rel=1e-5)

    @pytest.mark.slow
    def test_any_number_of_workers_makes_the_same_files(self, tmp_path):
        folders = [tmp_path / "one", tmp_path / "two"]
        for workers, folder in enumerate(folders, start=1):
            make_phantom(folder, Settings(**TINY), workers)
        names = [sorted(p.relative_to(f) for p in f.rglob("*") if p.is_file()) for f in folders]
        assert names[0] == names[1]
        assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in names[0])


class TestEnsure:
    def test_makes_it_once(self, tmp_path, capsys):
        folder = tmp_path / "new" / "phantom"
        assert ensure_phantom(folder, **TINY) == str(folder)
        assert capsys.readouterr().out.count("\n") == 1
        before = (folder / "dataset.json").stat().st_mtime_ns
        assert ensure_phantom(str(folder), pairs=[2, 1, 1], size=[32, 32]) == str(folder)
        assert capsys.readouterr().out == ""
        assert (folder / "dataset.json").stat().st_mtime_ns == before

    def test_processes_that_start_at_once_share_one_whole_data_set(self, tmp_path):
        folder, results = tmp_path / "phantom", []
        threads = [threading.Thread(target=lambda: results.append(ensure_phantom(folder, **TINY))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [str(folder)] * 3
        assert find_problems(folder) == []
        assert list(tmp_path.iterdir()) == [folder]

    @pytest.mark.parametrize("other", [{"seed": 1}, {"spatial_dims": 3, "size": (32, 32, 16)}, {"pairs": (1, 1, 1)},
                                       {"kind": "ultrasound"}, {"size": 48}])  # fmt: skip
    def test_refuses_the_phantom_of_other_settings(self, tmp_path, other):
        ensure_phantom(tmp_path / "phantom", **TINY)
        with pytest.raises(InputError, match="asked for"):
            ensure_phantom(tmp_path / "phantom", **{**TINY, **other})

    def test_never_touches_another_data_set(self, tmp_path):
        other = prepared.Dataset(root=tmp_path, name="ACDC", spatial_dims=2, splits={})
        prepared.write(other)
        content = (tmp_path / "dataset.json").read_bytes()
        with pytest.raises(InputError, match="ACDC"):
            ensure_phantom(tmp_path)
        with pytest.raises(InputError, match="already"):
            make_phantom(tmp_path, Settings(**TINY))
        assert (tmp_path / "dataset.json").read_bytes() == content

    def test_refuses_a_folder_with_other_files(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("do not delete")
        with pytest.raises(InputError, match="not empty"):
            ensure_phantom(tmp_path, **TINY)
        assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("wrong", [{"kind": "ct"}, {"spatial_dims": 4}, {"pairs": (1, 2)}, {"pairs": (0, 0, 0)},
                                   {"size": 8}, {"size": (64, 64, 64)}, {"seed": -1}])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError, match="phantom"):
        Settings(**wrong)
