"""Deformable registration of medical images that knows where it can be trusted."""

from __future__ import annotations

from .lazy import attributes

__version__ = "0.3.0"
__all__ = ["Registration", "__version__", "register"]

__getattr__ = attributes(__name__, {"register": "registration.api", "Registration": "registration.outcome"})
