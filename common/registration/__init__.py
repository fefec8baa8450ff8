"""Register two images of any grid by a bundle, in physical space."""

from __future__ import annotations

from .bundle import OpenBundle, open_bundle
from .register import Registration, register, register_many

__all__ = ["OpenBundle", "Registration", "open_bundle", "register", "register_many"]
