"""The networks for faces, loaded from verified files."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.faces.detect import CENTERFACE_SIDE, BlazeFace, CenterFace, Detector
from fantasyportrait.faces.dnn_net import DnnNet
from fantasyportrait.faces.insightface_detector import InsightFace
from fantasyportrait.faces.landmarks import LandmarkNet
from fantasyportrait.faces.masks import HeadMasks
from fantasyportrait.faces.mesh import CanonicalFace, read_canonical_face
from fantasyportrait.faces.original_detector import OriginalDetector
from fantasyportrait.weights.hub_catalog import hub_model
from fantasyportrait.weights.original_files import FACE_DETECTOR
from fantasyportrait.weights.store import fetch_command, model_path, models_dir

T = TypeVar("T")


class FaceModels:
    """The small models of the models folder, each loaded when it is first used and kept. Thread-safe.

    A missing file is fetched. What a method returns raises `WeightsError` in its own methods where that fails.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._loaded: dict[str, Any] = {}
        self._lock = threading.Lock()

    def photo_detector(self, name: str = "centerface") -> Detector:
        """The detector for photos: centerface; original, the paper's own; or insightface.

        Raises `DependencyError` where its package is not installed, `WeightsError` where its file is not there.
        """
        if name == "insightface":
            return self._once(name, InsightFace)
        if name == "original":
            return self._once(name, lambda: OriginalDetector(self._original()))
        return CenterFace(self._centerface())

    def frame_detector(self) -> BlazeFace:
        """The detector for video frames."""
        return BlazeFace(self._net("face_detection", "reshaped_classifier_face_4", "reshaped_regressor_face_4"))

    def newcomer_detector(self, side: int) -> CenterFace:
        """The detector for photos, for frames whose longer side is `side`: it enlarges none."""
        return CenterFace(self._centerface(), min(side, CENTERFACE_SIDE))

    def landmark_net(self) -> LandmarkNet:
        """Landmarks and blendshapes."""
        return LandmarkNet(self._net("face_landmarks", "Identity", "Identity_1"), self._net("face_blendshapes"))

    def head_masks(self) -> HeadMasks:
        """Head segmentation."""
        return HeadMasks(self._net("selfie_segmentation"))

    def canonical_face(self) -> CanonicalFace:
        """The mean face and its triangles."""
        return read_canonical_face(self._path("face_geometry"))

    def _original(self) -> Path:
        row = hub_model("face-nets")
        path = (self.folder or models_dir()) / row.folder / FACE_DETECTOR
        if not path.is_file():
            raise WeightsError(
                "the original detector is not at {path}: run  {command}",
                path=path,
                command=fetch_command(row.name, self.folder),
            )
        return path

    def _centerface(self) -> DnnNet:
        # It takes 80 to 105 MB for each shape of input, the other nets 2 to 20 MB, and is loaded in about 15 ms.
        return self._once("centerface", lambda: DnnNet(partial(self._path, "centerface"), max_idle=1))

    def _net(self, name: str, *outputs: str) -> DnnNet:
        return self._once(name, lambda: DnnNet(partial(self._path, name), outputs))

    def _once(self, name: str, load: Callable[[], T]) -> T:
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load()
            return cast(T, self._loaded[name])

    def _path(self, name: str) -> Path:
        return model_path(name, folder=self.folder)
