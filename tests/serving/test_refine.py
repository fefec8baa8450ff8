"""A request's own steps of refinement: its field becomes better, and no other request knows of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from architectures import lively
from inference import Constant

from common.engines.inferer import BatchInferer
from common.errors import InputError
from common.losses import MSEObjective
from common.networks import RegistrationNetwork, VoxelMorph
from common.refinement import Refinement
from common.registration.region import Framing
from common.serving import ImageOfPrediction, PairOfRequest
from common.serving.request import own_steps, refining


def network_of(steps: int | None) -> RegistrationNetwork:
    refinement = None if steps is None else Refinement(MSEObjective(0.01), steps)
    return lively(RegistrationNetwork(VoxelMorph(), refinement=refinement)).eval()


@pytest.fixture
def serve(studies: Path) -> Any:
    """``serve(network, **asked)``: what the server answers to a request for ``a`` and ``b``."""

    def answer(network: torch.nn.Module, **asked: Any) -> dict[str, Any]:
        data = {"image": str(studies / "a.nii.gz"), "fixed": "b", **asked}
        data = PairOfRequest(network, Framing("all"))(data)
        with torch.no_grad():
            data["pred"] = BatchInferer()(data["image"][None], refining(network, data))[0]
        return ImageOfPrediction()(data)

    return answer


def error_of(answer: dict[str, Any]) -> float:
    return answer["result"]["similarity"]["after"]["mean_squared_error"]


def test_it_refines_this_request_and_leaves_the_network_as_it_is(serve: Any) -> None:
    network = network_of(0)
    weights = [parameter.clone() for parameter in network.parameters()]
    before, refined, after = serve(network), serve(network, refine="30"), serve(network)
    assert error_of(refined) < 0.9 * error_of(before)
    assert 1 <= refined["result"]["refinement"]["steps"] <= 30
    assert before["result"]["refinement"] is after["result"]["refinement"] is None
    plain = serve(RegistrationNetwork(network.estimator).eval())
    assert all(np.array_equal(each["pred"], plain["pred"]) for each in (before, after))
    assert (network.refinement.steps, network.refinement.report()) == (0, None)
    assert all(map(torch.equal, network.parameters(), weights))


def test_steps_that_are_not_said_are_the_bundles(serve: Any) -> None:
    network = network_of(4)
    assert own_steps(network) == 4
    for asked in ({}, {"refine": ""}, {"refine": None}, {"refine": 4}):
        assert serve(network, **asked)["result"]["refinement"]["steps"] == 4
    assert serve(network, refine=0)["result"]["refinement"] is None
    assert network.refinement.report() is None  # each request has its own


def test_requests_in_threads_do_not_know_of_each_other(serve: Any) -> None:
    network, steps = network_of(2), [0, 12, None, 1, 7, 3, "", 5]
    alone = [serve(network, refine=each) for each in steps]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda each: serve(network, refine=each), steps))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one["pred"], other["pred"], atol=1e-3)
        reports = one["result"]["refinement"], other["result"]["refinement"]
        assert reports == (None, None) or reports[0] == pytest.approx(reports[1], rel=1e-4)


def test_a_request_that_failed_leaves_nothing_to_the_next(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(0)
    before = serve(network)
    with pytest.raises(InputError, match="nobody"):
        serve(network, refine=20, fixed="nobody")
    with monkeypatch.context() as broken, pytest.raises(RuntimeError, match="in the middle"):
        broken.setattr(Refinement, "loss", lambda *_: (_ for _ in ()).throw(RuntimeError("in the middle")))
        serve(network, refine=20)
    assert np.array_equal(before["pred"], serve(network)["pred"])


@pytest.mark.parametrize("value", [-1, 1001, 1.5, "x", True, [5], {}, "1e2", float("nan"), 10**30])
def test_steps_that_cannot_be_are_one_line(serve: Any, value: Any) -> None:
    with pytest.raises(InputError, match="refine is .*; give a whole number from 0 to 1000") as error:
        serve(network_of(0), refine=value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("network", [Constant((0.5, 0.0)), network_of(None)], ids=["foreign", "none"])
def test_a_model_that_does_not_refine_says_so(serve: Any, network: torch.nn.Module) -> None:
    assert own_steps(network) is None
    assert serve(network, refine=0)["result"]["refinement"] is None
    with pytest.raises(InputError, match="refine is 5: this model does not refine"):
        serve(network, refine=5)


def test_a_server_that_cannot_refine_does_not_answer_as_if_it_had(studies: Path) -> None:
    network, asked = network_of(0), {"image": str(studies / "a.nii.gz"), "fixed": "b", "refine": 5}
    data = PairOfRequest(network, Framing("all"))(asked)
    data["pred"] = BatchInferer()(data["image"][None], network)[0]
    with pytest.raises(InputError, match="refine is 5: this server cannot refine"):
        ImageOfPrediction()(data)
