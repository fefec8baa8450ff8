"""tools.benchmark.architectures: the peers compute nearly as ours, on as many weights."""

from __future__ import annotations

import pytest

from common.errors import InputError
from tools.benchmark import __main__ as benchmark
from tools.benchmark import architectures

NEEDED = "MONAI's networks need einops"


def test_it_ends_with_the_ratios(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("einops", reason=NEEDED)
    monkeypatch.setattr(architectures, "SIZES", {2: (32, 32)})
    monkeypatch.setattr(architectures, "BATCH", {"small": 2})
    benchmark.main(["architectures", "--quick", "--variants", "small"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("ratio")]
    assert [line[1] for line in lines] == ["transmorph_small_2d", "diffusemorph_small_2d"]
    assert all(float(line[2]) > 0 for line in lines)


@pytest.mark.filterwarnings("ignore:.*native grid_sample")
@pytest.mark.parametrize("name", list(architectures.PLAIN))
@pytest.mark.parametrize(
    ("spatial_dims", "variant"), [(2, "small"), (3, "small"), pytest.param(2, "published", marks=pytest.mark.slow)]
)
def test_both_sides_have_nearly_as_many_weights(name: str, spatial_dims: int, variant: str) -> None:
    pytest.importorskip("einops", reason=NEEDED)
    *makers, _ = architectures.PLAIN[name]
    ours, plain = (sum(p.numel() for p in make(spatial_dims, variant).parameters()) for make in makers)
    assert plain == pytest.approx(ours, rel=0.1)


def test_without_einops_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="need einops; `pip install einops`"):
        benchmark.main(["architectures"])
