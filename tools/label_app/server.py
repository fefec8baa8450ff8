"""MONAI Label's web application, less its leave for every web page to read from this machine's server.

MONAI Label lets all origins in, and its setting for others does not start (0.8.5). Without the permission a browser
shows the answers to the server's own pages alone; 3D Slicer and other programs are not browsers.
"""

from __future__ import annotations

from fastapi.middleware.cors import CORSMiddleware
from monailabel.app import app

app.user_middleware = [each for each in app.user_middleware if each.cls is not CORSMiddleware]

__all__ = ["app"]
