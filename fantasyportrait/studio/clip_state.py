"""A driving clip of a visitor, as it is saved and shown."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

CheckState = Literal["waiting", "checking", "ready", "failed"]


@dataclass(frozen=True)
class ClipPerson:
    """A person of a clip: the number in the clip (1, 2, 3 ...), the thumbnail, and the share of rows (0 to 1) that show
    the face.

    `leads`: whether this is the default person of the untrimmed clip.
    """

    id: int
    thumb: str
    seen: float
    leads: bool = False


@dataclass(frozen=True)
class ClipState:
    """A driving clip and what its check found. Paths are relative to the visitor's folder, with slashes.

    Attributes:
        id: a random id in hexadecimal; never a part of the file's name.
        name: the name that is shown: that of the uploaded file, or "webcam take 1".
        path: the file.
        webcam: whether it was recorded with the webcam.
        state: waiting, checking, ready or failed.
        done: tracked rows.
        total: rows to track, as far as is known.
        error: a sentence that says why the check failed, empty otherwise.
        messages: sentences about the clip and its persons.
        duration_s: length in seconds; 0 for a still picture, or before the check.
        fps: frames a second for display; 0 for a still picture, or before the check.
        width: of the upright frames, in pixels.
        height: of the upright frames, in pixels.
        people: the persons of the clip.
        poster: a picture of the clip, empty before the check.
        strip: pictures at even distances in time.
    """

    id: str
    name: str
    path: str
    webcam: bool = False
    state: CheckState = "waiting"
    done: int = 0
    total: int = 0
    error: str = ""
    messages: tuple[str, ...] = ()
    duration_s: float = 0.0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    people: tuple[ClipPerson, ...] = ()
    poster: str = ""
    strip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.state not in get_args(CheckState):
            raise ValueError(f"a clip's state is {self.state!r}, and must be one of {', '.join(get_args(CheckState))}")

    def to_json(self) -> dict[str, Any]:
        """The clip as a JSON object."""
        return {**asdict(self), "messages": list(self.messages), "people": [asdict(each) for each in self.people],
                "strip": list(self.strip)}  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ClipState":
        """The clip of a JSON object; unknown names are left out. Raises ValueError or TypeError for another object."""
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        for name in ("messages", "strip"):
            known[name] = tuple(known.get(name, ()))
        known["people"] = tuple(ClipPerson(**each) for each in known.get("people", ()))
        return cls(**known)
