"""MONAI Label's web application behind our guard: what ``--uvicorn_app`` names, for either app."""

from __future__ import annotations

from monailabel.app import app

from .guard import protect

protect(app)

__all__ = ["app"]
