"""What every architecture must hold, whichever there are recipes of: tools/recipes/architectures."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from architectures import ARCHITECTURES, SIZES, assert_same, images, lively, new, saved_and_loaded
from torch import Tensor, nn

from common.engines.directions import both_directions
from common.errors import InputError
from common.interfaces import Deformation, Pair
from common.losses import MSEObjective
from common.networks import RegistrationNetwork
from common.networks.dropout import dropouts, sampling
from tools.export import formats as export

EACH = pytest.mark.parametrize("name", ARCHITECTURES)
IN_BOTH = pytest.mark.parametrize(("name", "dims"), list(product(ARCHITECTURES, (2, 3))))
OF_EACH_SIZE = pytest.mark.parametrize(
    ("name", "size"), list(product(ARCHITECTURES, [size for sizes in SIZES.values() for size in sizes]))
)
MIDDLE = {2: (40, 33), 3: (16, 20, 12)}


def gradients(network: nn.Module, deformation: Deformation) -> list[Tensor | None]:
    """Of a loss that all that is predicted, and the architecture's own terms, have a part in."""
    loss = deformation.ddf.square().sum() + sum((deformation.auxiliary or {}).values())
    return list(torch.autograd.grad(loss, list(network.parameters()), allow_unused=True))


@IN_BOTH
def test_it_says_its_dimensions_and_refuses_others(name: str, dims: int) -> None:
    assert new(name, dims).spatial_dims == dims
    with pytest.raises(InputError, match="^spatial_dims is 4"):
        new(name, 4)


@IN_BOTH
def test_a_new_network_nearly_moves_nothing(name: str, dims: int) -> None:
    for training in (True, False):
        assert new(name, dims).train(training)(*images(MIDDLE[dims])).ddf.abs().max() < 1e-3


@OF_EACH_SIZE
def test_any_size_and_batch_gives_a_field_of_that_size(name: str, size: tuple[int, ...]) -> None:
    network = lively(new(name, len(size)))
    for batch, training in ((1, False), (3, True)):
        found = network.train(training)(*images(size, batch))
        assert found.ddf.shape == (batch, len(size), *size) and found.ddf.dtype == torch.float32
        assert found.ddf.isfinite().all()
        assert all(g is None or g.isfinite().all() for g in gradients(network, found))


