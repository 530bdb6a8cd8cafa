"""The faces of a photo or the persons of a clip: rows for the terminal and JSON, and a picture with their numbers."""

import mimetypes
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.sentences import Sentence
from fantasyportrait.faces.annotate import annotate, annotate_tracks
from fantasyportrait.faces.clip_orientation import rotation_messages
from fantasyportrait.faces.track_report import crowd_warning, report_track
from fantasyportrait.images.images import resize, save_image
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.image_clips import is_image
from fantasyportrait.schema.face import Track
from fantasyportrait.schema.face_edits import NO_EDITS, FaceEdits
from fantasyportrait.schema.timeline import span_end_s
from fantasyportrait.service.input_reader import InputReader

RATE = Fraction(25)
"""Rows a second of the tracks of listed clips."""


@dataclass(frozen=True)
class Listing:
    """The faces or persons of a file.

    Attributes:
        size: (width, height) in pixels of the picture to which the boxes refer.
        rows: one JSON object for each face or person, with its id and xyxy box.
        messages: sentences about the file.
        picture: uint8 (H, W, 3) RGB with the numbered boxes.
    """

    size: tuple[int, int]
    rows: tuple[dict[str, Any], ...]
    messages: tuple[str, ...]
    picture: NDArray[np.uint8]

    def save_picture(self, path: Path) -> None:
        """Write the picture; `OutputError` where that fails."""
        save_image(path, self.picture)


def is_clip(path: Path) -> bool:
    """Whether the file is a clip: it has no image content, and its name has no image suffix."""
    if is_image(path):
        return False
    kind, _ = mimetypes.guess_type(path.name)
    return kind is None or not kind.startswith("image/")


def list_photo(inputs: InputReader, path: Path, edits: FaceEdits = NO_EDITS) -> Listing:
    """The faces of a photo after the edits.

    Boxes are pixels of the file, unless a message reports that it was read at another size.
    """
    photo, faces = inputs.faces(path, edits=edits)
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
    return Listing((width, height), rows, photo.messages, annotate(photo.pixels, faces))


def list_clip(inputs: InputReader, path: Path, start_s: float = 0.0, end_s: float | None = None) -> Listing:
    """The persons who are visible from `start_s` to `end_s`, numbered as in the whole clip.

    Boxes are pixels of the tracked frames, and a row's box is that of the person's first visible frame. The picture is
    the first frame with the largest number of visible persons.
    """
    tracks = inputs.tracks(path, RATE, start_s, end_s)
    rows = tuple(_person(track, start_s) for track in tracks)
    messages = clip_messages(inputs, inputs.decoder.probe(path), tracks)
    shown = int(np.argmax(np.sum([track.valid for track in tracks], axis=0)))
    span = span_end_s(start_s, shown, RATE), span_end_s(start_s, shown + 1, RATE)
    with closing(inputs.decoder.frames(path, RATE, *span)) as frames:
        _, pixels = next(frames)
    picture = annotate_tracks(resize(pixels, tracks[0].size), [track for track in tracks if track.valid[shown]], shown)
    return Listing(tracks[0].size, rows, messages, picture)


def clip_messages(inputs: InputReader, info: ClipInfo, tracks: Sequence[Track]) -> tuple[str, ...]:
    """Sentences about a clip and its persons, whose `tracks` have rows at `RATE`."""
    messages = [*info.messages, *rotation_messages(info.path, inputs.decoder.rotation_of(info.path))]
    for track in tracks:
        found = report_track(track, None if info.still else RATE, (info.width, info.height))
        messages += [Sentence("person {person}: {text}", person=track.person, text=text) for text in found.warnings]
    crowd = crowd_warning(tracks[0])
    return (*messages, *([crowd] if crowd else []))


def _person(track: Track, start_s: float) -> dict[str, Any]:
    """The JSON object of a person of a clip."""
    seen = np.flatnonzero(track.valid)
    box = track.boxes[seen[0]]
    return {
        "id": track.person,
        "box": _round(box),
        "size": _size(box),
        "frames": len(track),
        "frames_seen": len(seen),
        "first_seen_s": round(start_s + float(int(seen[0]) / RATE), 3),
        "last_seen_s": round(start_s + float(int(seen[-1]) / RATE), 3),
    }


def _round(box: NDArray[np.float32]) -> list[float]:
    return [round(float(value), 1) for value in box]


def _size(box: NDArray[np.float32]) -> list[int]:
    """Width and height in pixels."""
    return [round(float(box[2] - box[0])), round(float(box[3] - box[1]))]
