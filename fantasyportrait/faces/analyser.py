"""Face analysis of a photo: detect the faces, fit the mesh, number them row by row, left to right."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import FaceError
from fantasyportrait.core.geometry import bounding_box, box_iou
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.faces.box_fit import PRESENT, SAME_FACE, check_apart, fit_face
from fantasyportrait.faces.detect import Detection
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.landmarks import Crop, Landmarks, head_pose
from fantasyportrait.faces.orientation import ROTATION_NAMES, Rotation, best_orientation, roll_degrees, rotated
from fantasyportrait.faces.reading_order import reading_order
from fantasyportrait.faces.tiled_detector import TiledDetector, downscaled
from fantasyportrait.schema.face import Face, MaskedFace
from fantasyportrait.schema.face_edits import NO_EDITS, FaceEdits

SMALLEST_FACE = 50
MOST_FACES = 200
"""Faces of a photo to which the mesh is fitted, the largest first: a limit on the time that a picture can take."""

_PASSES = 3
# Longest side of the picture on which other orientations are tried: three of them cost little more than one.
_TURNED_SIDE = 3200


class AnalysisResult(NamedTuple):
    """Faces of a photo, largest first, with the number of detections that the mesh did not fit or that were skipped."""

    faces: list[Landmarks]
    rejected: int
    skipped: int


class PhotoAnalysis(NamedTuple):
    """The upright photo, uint8 (H, W, 3) RGB, and its faces in the order of their numbers.

    `refusal` says why there is none, and is None where there is one; `rotation` turned the original photo upright.
    """

    pixels: NDArray[np.uint8]
    faces: tuple[Face, ...]
    refusal: FaceError | None
    rotation: Rotation


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
        faces, refusal = self._numbered(self.read(pixels), [] if messages is None else messages, max_faces)
        if refusal is not None:
            raise refusal
        return faces

    def find_upright(
        self,
        pixels: NDArray[np.uint8],
        messages: list[str],
        max_faces: int | None = None,
        edits: FaceEdits = NO_EDITS,
    ) -> tuple[NDArray[np.uint8], tuple[Face, ...]]:
        """Return the photo, rotated so that its faces are upright, and its faces as `find` does, after the edits."""
        analysis = self.analyse(pixels, messages, max_faces, edits)
        if analysis.refusal is not None:
            raise analysis.refusal
        return analysis.pixels, analysis.faces

    def analyse(
        self,
        pixels: NDArray[np.uint8],
        messages: list[str],
        max_faces: int | None = None,
        edits: FaceEdits = NO_EDITS,
    ) -> PhotoAnalysis:
        """Analyse a photo as `find_upright` does, but return the reason where no face can be used.

        The numbers do not depend on `max_faces`. Raises `FaceError` for an edit that cannot be applied.
        """
        result = self.read(pixels)
        scale = min(1.0, _TURNED_SIDE / max(pixels.shape[:2]))
        turn = best_orientation([downscaled(pixels, scale)], lambda picture: self.read(picture).faces, result.faces)
        if turn:
            messages.append(
                Sentence("the photo was turned by {turn}, so that its faces stand upright", turn=ROTATION_NAMES[turn])
            )
            pixels = rotated(pixels, turn)
            result = self.read(pixels)
        faces, refusal = self._numbered(result, messages, max_faces)
        if edits:
            found = faces
            faces = self._edited(pixels, found, edits)
            if found and not faces:
                refusal = FaceError("every face of the photo was removed: add one by its box, or keep one")
        return PhotoAnalysis(pixels, faces, None if faces else refusal, turn)

    def masked(self, pixels: NDArray[np.uint8], faces: tuple[Face, ...]) -> tuple[MaskedFace, ...]:
        """Return the faces, in pixels of this RGB photo (H, W, 3), with their head masks."""
        return self._masks.masked(pixels, faces)

    def _edited(self, pixels: NDArray[np.uint8], found: tuple[Face, ...], edits: FaceEdits) -> tuple[Face, ...]:
        """The faces after the edits, in the order of their numbers; raises `FaceError`."""
        known = {face.id: face for face in found}
        for number in edits.removed:
            if number not in known:
                names = ", ".join(str(each) for each in known) or "none"
                raise FaceError(
                    "face {number} is to be removed, but the faces found in the photo are {names}",
                    number=number,
                    names=names,
                )
            del known[number]
        for added in edits.added:
            if added.face in known:
                raise FaceError(
                    "the added face has number {face}, which a face found in the photo has: give it a free "
                    "number such as {next}",
                    face=added.face,
                    next=max(known) + 1,
                )
            face = self._face(added.face, fit_face(self._net, pixels, added.box))
            if face.side < SMALLEST_FACE:
                raise FaceError(
                    "the added face {number} is {side:.0f} px wide; at least {least} px are needed: "
                    "use a larger photo of the same people",
                    number=added.face,
                    side=face.side,
                    least=SMALLEST_FACE,
                )
            check_apart(added.face, face.box, tuple(known.values()))
            known[added.face] = face
        return tuple(known[number] for number in sorted(known))

    def _numbered(
        self, result: AnalysisResult, messages: list[str], max_faces: int | None
    ) -> tuple[tuple[Face, ...], FaceError | None]:
        """Filter and number the analysed faces; with no face, why none can be used."""
        large = [face for face in result.faces if _side(face.points) >= SMALLEST_FACE]
        if not large:
            return (), _refusal(result)
        total = len(result.faces) + result.skipped
        if len(large) < len(result.faces):
            small = len(result.faces) - len(large)
            messages.append(
                Sentence(
                    "{small} of {total} faces are under {least} px and were left out",
                    small=small,
                    total=total,
                    least=SMALLEST_FACE,
                )
            )
        # Numbered before the smaller ones are left out: a face has the same number under every limit.
        order = reading_order(
            [bounding_box(face.points) for face in large], [roll_degrees(face.points) for face in large]
        )
        used = len(large) if max_faces is None else min(max_faces, len(large))
        left_out = len(large) - used + result.skipped
        if left_out:
            messages.append(
                Sentence(
                    "the photo shows {total} faces: the {used} largest are used and {left_out} were "
                    "left out, because no more are taken from one photo here",
                    total=total,
                    used=used,
                    left_out=left_out,
                )
            )
        # `large` begins with the largest.
        return (
            tuple(self._face(number, large[index]) for number, index in enumerate(order, start=1) if index < used),
            None,
        )

    def _face(self, number: int, reading: Landmarks) -> Face:
        return Face(
            id=number,
            box=bounding_box(reading.points),
            landmarks=reading.points,
            blendshapes=self._net.blendshapes(reading.points),
            pose=head_pose(reading.points, self.canonical),
            presence=reading.presence,
        )

    def read(self, pixels: NDArray[np.uint8], max_faces: int = MOST_FACES) -> AnalysisResult:
        """Fit the mesh to the detections and return each face once, the largest first, at most `max_faces`."""
        detections = sorted(self._detector.detect(pixels), key=_area, reverse=True)
        faces: list[Landmarks] = []
        rejected = 0
        for count, detection in enumerate(detections):
            if len(faces) >= max_faces:
                return AnalysisResult(faces, rejected, len(detections) - count)
            reading = self._fit_mesh(pixels, detection)
            if reading is None:
                rejected += 1
            elif all(box_iou(bounding_box(reading.points), bounding_box(other.points)) <= SAME_FACE for other in faces):
                faces.append(reading)
        return AnalysisResult(faces, rejected, 0)

    def _fit_mesh(self, pixels: NDArray[np.uint8], detection: Detection) -> Landmarks | None:
        """Fit the mesh to a detection, then again to the crop around the result; None where it does not fit."""
        crop = Crop.of_detection(detection)
        for _ in range(_PASSES):
            reading = self._net.read(pixels, crop)
            crop = Crop.of_landmarks(reading.points)
        return reading if reading.presence >= PRESENT else None


def _refusal(result: AnalysisResult) -> FaceError:
    """Why a photo has no face that can be used."""
    if result.faces:
        sides = [f"{_side(face.points):.0f}" for face in result.faces]
        which = Sentence("the face of the photo is {side} px wide", side=sides[0])
        if len(sides) > 1:
            which = Sentence(
                "the largest of {count} faces of the photo is {side} px wide", count=len(sides), side=sides[0]
            )
        return FaceError(
            "{which}; at least {least} px are needed: use a larger photo of the same people",
            which=which,
            least=SMALLEST_FACE,
        )
    if result.rejected:
        what = "a place looks" if result.rejected == 1 else Sentence("{count} places look", count=result.rejected)
        return FaceError(
            "{what} like a face, but the face mesh does not fit: it may be turned too far to the side, covered, or no "
            "face; try another photo, or add the face by a tight box",
            what=what,
        )
    return FaceError(
        "no face was found in the photo: use one where a face is seen from the front or half side, or add the face by "
        "a tight box"
    )


def _area(detection: Detection) -> float:
    return float((detection.box[2] - detection.box[0]) * (detection.box[3] - detection.box[1]))


def _side(points: NDArray[np.float32]) -> float:
    box = bounding_box(points)
    return float(max(box[2] - box[0], box[3] - box[1]))
