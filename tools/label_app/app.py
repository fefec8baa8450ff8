"""The app: which bundles it serves, and what it answers to a request that it cannot follow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.tasks.activelearning.first import First

from common import __version__
from common.serving.refusal import refusal

from .bundles import bundle_folders
from .infer import RegistrationTask
from .temporary import FOLDER
from .train import TrainingTask, learns_without_labels


class WarpsureApp(MONAILabelApp):
    """Register the images of a studies folder by bundles, and train these on it.

    ``--conf models``: names of the repository's bundles, folders or packages (.zip), with commas between. What
    trainings write goes to the app's folder, ``model/<bundle>/``.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.folders = bundle_folders(conf.get("models", "").split(","))
        self.tuned = Path(app_dir) / "model"
        self._guard()
        super().__init__(
            app_dir, studies, conf, name="Warpsure", version=conf.get("version", __version__),
            description="Deformable registration that says where it can be trusted",
        )  # fmt: skip

    def init_infers(self) -> dict[str, InferTask]:
        """One a bundle that has weights."""
        return {name: RegistrationTask(folder, self.conf, self.tuned / name) for name, folder in self.folders.items()}

    def init_trainers(self) -> dict[str, TrainTask]:
        """One a bundle that needs no labels."""
        able = {name: folder for name, folder in self.folders.items() if learns_without_labels(folder)}
        return {name: TrainingTask(name, folder, self.tuned / name) for name, folder in able.items()}

    def init_strategies(self) -> dict[str, Any]:
        """Nothing is labelled, so the first image comes first."""
        return {"first": First()}

    def infer(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Register; a model or an image that is not there is answered by status 404."""
        model, image = request.get("model"), request.get("image")
        if model not in self._infers:
            raise refusal(f"no model {model!r}; there are {', '.join(self._infers)}.", status=404)
        known = image in (datastore or self.datastore()).list_images() or self._uploaded(image)
        if not known:
            raise refusal(f"no image {image!r} among the studies; GET /datastore/?output=all lists them.", status=404)
        return super().infer(request, datastore)

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Train; a model that is not there, or that needs labels, is answered by status 404."""
        model = request.get("model")
        if model not in self._trainers:
            raise refusal(f"{model!r} cannot be trained here; there are {', '.join(self._trainers)}.", status=404)
        return super().train(request)

    def batch_infer(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Refuse: a registration needs to be told what to register to."""
        raise refusal("a pair is registered at a time; POST to /infer/MODEL for each.")

    @staticmethod
    def _guard() -> None:
        """Guard the web application that this is started by, if it is not yet: MONAI Label's own, started by hand."""
        if "monailabel.app" in sys.modules:
            from .guard import protect  # which needs what the web application has loaded

            protect(sys.modules["monailabel.app"].app)

    def _uploaded(self, image: Any) -> bool:
        """Whether it is a file that came with the request or its session, not one that the client knows of."""
        if not isinstance(image, str) or not Path(image).is_file():
            return False
        path, sessions = Path(image).resolve(), self.sessions()
        of_session = sessions is not None and path.is_relative_to(Path(sessions.store_path).resolve())
        received = FOLDER.get()
        return of_session or (received is not None and path.parent == received.resolve())
