"""The state of a session as data, with JSON both ways: its photo, what each face plays, its clips and options."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.sentences import decode, encode
from fantasyportrait.schema.checks import check_keys
from fantasyportrait.schema.face_edits import NO_EDITS, FaceEdits, edits_from_dict
from fantasyportrait.schema.regions import REGION_NAMES
from fantasyportrait.schema.timeline import FillMode
from fantasyportrait.studio.clip_state import ClipState

SCHEMA = 1
MOTION, CLIP, STILL, FREE = "motion", "clip", "still", "free"
IDLE = "idle"
Box = tuple[float, float, float, float]
"""xyxy, as fractions of the width and height of the photo."""


@dataclass(frozen=True)
class Card:
    """What one face plays, as the page shows it; a new card plays the built-in motion `idle`.

    `clip` is the id of a clip of the session. `start_s`, `end_s`, `delay_s`, `fill` and `person` belong to the clip;
    None stands for the default.
    """

    kind: str = MOTION
    motion: str = IDLE
    clip: str | None = None
    person: int | None = None
    start_s: float = 0.0
    end_s: float | None = None
    delay_s: float = 0.0
    fill: FillMode | None = None
    strength: float = 1.0
    regions: tuple[str, ...] = REGION_NAMES
    mirror: bool = False
    smoothing: float | None = None


@dataclass(frozen=True)
class PhotoFace:
    """A face of the photo as the page shows it; `thumbnail` is a path in the session's folder."""

    id: int
    box: Box
    thumbnail: str
    warnings: tuple[str, ...] = ()
    added: bool = False


@dataclass(frozen=True)
class PhotoState:
    """The photo of a session.

    Attributes:
        id: of this upload.
        path: of the file as it was uploaded, in the session's folder.
        name: the visitor's name of the file, for display only.
        shown: path of the picture that the page shows, in the session's folder; empty where it cannot be decoded.
        size: (width, height) of the photo in pixels.
        faces: in the order of their numbers.
        messages: sentences about the photo.
        error: why it cannot be used; empty if it can.
        edits: faces that the visitor drew, and the numbers of false ones.
    """

    id: str
    path: str
    name: str
    shown: str = ""
    size: tuple[int, int] = (0, 0)
    faces: tuple[PhotoFace, ...] = ()
    messages: tuple[str, ...] = ()
    error: str = ""
    edits: FaceEdits = NO_EDITS


@dataclass(frozen=True)
class SessionState:
    """The state of a session.

    Attributes:
        photo: None before the first one and after it was removed.
        cards: what each face plays, by its number; those of faces that are not shown wait for the next photo.
        clips: the session's clips.
        options: values of the options of the result, by name, as the page sent them.
        created_s: when the session began, in seconds since 1970.
    """

    photo: PhotoState | None = None
    cards: Mapping[int, Card] = field(default_factory=dict)
    clips: tuple[ClipState, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    created_s: float = 0.0

    def card(self, face: int) -> Card:
        """What a face plays."""
        return self.cards.get(face, Card())

    def clip(self, clip_id: str) -> ClipState:
        """A clip of the session by its id; raises `RequestError` where there is none."""
        for clip in self.clips:
            if clip.id == clip_id:
                return clip
        raise RequestError("this clip is not here: it was removed, or it has expired; upload it again")

    def with_clip(self, clip_id: str, change: Callable[[ClipState], ClipState]) -> "SessionState":
        """A copy in which one clip is changed; the same where there is no such clip."""
        return replace(self, clips=tuple(change(clip) if clip.id == clip_id else clip for clip in self.clips))

    def with_card(self, face: int, card: Card) -> "SessionState":
        """A copy with another card for a face."""
        return replace(self, cards={**self.cards, face: card})

    @property
    def faces(self) -> tuple[PhotoFace, ...]:
        """The faces of the photo."""
        return self.photo.faces if self.photo else ()

    def to_json(self) -> str:
        """The state as JSON text, which `state_from_json` reads."""
        return json.dumps(encode({"schema": SCHEMA, **asdict(self)}))


def state_from_json(text: str) -> SessionState:
    """The state from the text of `to_json`; raises `RequestError` for another schema and text that is damaged."""
    try:
        data = decode(json.loads(text))
        if data.pop("schema") != SCHEMA:
            raise RequestError("the session was saved by another version")
        values = dict(check_keys("the session", data, [each.name for each in fields(SessionState)]))
        photo = values.get("photo")
        values["photo"] = None if photo is None else _photo(photo)
        values["cards"] = {int(face): _card(card) for face, card in values["cards"].items()}
        values["clips"] = tuple(ClipState.from_json(clip) for clip in values["clips"])
        return SessionState(**values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError("the saved session is damaged ({error})", error=error) from error


def _card(values: Mapping[str, Any]) -> Card:
    return Card(**{**values, "regions": tuple(values["regions"])})


def _photo(values: Mapping[str, Any]) -> PhotoState:
    faces = tuple(
        PhotoFace(**{**face, "box": tuple(face["box"]), "warnings": tuple(face["warnings"])})
        for face in values["faces"]
    )
    return PhotoState(
        **{
            **values,
            "faces": faces,
            "size": tuple(values["size"]),
            "messages": tuple(values["messages"]),
            "edits": edits_from_dict(values["edits"]),
        }
    )
