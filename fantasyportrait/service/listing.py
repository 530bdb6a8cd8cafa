"""Who is in a photo or in a clip, as rows that print, go into JSON, and number a picture."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.report import report
from fantasyportrait.media.clips import read_clip
from fantasyportrait.media.images import resize, save_image
from fantasyportrait.service.annotate import annotate, annotate_tracks
from fantasyportrait.service.checks import check_whole

if TYPE_CHECKING:
    from fantasyportrait.service.animator import Animator

RATE = Fraction(25)


@dataclass(frozen=True)
class Listing:
    """What was found.

    Attributes:
        size: (width, height) of the picture that the boxes lie in, in pixels.
        rows: one JSON object for each face or person, with its id and xyxy box.
        notes: sentences about the file.
        picture: uint8 (H, W, 3) RGB with the numbered boxes.
    """

    size: tuple[int, int]
    rows: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    picture: NDArray[np.uint8]

    def save_picture(self, path: Path) -> None:
        """Write the picture; `OutputError` where that fails."""
        save_image(path, self.picture)


def list_photo(animator: "Animator", path: Path, max_side: int) -> Listing:
    """The faces of a photo, at the size in which `animate` would use it."""
    check_whole("max_side", max_side, 64, 8192)
    photo, faces = animator.faces(path, max_side)
    rows = tuple(
        {
            "id": face.id,
            "box": _round(face.box),
            "pose": {name: round(float(angle), 1) for name, angle in face.pose._asdict().items()},
            "presence": round(float(face.presence), 3),
            "size": _size(face.box),
        }
        for face in faces
    )
    height, width = photo.pixels.shape[:2]
    return Listing((width, height), rows, photo.notes, annotate(photo.pixels, faces))


def list_clip(animator: "Animator", path: Path) -> Listing:
    """The persons of a clip, with their boxes in its first frame at the size in which it is tracked."""
    tracks = animator.tracks(path, RATE)
    rows = tuple(
        {
            "id": track.person,
            "box": _round(track.boxes[0]),
            "size": _size(track.boxes[0]),
            "frames": len(track),
            "frames_seen": int(track.valid.sum()),
        }
        for track in tracks
    )
    notes = tuple(f"person {track.person}: {text}" for track in tracks for text in report(track, RATE).warnings)
    frame = resize(next(read_clip(path, RATE)), tracks[0].size)
    return Listing(tracks[0].size, rows, notes, annotate_tracks(frame, tracks))


def _round(box: NDArray[np.float32]) -> list[float]:
    return [round(float(value), 1) for value in box]


def _size(box: NDArray[np.float32]) -> list[int]:
    """Width and height in pixels."""
    return [round(float(box[2] - box[0])), round(float(box[3] - box[1]))]
