from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.metrics import LOG_FLOOR, folding_percent, regularity, sd_log_jacobian


def stretch(*factors: float, size: int = 9) -> np.ndarray:
    """The field that scales axis k by ``factors[k]``."""
    grid = np.stack(np.meshgrid(*[np.arange(size)] * len(factors), indexing="ij")).astype(np.float32)
    return grid * (np.reshape(factors, (-1, *[1] * len(factors))) - 1)


@pytest.mark.parametrize("dims", [2, 3])
def test_no_motion_does_not_fold(dims):
    assert regularity(np.zeros((dims, *[6] * dims))) == {"folding_percent": 0, "sd_log_jacobian": 0}


@pytest.mark.parametrize("factors", [(1.5, 0.5), (2.0, 0.7, 1.1)])
def test_an_even_stretch_has_no_spread(factors):
    assert sd_log_jacobian(stretch(*factors)) == pytest.approx(0, abs=1e-5)
    assert folding_percent(stretch(*factors)) == 0


def test_a_mirror_folds_everywhere():
    assert folding_percent(stretch(-1.0, 1.0)) == 100


def test_a_collapse_counts_as_folding():
    assert folding_percent(stretch(0.0, 1.0)) == 100


def test_a_known_share_of_cells_folds():
    field = np.zeros((2, 5, 4), dtype=np.float32)
    field[0, 3:] = -2  # between rows 2 and 3 the map runs back: 1 of 4 rows of cells
    assert folding_percent(field) == 25


def test_the_spread_of_two_halves():
    field = np.zeros((2, 5, 6), dtype=np.float32)
    field[0, :, :] = np.array([0, 1, 2, 2, 2])[:, None]  # |J| is 2 in two rows of cells and 1 in the other two
    assert sd_log_jacobian(field) == pytest.approx(math.log(2) / 2)


def test_folding_is_clipped_before_the_logarithm():
    field = np.zeros((2, 5, 4), dtype=np.float32)
    field[0, 3:] = -2
    assert sd_log_jacobian(field) == pytest.approx(abs(math.log(LOG_FLOOR)) * math.sqrt(0.25 * 0.75), rel=1e-6)
    assert sd_log_jacobian(field) == pytest.approx(2.9911445, rel=1e-6)  # of a floor of 0.001


def test_the_mask_chooses_the_cells():
    field = np.zeros((2, 5, 4), dtype=np.float32)
    field[0, 3:] = -2
    mask = np.zeros((5, 4))
    mask[2] = 1
    assert folding_percent(field, mask) == 100
    assert folding_percent(field, 1 - mask) == 0


def test_what_cannot_be_computed_is_not_a_number():
    field = torch.zeros(2, 5, 4)
    assert math.isnan(folding_percent(field, np.zeros((5, 4))))
    assert math.isnan(sd_log_jacobian(np.zeros((2, 1, 4))))
    field[0, 2, 2] = math.nan
    assert all(math.isnan(value) for value in regularity(field).values())


def test_bad_input_is_named():
    with pytest.raises(InputError, match="is no field"):
        folding_percent(np.zeros((3, 5, 4)))
    with pytest.raises(InputError, match="does not fit the ddf"):
        folding_percent(np.zeros((2, 5, 4)), np.zeros((4, 3)))
