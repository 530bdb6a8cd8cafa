"""The nets of this room, loaded once from verified files."""

from dataclasses import dataclass
from pathlib import Path

from fantasyportrait.faces.detect import BlazeFace, CenterFace, Detector
from fantasyportrait.faces.insightface_detector import InsightFace
from fantasyportrait.faces.landmarks import LandmarkNet
from fantasyportrait.faces.masks import HeadMasks
from fantasyportrait.faces.mesh import CanonicalFace, read_canonical_face
from fantasyportrait.weights.store import model_path


@dataclass(frozen=True)
class FaceModels:
    """Where the small models lie; each net is built on demand, because OpenCV's nets serve one thread at a time."""

    folder: Path | None = None

    def photo_detector(self, name: str = "centerface") -> Detector:
        """The detector for photos: centerface, or insightface where that is installed (`DependencyError` else)."""
        if name == "insightface":
            return InsightFace()
        return CenterFace(self._path("centerface"))

    def frame_detector(self) -> BlazeFace:
        """The detector for video frames."""
        return BlazeFace(self._path("face_detection"))

    def landmark_net(self) -> LandmarkNet:
        """Landmarks and blendshapes."""
        return LandmarkNet(self._path("face_landmarks"), self._path("face_blendshapes"))

    def head_masks(self) -> HeadMasks:
        """Head segmentation."""
        return HeadMasks(self._path("selfie_segmentation"))

    def canonical_face(self) -> CanonicalFace:
        """The mean face and its triangles."""
        return read_canonical_face(self._path("face_geometry"))

    def _path(self, name: str) -> Path:
        return model_path(name, folder=self.folder)
