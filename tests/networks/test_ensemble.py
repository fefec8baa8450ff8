"""common.networks.EnsembleNetwork: N networks as one, their mean and the uncertainty of them all."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from common.errors import InputError
from common.interfaces import Deformation
from common.io import save_weights
from common.networks import EnsembleNetwork, RegistrationNetwork, ScoringEstimator, VarianceEstimator, VoxelMorph
from common.networks.combination import Combination
from common.spatial import warp

SMALL = {"encoder": (4, 8), "decoder": (8, 8), "final": (8,)}
KINDS = ("plain", "log_variance", "score", "displacement_log_variance", "segmentation")
EACH_KIND = pytest.mark.parametrize("kind", KINDS)
SIZE = (16, 20)


def build(kind: str = "plain", dims: int = 2, **settings: object) -> RegistrationNetwork:
    own = "displacement" if kind == "displacement_log_variance" else None
    estimator = VoxelMorph(dims, uncertainty=own, **SMALL, **settings)
    nn.init.normal_(estimator.flow.weight, std=0.3)
    if own:
        nn.init.normal_(estimator.spread[-1].weight, std=0.3)
    companion = {"log_variance": VarianceEstimator, "score": ScoringEstimator}.get(kind)
    classes = {"num_classes": 3} if kind == "segmentation" else {}
    return RegistrationNetwork(estimator, companion and companion(dims), companion and kind, **classes).eval()


def saved(folder: Path, count: int, kind: str = "plain", **settings: object) -> list[RegistrationNetwork]:
    """Networks whose weights are in ``folder``."""
    torch.manual_seed(count)
    networks = [build(kind, **settings) for _ in range(count)]
    for number, network in enumerate(networks):
        save_weights(network, folder / f"{number}.pt")
    return networks


def image_of(network: RegistrationNetwork | EnsembleNetwork, size: tuple[int, ...] = SIZE, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(3, (batch, 1, *size), generator=generator).float()
    return torch.cat([torch.rand(batch, 2, *size, generator=generator), label], dim=1)[:, : network.inputs]


def channel(network: nn.Module, pred: Tensor, name: str) -> Tensor:
    """The channels whose names begin with ``name``."""
    return pred[:, [i for i, found in enumerate(network.channels) if found.startswith(name)]]


@EACH_KIND
def test_one_member_is_that_member(tmp_path: Path, kind: str) -> None:
    (one,) = saved(tmp_path, 1, kind)
    ensemble = EnsembleNetwork(build(kind), tmp_path)
    image = image_of(one)
    expected, found = one(image), ensemble(image)
    assert found.shape[1] == len(ensemble.channels) and found.dtype == torch.float32
    for name in one.channels:
        assert torch.equal(channel(ensemble, found, name), channel(one, expected, name)), name
    assert not channel(ensemble, found, "ddf_variance").any()
    if kind == "segmentation":
        assert not channel(ensemble, found, "label_uncertainty").any()  # it predicts none, and there is no spread


@EACH_KIND
def test_many_members_are_combined_as_the_paper_says(tmp_path: Path, kind: str) -> None:
    networks, ensemble = saved(tmp_path, 5, kind), EnsembleNetwork(build(kind), tmp_path)
    image = image_of(ensemble)
    preds = torch.stack([network(image) for network in networks]).double()
    found = ensemble(image).double()

    def members(name: str) -> Tensor:
        return torch.stack([channel(networks[0], pred, name) for pred in preds])

    def spread(name: str) -> Tensor:
        return (members(name) - members(name).mean(0)).square().mean(0)

    ddf_variance = spread("ddf_").mean(1, keepdim=True)
    expected = {"ddf_variance": ddf_variance, "segmentation": members("segmentation").mean(0)}
    expected["warped"] = warp(image[:, :1], channel(ensemble, found, "ddf_")[:, :2].float()).double()
    assert torch.allclose(found[:, :2], members("ddf_").mean(0), atol=1e-6)
    if kind == "log_variance":
        expected[kind] = (spread("warped") + members(kind).exp().mean(0)).log()
    if kind == "score":
        expected[kind] = members(kind).mean(0)
    if kind == "displacement_log_variance":
        expected[kind] = (members(kind).exp().mean(0) + ddf_variance).log()
    if kind == "segmentation":
        expected["label_uncertainty"] = spread("segmentation").sqrt()
    for name, value in expected.items():
        assert torch.allclose(channel(ensemble, found, name), value, atol=1e-6, rtol=1e-4), name
    assert ddf_variance.min() > 0


def test_a_predicted_label_uncertainty_adds_in_squares() -> None:
    channels = ("ddf_0", "ddf_1", "label_uncertainty_0", "label_uncertainty_1", "segmentation_0", "segmentation_1",
                "warped")  # fmt: skip
    combination = Combination(channels, num_classes=2)
    for u, s in ((0.3, 0.2), (0.1, 0.6)):
        values = torch.tensor([1.0, 2.0, u, 2 * u, s, 1 - s, 0.5])
        combination.add(values.view(1, -1, 1, 1))
    found = dict(zip(combination.channels, combination.result(torch.zeros(1, 1, 1, 1)).flatten().tolist()))
    assert found["label_uncertainty_0"] == pytest.approx(math.sqrt((0.3**2 + 0.1**2) / 2 + 0.2**2))
    assert found["label_uncertainty_1"] == pytest.approx(math.sqrt((0.6**2 + 0.2**2) / 2 + 0.2**2))
    assert (found["segmentation_0"], found["segmentation_1"]) == pytest.approx((0.4, 0.6))
    assert found["ddf_variance"] == 0 and found["warped"] == 0


class Constant(nn.Module):
    """A displacement that is the same everywhere: its weights."""

    spatial_dims = 2

    def __init__(self, first: float = 0.0, second: float = 0.0) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor([first, second]))

    def forward(self, moving: Tensor, fixed: Tensor) -> Deformation:
        return Deformation(self.shift.view(1, 2, 1, 1).expand(len(moving), 2, *moving.shape[2:]))


def test_two_constant_fields_have_the_known_mean_and_variance(tmp_path: Path) -> None:
    for number, shift in enumerate([(1.0, 4.0), (3.0, 0.0)]):
        save_weights(RegistrationNetwork(Constant(*shift)), tmp_path / f"{number}.pt")
    ensemble = EnsembleNetwork(RegistrationNetwork(Constant()), tmp_path)
    assert ensemble.channels == ("ddf_0", "ddf_1", "ddf_variance", "warped")
    image = image_of(ensemble)
    pred = ensemble(image)
    assert (pred[:, 0] == 2).all() and (pred[:, 1] == 2).all()
    assert (pred[:, 2] == (1 + 4) / 2).all()
    assert torch.allclose(pred[:, 3, :-2, :-2], image[:, 0, 2:, 2:], atol=1e-5)


def test_a_small_spread_of_a_large_mean_survives(tmp_path: Path) -> None:
    for number in range(8):
        save_weights(RegistrationNetwork(Constant(1000 + 0.25 * number)), tmp_path / f"{number}.pt")
    ensemble = EnsembleNetwork(RegistrationNetwork(Constant()), tmp_path)
    variance = channel(ensemble, ensemble(image_of(ensemble)), "ddf_variance")
    assert variance[0, 0, 0, 0].item() == pytest.approx(0.25**2 * 63 / 12 / 2, rel=1e-4)


@EACH_KIND
def test_channels_and_three_dimensions(tmp_path: Path, kind: str) -> None:
    saved(tmp_path, 2, kind, dims=3)
    ensemble = EnsembleNetwork(build(kind, dims=3), tmp_path)
    maps = {"plain": (), "segmentation": tuple(f"label_uncertainty_{c}" for c in range(3))}.get(kind, (kind,))
    classes = ("segmentation_0", "segmentation_1", "segmentation_2") if kind == "segmentation" else ()
    assert ensemble.channels == ("ddf_0", "ddf_1", "ddf_2", *maps, "ddf_variance", *classes, "warped")
    assert (ensemble.spatial_dims, ensemble.inputs) == (3, 3 if classes else 2)
    pred = ensemble(image_of(ensemble, (9, 12, 10), batch=1))
    assert pred.shape == (1, len(ensemble.channels), 9, 12, 10) and pred.isfinite().all()


def test_the_order_of_members_does_not_matter(tmp_path: Path) -> None:
    saved(tmp_path, 4, "log_variance")
    files = sorted(tmp_path.glob("*.pt"))
    settings = {"passes": 2, "dropout": 0.2}
    first, second = (EnsembleNetwork(build("log_variance"), order, **settings) for order in (files, files[::-1]))
    assert torch.equal(first(image_of(first)), second(image_of(second)))


def test_it_neither_trains_nor_keeps_a_graph(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    ensemble = EnsembleNetwork(build(), tmp_path).train()
    assert not any(module.training for module in ensemble.modules())
    assert not ensemble(image_of(ensemble)).requires_grad


def test_two_ensembles_of_one_network_do_not_disturb_each_other(tmp_path: Path) -> None:
    saved(tmp_path / "a", 2), saved(tmp_path / "b", 3)
    network = build()
    first = EnsembleNetwork(network, tmp_path / "a")
    expected = first(image_of(first))
    EnsembleNetwork(network, tmp_path / "b")(image_of(first))
    assert torch.equal(first(image_of(first)), expected)


def test_weights_in_half_precision_or_of_a_checkpoint_serve(tmp_path: Path) -> None:
    (network,) = saved(tmp_path / "plain", 1)
    half = {name: tensor.half() for name, tensor in network.state_dict().items()}
    torch.save(half, tmp_path / "half.pt")
    torch.save({"network": network.state_dict(), "epoch": 1}, tmp_path / "checkpoint.pt")
    torch.save(network.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    image = image_of(network)
    for name in ("checkpoint.pt", "old.pt"):
        assert torch.equal(EnsembleNetwork(build(), tmp_path / name)(image)[:, :2], network(image)[:, :2])
    assert torch.allclose(EnsembleNetwork(build(), tmp_path / "half.pt")(image)[:, :2], network(image)[:, :2], atol=0.1)


def test_monte_carlo_dropout_repeats_itself_and_leaves_the_random_state(tmp_path: Path) -> None:
    (network,) = saved(tmp_path, 1)

    def sampled(passes: int = 4, **settings: float) -> EnsembleNetwork:
        return EnsembleNetwork(build(), tmp_path, passes=passes, **{"dropout": 0.3, **settings})

    image, before = image_of(network), torch.get_rng_state()
    ensemble = sampled()
    before = torch.get_rng_state()
    pred = ensemble(image)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(ensemble(image), pred) and torch.equal(sampled()(image), pred)
    assert channel(ensemble, pred, "ddf_variance").mean() > 0
    assert not torch.equal(sampled(seed=1)(image), pred)
    assert torch.allclose(ensemble(image[:1]), pred[:1], atol=1e-5)  # whatever else is in the batch
    assert torch.equal(sampled(1)(image)[:, :2], network(image)[:, :2])  # one pass drops nothing
    little = sampled(8, dropout=1e-6)(image)
    assert torch.allclose(little[:, :2], network(image)[:, :2], atol=1e-4)


@pytest.mark.parametrize(("choose", "wanted"), [("last", ["7", "8", "9"]), ("random", None)])
def test_some_of_the_members(tmp_path: Path, choose: str, wanted: list[str] | None) -> None:
    saved(tmp_path, 10)

    def names(**settings: int) -> list[str]:
        return [f.stem for f in EnsembleNetwork(build(), tmp_path, count=3, choose=choose, **settings).members]

    assert wanted is None or names() == wanted
    assert names() == names() == sorted(set(names())) and len(names()) == 3
    assert (len({tuple(names(seed=seed)) for seed in range(5)}) > 1) == (choose == "random")


@pytest.mark.parametrize("members", ["*.pt", "run/*/model.pt", "."])
def test_members_by_pattern_or_folder(tmp_path: Path, members: str) -> None:
    (network,) = saved(tmp_path, 1)
    save_weights(network, tmp_path / "run" / "a" / "model.pt")
    assert len(EnsembleNetwork(build(), str(tmp_path / members)).members) == 1


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_members_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    other = tmp_path / "1.pt"

    def message(members: object = tmp_path) -> str:
        return refusal(lambda: EnsembleNetwork(build(), members))

    whole = other.read_bytes()
    other.write_bytes(whole[: len(whole) // 2])
    assert message().startswith(f"{other}: ")
    save_weights(build("score"), other)
    assert message().startswith(f"{other}: weights of another network")
    other.unlink()
    assert message([tmp_path / "0.pt", other]).startswith(f"{other}: no such file")
    assert message(str(tmp_path / "seed_*.pt")).startswith(f"{tmp_path}/seed_*.pt: no file of weights there; give ")
    assert message([]).startswith("members is []; give files of weights")
    assert message(None).startswith("members is None; ")
    (tmp_path / "empty").mkdir()
    assert message(tmp_path / "empty").startswith(f"{tmp_path}/empty: no file of weights there")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"passes": 0}, "passes is 0; give 1"),
        ({"passes": True}, "passes is True; give 1"),
        ({"passes": 2.5}, "passes is 2.5; give 1"),
        ({"passes": 4}, "passes is 4 but dropout is 0: all passes would be equal"),
        ({"passes": 4, "dropout": 1.0}, "dropout is 1.0: it must be"),
        ({"count": 3}, "count is 3, but there are 2 members"),
        ({"count": 0}, "count is 0, but there are 2 members"),
        ({"choose": "first"}, "choose is 'first': it must be one of last, random"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    saved(tmp_path, 2)
    assert refusal(lambda: EnsembleNetwork(build(), tmp_path, **settings)).startswith(message)


def test_a_network_without_dropout_has_no_passes(tmp_path: Path) -> None:
    save_weights(RegistrationNetwork(Constant()), tmp_path / "0.pt")
    network = RegistrationNetwork(Constant())
    message = refusal(lambda: EnsembleNetwork(network, tmp_path, passes=2, dropout=0.1))
    assert message == "passes is 2, but Constant has no dropout; give 1."


def test_a_map_without_a_rule_is_refused() -> None:
    assert refusal(lambda: Combination(("ddf_0", "ddf_1", "trust", "warped"))).startswith("map 'trust': ")
