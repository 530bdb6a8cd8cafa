"""Face analysis of a photo: detect the faces, fit the mesh, number them row by row, left to right."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import FaceError
from fantasyportrait.core.geometry import bounding_box, box_iou
from fantasyportrait.faces.detect import Detection
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.landmarks import Crop, Landmarks, head_pose
from fantasyportrait.faces.orientation import ROTATION_NAMES, Rotation, best_orientation, rotated
from fantasyportrait.faces.reading_order import reading_order
from fantasyportrait.faces.tiled_detector import TiledDetector, downscaled
from fantasyportrait.schema.face import Face, MaskedFace

SMALLEST_FACE = 50
# Presence is below 0.01 for a crop without a face, above 0.8 for a statue or a near profile.
_PRESENT = 0.5
_PASSES = 3
# Longest side of the picture on which other orientations are tried: three of them cost little more than one.
_TURNED_SIDE = 3200


class AnalysisResult(NamedTuple):
    """Faces of a photo, largest first, with the number of detections that the mesh did not fit or that were skipped."""

    faces: list[Landmarks]
    rejected: int
    skipped: int


class FaceAnalyser:
    """Finds the faces of photos. Thread-safe."""

    def __init__(self, models: FaceModels | None = None, detector: str = "centerface") -> None:
        models = models or FaceModels()
        self.canonical = models.canonical_face()
        self._detector = TiledDetector(models.photo_detector(detector))
        self._net = models.landmark_net()
        self._masks = models.head_masks()

    def find(
        self, pixels: NDArray[np.uint8], messages: list[str] | None = None, max_faces: int | None = None
    ) -> tuple[Face, ...]:
        """Return every face of an RGB photo (H, W, 3) that is at least 50 px wide, at most the `max_faces` largest.

        `messages` gets a sentence about faces that were left out.

        Raises:
            FaceError: the photo shows no face, none that the mesh fits, or only faces under 50 px.
        """
        return self._faces(self.read(pixels, max_faces), [] if messages is None else messages)

    def find_upright(
        self, pixels: NDArray[np.uint8], messages: list[str], max_faces: int | None = None
    ) -> tuple[NDArray[np.uint8], tuple[Face, ...]]:
        """Return the photo, rotated so that its faces are upright, and its faces as `find` does."""
        turn, faces = self.find_rotated(pixels, messages, max_faces)
        return rotated(pixels, turn), faces

    def find_rotated(
        self, pixels: NDArray[np.uint8], messages: list[str], max_faces: int | None = None
    ) -> tuple[Rotation, tuple[Face, ...]]:
        """Return the rotation that makes the faces of the photo upright, and its faces in the rotated photo."""
        result = self.read(pixels, max_faces)
        scale = min(1.0, _TURNED_SIDE / max(pixels.shape[:2]))
        turn = best_orientation(
            [downscaled(pixels, scale)], lambda picture: self.read(picture, max_faces).faces, result.faces
        )
        if turn:
            messages.append(f"the photo was turned by {ROTATION_NAMES[turn]}, so that its faces stand upright")
            result = self.read(rotated(pixels, turn), max_faces)
        return turn, self._faces(result, messages)

    def masked(self, pixels: NDArray[np.uint8], faces: tuple[Face, ...]) -> tuple[MaskedFace, ...]:
        """Return the faces, in pixels of this RGB photo (H, W, 3), with their head masks."""
        return self._masks.masked(pixels, faces)

    def _faces(self, result: AnalysisResult, messages: list[str]) -> tuple[Face, ...]:
        """Filter and number the analysed faces; raises `FaceError` where none can be used."""
        if not result.faces:
            if result.rejected:
                raise FaceError(
                    "the photo shows something like a face, but the face mesh does not fit it: try another photo"
                )
            raise FaceError("no face was found in the photo: use one where a face is seen from the front or half side")
        large = [face for face in result.faces if _side(face.points) >= SMALLEST_FACE]
        if not large:
            widest = max(_side(face.points) for face in result.faces)
            raise FaceError(
                f"the largest face of the photo is {widest:.0f} px wide; at least {SMALLEST_FACE} px are needed: "
                "use a larger photo of the same people"
            )
        total = len(result.faces) + result.skipped
        if len(large) < len(result.faces):
            small = len(result.faces) - len(large)
            messages.append(f"{small} of {total} faces are under {SMALLEST_FACE} px and were left out")
        if result.skipped:
            messages.append(
                f"the photo shows {total} faces: the {len(result.faces)} largest are used and {result.skipped} were "
                "left out, because no more are taken from one photo here"
            )
        order = reading_order([bounding_box(face.points) for face in large])
        return tuple(self._face(number, large[index]) for number, index in enumerate(order, start=1))

    def _face(self, number: int, reading: Landmarks) -> Face:
        return Face(
            id=number,
            box=bounding_box(reading.points),
            landmarks=reading.points,
            blendshapes=self._net.blendshapes(reading.points),
            pose=head_pose(reading.points, self.canonical),
            presence=reading.presence,
        )

    def read(self, pixels: NDArray[np.uint8], max_faces: int | None = None) -> AnalysisResult:
        """Fit the mesh to the detections and return each face once, the largest first, at most `max_faces`."""
        detections = sorted(self._detector.detect(pixels), key=_area, reverse=True)
        faces: list[Landmarks] = []
        rejected = 0
        for count, detection in enumerate(detections):
            if max_faces is not None and len(faces) >= max_faces:
                return AnalysisResult(faces, rejected, len(detections) - count)
            reading = self._fit_mesh(pixels, detection)
            if reading is None:
                rejected += 1
            elif all(box_iou(bounding_box(reading.points), bounding_box(other.points)) <= 0.4 for other in faces):
                faces.append(reading)
        return AnalysisResult(faces, rejected, 0)

    def _fit_mesh(self, pixels: NDArray[np.uint8], detection: Detection) -> Landmarks | None:
        """Fit the mesh to a detection, then again to the crop around the result; None where it does not fit."""
        crop = Crop.of_detection(detection)
        for _ in range(_PASSES):
            reading = self._net.read(pixels, crop)
            crop = Crop.of_landmarks(reading.points)
        return reading if reading.presence >= _PRESENT else None


def _area(detection: Detection) -> float:
    return float((detection.box[2] - detection.box[0]) * (detection.box[3] - detection.box[1]))


def _side(points: NDArray[np.float32]) -> float:
    box = bounding_box(points)
    return float(max(box[2] - box[0], box[3] - box[1]))
