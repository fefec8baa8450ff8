"""Mean squared error: the baseline that every weighting scheme changes."""

from __future__ import annotations

from .base import Objective


class MSEObjective(Objective):
    """``mean(residual^2) + lambda * smoothness`` (hetero, Eq. 3 with one variance everywhere; adacs, Eq. 1)."""
