"""What MONAI Label looks for in an app's folder."""

from __future__ import annotations

from tools.label_app.app import WarpsureApp

__all__ = ["WarpsureApp"]
