"""photo -> faces, numbered from left to right."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import FaceError
from fantasyportrait.core.geometry import box_iou, box_of
from fantasyportrait.faces.detect import Detection
from fantasyportrait.faces.face import Face
from fantasyportrait.faces.landmarks import Crop, Landmarks, head_pose
from fantasyportrait.faces.models import FaceModels

SMALLEST_FACE = 50
# A crop without a face reads below 0.01; a statue's or a near profile reads above 0.8.
_PRESENT = 0.5
_PASSES = 3


class FaceFinder:
    """Finds the faces of photos. One instance serves one thread at a time."""

    def __init__(self, models_dir: Path | None = None, detector: str = "centerface") -> None:
        models = FaceModels(models_dir)
        self.canonical = models.canonical_face()
        self._detector = models.photo_detector(detector)
        self._net = models.landmark_net()
        self._masks = models.head_masks()

    def find(self, pixels: NDArray[np.uint8], notes: list[str] | None = None) -> tuple[Face, ...]:
        """Every face of an RGB photo (H, W, 3) that is at least 50 px wide; `notes` is told of smaller ones.

        Raises:
            FaceError: the photo shows no face, none that the mesh fits, or only faces under 50 px.
        """
        detections = self._detector.detect(pixels)
        if not detections:
            raise FaceError("no face was found in the photo: use one where a face is seen from the front or half side")
        readings = self._fitting(pixels, detections)
        if not readings:
            raise FaceError(
                "the photo shows something like a face, but the face mesh does not fit it: try another photo"
            )
        large = [r for r in readings if _side(r.points) >= SMALLEST_FACE]
        if not large:
            widest = max(_side(r.points) for r in readings)
            raise FaceError(
                f"the largest face of the photo is {widest:.0f} px wide; at least {SMALLEST_FACE} px are needed: "
                "use a larger photo or crop it"
            )
        if notes is not None and len(large) < len(readings):
            left_out = len(readings) - len(large)
            notes.append(f"{left_out} of {len(readings)} faces are under {SMALLEST_FACE} px and were left out")
        large.sort(key=lambda reading: float(reading.points[:, 0].mean()))
        masks = self._masks.masks(pixels, [r.points for r in large])
        return tuple(
            Face(
                id=number,
                box=box_of(reading.points),
                landmarks=reading.points,
                blendshapes=self._net.blendshapes(reading.points),
                pose=head_pose(reading.points, self.canonical),
                presence=reading.presence,
                mask=mask,
            )
            for number, (reading, mask) in enumerate(zip(large, masks, strict=True), start=1)
        )

    def _fitting(self, pixels: NDArray[np.uint8], detections: list[Detection]) -> list[Landmarks]:
        """Readings of the detections on which the mesh fits, each face once."""
        readings: list[Landmarks] = []
        for detection in detections:
            crop = Crop.of_detection(detection)
            for _ in range(_PASSES):
                reading = self._net.read(pixels, crop)
                crop = Crop.of_landmarks(reading.points)
            box = box_of(reading.points)
            known = any(box_iou(box, box_of(other.points)) > 0.4 for other in readings)
            if reading.presence >= _PRESENT and not known:
                readings.append(reading)
        return readings


def _side(points: NDArray[np.float32]) -> float:
    box = box_of(points)
    return float(max(box[2] - box[0], box[3] - box[1]))
