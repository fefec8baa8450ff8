"""tools.benchmark.following: a cine of a phantom, its true motion, and the three ways to find it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.fields import to_physical
from common.spatial import warp
from tools.benchmark import __main__ as benchmark
from tools.benchmark import following


def test_a_beat_goes_to_end_systole_and_back() -> None:
    beat = following.beat(5, 0, 5)
    assert beat.shares == pytest.approx([0, 0.5, 1, 0.5, 0])
    frames = beat.cine.frames[..., 0]
    subject, noise = beat.subject, np.median(beat.subject.sigma[0])
    still = np.abs(frames[4] - frames[0]).mean()
    there = np.abs(frames[2] - subject.clean_fixed)[~subject.non_correspondence.astype(bool)].mean()
    assert 0 < still < 3 * noise and there < 3 * noise
    assert np.abs(frames[2] - frames[0]).mean() > 1.2 * still
    ddf = torch.from_numpy(np.float32(subject.ddf))[None]
    half = warp(torch.from_numpy(np.float32(subject.shown_moving))[None, None], ddf / 2)[0, 0].numpy()
    assert np.abs(frames[1] - half).mean() < 3 * noise


def test_the_truth_has_no_error_and_a_voxel_more_has_one() -> None:
    beat = following.beat(5, 1, 3)
    for added in (0.0, 1.0):
        ddf = beat.subject.ddf + np.array([added, 0])[:, None, None]
        field = SimpleNamespace(vectors=to_physical(ddf[..., None], beat.cine.affine))
        assert following.error(beat, 1, SimpleNamespace(field=field)) == pytest.approx(added, abs=1e-5)


def test_each_bundle_is_measured_in_three_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "following.json"
    words = ["following", "--bundles", "vxm_mse", "vxm_mse=acdc_iterated", "--subjects", "1", "--frames", "4"]
    benchmark.main([*words, "--refine-steps", "6", "--output", str(output)])
    content = json.loads(output.read_text())
    assert (content["subjects"], content["frames"], content["steps"]) == (1, 4, 6)
    assert list(content["rows"]) == ["vxm_mse", "vxm_mse=acdc_iterated"]
    for row in content["rows"].values():
        assert 0 < row["following"] < row["network"] and row["alone"] < row["network"]
        assert row["loss_following"] != row["loss_alone"]
    assert "vxm_mse=acdc_iterated   network 0." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"), [(["--frames", "2"], "at least 3"), (["--bundles", "vxm_predictive"], "registers volumes")]
)
def test_what_cannot_be_followed_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        benchmark.main(["following", "--subjects", "1", "--frames", "3", "--refine-steps", "1", *words])
