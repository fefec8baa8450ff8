"""A phantom of two beating hearts: image pairs whose motion, noise and artefacts are known exactly."""

from __future__ import annotations

from .dataset import ensure_phantom, make_phantom
from .settings import Settings
from .subject import Subject, make_subject

__all__ = ["Settings", "Subject", "ensure_phantom", "make_phantom", "make_subject"]