@OF_EACH_SIZE
def test_what_is_regularised_lies_on_the_grid_that_its_stride_says(name: str, size: tuple[int, ...]) -> None:
    found = lively(new(name, len(size)))(*images(size, 2))
    field = found.regularised
    assert field.shape[:2] == found.ddf.shape[:2] and field.dtype == torch.float32
    for coarse, fine in zip(field.shape[2:], size):
        assert coarse == max(-(-fine // found.stride), min(fine, 2))  # two voxels stay, for a slope to be told


@EACH
def test_padding_is_not_seen(name: str) -> None:
    """A field is of the images alone: what a batch beside it holds does not matter."""
    network, (moving, fixed) = lively(new(name)), images((31, 17), 3)
    alone = torch.cat([network(moving[i : i + 1], fixed[i : i + 1]).ddf for i in range(3)])
    torch.testing.assert_close(network(moving, fixed).ddf, alone, rtol=1e-4, atol=1e-5)


@IN_BOTH
def test_it_looks_at_both_images(name: str, dims: int) -> None:
    network, pair = lively(new(name, dims)), [image.requires_grad_() for image in images(MIDDLE[dims])]
    seen = torch.autograd.grad(network(*pair).ddf.square().sum(), pair)
    assert all(gradient.abs().max() > 0 for gradient in seen)


@IN_BOTH
def test_every_weight_is_trained(name: str, dims: int) -> None:
    network = lively(new(name, dims))  # in evaluation: training may leave a block out
    found = gradients(network, network(*images((64, 64) if dims == 2 else (48, 40, 8))))
    assert all(g is not None and g.abs().max() > 0 for g in found)


@EACH
@pytest.mark.parametrize("size", [*MIDDLE.values(), (12, 8, 4)])
def test_fields_are_float32_under_autocast_and_close(name: str, size: tuple[int, ...]) -> None:
    network, pair = lively(new(name, len(size))), images(size, 2)
    exact = network(*pair)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = network(*pair)
        back = network.reverse(*pair, low)
    assert low.ddf.dtype == low.regularised.dtype == back.ddf.dtype == torch.float32
    assert (low.ddf - exact.ddf).norm() < 0.05 * exact.ddf.norm()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        training = network.train()(*pair)
    assert all(g is None or g.isfinite().all() for g in gradients(network, training))


@IN_BOTH
def test_evaluation_repeats_itself_and_draws_nothing(name: str, dims: int) -> None:
    network, pair, state = lively(new(name, dims)), images(MIDDLE[dims]), torch.get_rng_state()
    with torch.inference_mode():
        assert torch.equal(network(*pair).ddf, network(*pair).ddf)
    assert torch.equal(torch.get_rng_state(), state)


@EACH
def test_training_repeats_itself_by_its_seed(name: str) -> None:
    network, pair = lively(new(name, dropout=0.2)).train(), images(MIDDLE[2], 2)
    fields = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        fields.append(network(*pair).ddf)
    assert torch.equal(fields[0], fields[1]) and not torch.equal(fields[0], fields[2])


@EACH
def test_weights_load_into_the_same_network(name: str) -> None:
    network, other, pair = lively(new(name)), new(name).eval(), images(MIDDLE[2])
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(*pair).ddf, other(*pair).ddf)


@IN_BOTH
def test_the_way_back_joins_the_way_there(name: str, dims: int) -> None:
    network, pair = lively(new(name, dims)), Pair(*images(MIDDLE[dims], 2))
    there = network(pair.moving, pair.fixed)
    back = network.reverse(pair.moving, pair.fixed, there)
    _, both = both_directions(pair, there, back)
    assert both.ddf.shape == (4, dims, *MIDDLE[dims]) and both.regularised.shape[0] == 4
    assert not torch.equal(back.ddf, there.ddf)
    if there.dvf is None:  # nothing to turn round: the network on the swapped pair
        assert torch.equal(back.ddf, network(pair.fixed, pair.moving).ddf)
    else:
        assert torch.equal(back.dvf, -there.dvf)


@EACH
def test_one_pair_is_learned(name: str) -> None:
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    fixed = torch.exp(-((rows - 16) ** 2 + (columns - 16) ** 2) / 40)[None, None]
    pair, network, objective = Pair(fixed.roll((2, -2), (2, 3)), fixed), new(name), MSEObjective(0.01)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        deformation = network(pair.moving, pair.fixed)
        objective.displacement_loss(pair, objective.observe(pair, deformation))["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        warped = objective.observe(pair, network.eval()(pair.moving, pair.fixed)).warped
    assert (warped - pair.fixed).square().mean() < 0.5 * (pair.moving - pair.fixed).square().mean()


@EACH
def test_dropout_has_no_weights_and_drops_in_training_alone(name: str) -> None:
    plain, dropping = lively(new(name)), lively(new(name, dropout=0.3))
    assert [layer.p for layer in dropouts(dropping)] == [0.3] and [layer.p for layer in dropouts(plain)] == [0.0]
    assert plain.state_dict().keys() == dropping.state_dict().keys()
    assert torch.equal(plain(*images(MIDDLE[2])).ddf, dropping(*images(MIDDLE[2])).ddf)
    first, second = (dropping.train(), [dropping(*images(MIDDLE[2])).ddf for _ in range(2)])[1]
    assert not torch.equal(first, second)


@EACH
def test_a_sample_of_dropout_repeats_itself_and_leaves_the_random_state(name: str) -> None:
    network, before = lively(new(name)), torch.get_rng_state()

    def sample(seed: int) -> Tensor:
        with sampling(dropouts(network), 0.3, seed):
            return network(*images(MIDDLE[2])).ddf

    assert torch.equal(sample(0), sample(0)) and not torch.equal(sample(0), sample(1))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(sample(0), network(*images(MIDDLE[2])).ddf)


@EACH
@pytest.mark.parametrize("dropout", [-0.1, 1.0, "much", True])
def test_other_chances_of_dropout_are_refused_in_one_line(name: str, dropout: object) -> None:
    with pytest.raises(InputError, match=f"^dropout is {dropout!r}: it must be at least 0 and below 1\\.$"):
        new(name, dropout=dropout)


@pytest.mark.parametrize(
    ("name", "dims"), [pytest.param(n, d, marks=[pytest.mark.slow] * (d == 3)) for n in ARCHITECTURES for d in (2, 3)]
)
def test_a_script_is_for_any_size_batch_and_device(name: str, dims: int) -> None:
    network = RegistrationNetwork(lively(new(name, dims))).eval()
    script = torch.jit.script(network)
    loaded = saved_and_loaded(script)
    for number, size in enumerate(SIZES[dims]):
        assert_same(loaded, network, size, batch=(1, 3)[number % 2])
    assert "Device = prim::Constant" not in str(script.network.inlined_graph)
    found = script.to("meta")(torch.empty(2, 2, *SIZES[dims][1], device="meta"))
    assert found.shape == (2, len(network.channels), *SIZES[dims][1]) and found.device.type == "meta"


@pytest.mark.slow
@IN_BOTH
def test_onnx_is_for_any_size_and_batch(name: str, dims: int) -> None:
    pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    network = RegistrationNetwork(lively(new(name, dims))).eval()
    content, _ = export.exported(network, "onnx", {"bundle": name})
    for number, size in enumerate(SIZES[dims]):
        assert_same(export.onnx_run(content), network, size, (1, 3)[number % 2], tolerance=1e-4)
