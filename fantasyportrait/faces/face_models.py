"""The networks for faces, loaded from verified files."""

from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.faces.detect import CENTERFACE_SIDE, BlazeFace, CenterFace, Detector
from fantasyportrait.faces.insightface_detector import InsightFace
from fantasyportrait.faces.landmarks import LandmarkNet
from fantasyportrait.faces.masks import HeadMasks
from fantasyportrait.faces.mesh import CanonicalFace, read_canonical_face
from fantasyportrait.faces.original_detector import OriginalDetector
from fantasyportrait.weights.hub_catalog import hub_model
from fantasyportrait.weights.original_files import FACE_DETECTOR
from fantasyportrait.weights.store import fetch_command, model_path, models_dir


@dataclass(frozen=True)
class FaceModels:
    """The folder of the small models; networks are built on demand, because OpenCV's serve one thread at a time."""

    folder: Path | None = None

    def photo_detector(self, name: str = "centerface") -> Detector:
        """The detector for photos: centerface; original, the paper's own; or insightface.

        Raises `DependencyError` where its package is not installed, `WeightsError` where its file is not there.
        """
        if name == "insightface":
            return InsightFace()
        if name == "original":
            return OriginalDetector(self._original())
        return CenterFace(self._path("centerface"))

    def frame_detector(self) -> BlazeFace:
        """The detector for video frames."""
        return BlazeFace(self._path("face_detection"))

    def newcomer_detector(self, side: int) -> CenterFace:
        """The detector for photos, for frames whose longer side is `side`: it enlarges none."""
        return CenterFace(self._path("centerface"), min(side, CENTERFACE_SIDE))

    def landmark_net(self) -> LandmarkNet:
        """Landmarks and blendshapes."""
        return LandmarkNet(self._path("face_landmarks"), self._path("face_blendshapes"))

    def head_masks(self) -> HeadMasks:
        """Head segmentation."""
        return HeadMasks(self._path("selfie_segmentation"))

    def canonical_face(self) -> CanonicalFace:
        """The mean face and its triangles."""
        return read_canonical_face(self._path("face_geometry"))

    def _original(self) -> Path:
        row = hub_model("face-nets")
        path = (self.folder or models_dir()) / row.folder / FACE_DETECTOR
        if not path.is_file():
            raise WeightsError(f"the original detector is not at {path}: run  {fetch_command(row.name, self.folder)}")
        return path

    def _path(self, name: str) -> Path:
        return model_path(name, folder=self.folder)
