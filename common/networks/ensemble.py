"""Several trainings of one network as one network: their mean field, and the uncertainty of them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..io.weights import load_weights
from ..spatial import warp
from .combination import Combination
from .dropout import checked, dropouts, sampling
from .members import chosen, files_of
from .registration import RegistrationNetwork

State = dict[str, Tensor]


class EnsembleNetwork(nn.Module):
    """Register by N networks and combine what they predict (predictive, Eq. 7 and 9; the rules: `Combination`).

    It serves wherever a `RegistrationNetwork` does: one tensor in, one tensor out. The N networks differ in their
    weights (bootstrap, snapshots), in what dropout leaves of them (Monte Carlo dropout), or in both. They run one
    after the other, in evaluation mode and without gradients, and only running sums are kept. MONAI's
    ``EnsembleEvaluator`` would hold N networks and the predictions of all until the last: memory grows with N.

    Args:
        network: a `RegistrationNetwork`, into which the weights of each member go in turn.
        members: files of weights: a list, a folder (its ``*.pt``) or a pattern (``runs/seed_*/train/model.pt``).
        passes: of each member; more than 1 is Monte Carlo dropout: in every pass the displacement estimator's dropout
            draws another sample, the same samples in every call.
        dropout: its chance in these passes; in a single pass nothing is dropped.
        count: take so many of the members; None takes all.
        choose: which of them: "last", or "random" (section 3.2.3).
        seed: of that choice and of the samples.

    Attributes:
        members: the file of each member.
        channels: the names of the prediction's channels.
        spatial_dims, inputs, num_classes: as of ``network``.

    Raises:
        InputError: for a file that is not there, not whole, or of another network, or a setting that cannot be.
    """

    def __init__(
        self,
        network: RegistrationNetwork,
        members: str | Path | Sequence[str | Path],
        passes: int = 1,
        dropout: float = 0.0,
        count: int | None = None,
        choose: str = "last",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network, self.passes, self.dropout, self.seed = network, passes, checked(dropout), seed
        self._dropouts = dropouts(network.estimator)
        self._check_passes()
        self.members = chosen(files_of(members), count, choose, seed)
        _own_weights(network)
        self._states = [_state_of(network, file) for file in self.members]
        self.spatial_dims = network.spatial_dims
        self.inputs: int = getattr(network, "inputs", 2)
        self.num_classes: int | None = getattr(network, "num_classes", None)
        self.channels: tuple[str, ...] = self._combination().channels
        self.eval()

    def _check_passes(self) -> None:
        passes = self.passes
        if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
            raise InputError(f"passes is {passes!r}; give 1, or more for Monte Carlo dropout.")
        if passes > 1 and not self.dropout:
            raise InputError(f"passes is {passes} but dropout is 0: all passes would be equal; give a dropout of 0.1.")
        if passes > 1 and not self._dropouts:
            raise InputError(f"passes is {passes}, but {type(self.network.estimator).__name__} has no dropout; give 1.")

    def _combination(self) -> Combination:
        return Combination(self.network.channels, self.num_classes)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """``pred`` (B, C, *spatial), its channels as ``channels`` names them, float32.

        Args:
            image: (B, inputs, *spatial), as of ``network``.
        """
        combination = self._combination()
        for member, state in enumerate(self._states):
            for name, tensor in self.network.state_dict(keep_vars=True).items():
                tensor.data = state[name]  # no copy
            for number in range(self.passes):
                with self._sampling(member * self.passes + number):
                    combination.add(self.network(image))
        return combination.result(warp(image[:, :1].float(), combination.ddf))

    def __prepare_scriptable__(self) -> nn.Module:
        """Refuse: TorchScript knows no weights that change."""
        raise InputError("an ensemble is no TorchScript; export one of its members, a training's model.pt, instead.")

    def _sampling(self, number: int) -> AbstractContextManager:
        if self.passes == 1:
            return nullcontext()
        return sampling(self._dropouts, self.dropout, seed=1_000_003 * self.seed + number)

    def train(self, mode: bool = True) -> EnsembleNetwork:
        """Stay in evaluation mode: an ensemble is not trained."""
        return super().train(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> EnsembleNetwork:
        """Take the weights of all members along, to another device say."""
        self._states = [{name: fn(tensor) for name, tensor in state.items()} for state in self._states]
        return super()._apply(fn, recurse)


Registering = RegistrationNetwork | EnsembleNetwork


def _own_weights(network: nn.Module) -> None:
    """Give ``network`` memory of its own: it may still refer to the members of another ensemble."""
    for tensor in network.state_dict(keep_vars=True).values():
        tensor.data = tensor.data.clone()


def _state_of(network: nn.Module, file: Path) -> State:
    """The weights in ``file``, checked, as ``network`` takes them; mapped where they can be, so that the system may
    forget what is not in use.

    Raises:
        InputError: no such file, not whole, or of another network.
    """
    ours = load_weights(network, file).state_dict()
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # of an older format
        return {name: tensor.clone() for name, tensor in ours.items()}
    state = content["network"] if isinstance(content.get("network"), dict) else content
    return {name: state[name].to(tensor) for name, tensor in ours.items()}
