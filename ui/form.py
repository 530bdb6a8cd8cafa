"""What the visitor chose becomes a request. Values come from anywhere, so each is checked again here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.service.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.service.request import AnimationRequest

CLIP, WEBCAM, MOTION, STILL = "clip", "webcam", "motion", "still"
KINDS = (("Clip", CLIP), ("Webcam", WEBCAM), ("Built-in motion", MOTION), ("Still", STILL))
REGIONS = (("Head", "head"), ("Eyes", "eyes"), ("Brows and emotion", "emotion"), ("Mouth", "mouth"))
REGION_NAMES = tuple(name for _, name in REGIONS)
LONGEST_S = 600
"""No visitor can keep the machine busy for a day by typing a number."""


@dataclass(frozen=True)
class CardValues:
    """The values of one face's card, unchecked, in the order of its widgets."""

    kind: object
    clip: object
    person: object
    webcam: object
    motion: object
    strength: object
    regions: object
    mirror: object


@dataclass(frozen=True)
class OptionValues:
    """The values of the options, unchecked, in the order of their widgets."""

    length: object
    seconds: object
    fill: object
    absolute: object
    smoothing: object
    sound: object
    side_by_side: object


def request_of(portrait: Path, cards: Mapping[int, CardValues], options: OptionValues) -> AnimationRequest:
    """The request; raises `RequestError` for a value out of its range, and where no face would move."""
    if all(card.kind == STILL for card in cards.values()):
        raise RequestError(
            "every face is still, so nothing would move: give at least one face a clip or a built-in motion"
        )
    if str(options.sound).startswith("file:"):
        raise RequestError("the sound cannot be a file of the server: choose one of the sounds offered")
    given: dict[str, Any] = {
        "duration": _duration(options.length, options.seconds),
        "fill": options.fill,
        "absolute": options.absolute,
        "smoothing": options.smoothing,
        "sound": options.sound,
        "side_by_side": options.side_by_side,
    }
    return AnimationRequest(portrait, tuple(role_of(face, card) for face, card in cards.items()), **given)


def role_of(face: int, card: CardValues) -> Role:
    """The role of one face; raises `RequestError`."""
    if not isinstance(card.regions, Sequence) or not set(card.regions) <= set(REGION_NAMES):
        raise RequestError(f"face {face} follows {card.regions!r}: choose from {', '.join(REGION_NAMES)}")
    given: dict[str, Any] = {"strength": card.strength, "mirror": card.mirror}
    return Role(face, _source(face, card), **given, **{name: name in card.regions for name in REGION_NAMES})


def portable(request: AnimationRequest) -> str:
    """The request as JSON that names its files without their places on the server.

    It runs again from a folder in which the photo and the clips lie beside it.
    """
    return request.with_paths(lambda path: Path(path.name)).to_json()


def _source(face: int, card: CardValues) -> ClipSource | BuiltinSource | None:
    if card.kind == STILL:
        return None
    if card.kind == MOTION:
        return BuiltinSource(str(card.motion))
    if card.kind == CLIP:
        return ClipSource(_file(face, card.clip, "upload a clip"), _person(card.person))
    if card.kind == WEBCAM:
        return ClipSource(_file(face, card.webcam, "record one"))
    raise RequestError(f"face {face} plays {card.kind!r}: choose {CLIP}, {WEBCAM}, {MOTION} or {STILL}")


def _file(face: int, path: object, how: str) -> Path:
    if not isinstance(path, str) or not path:
        raise RequestError(f"face {face} has no clip yet: {how}, or set the face to Still")
    return Path(path)


def _person(value: object) -> int | None:
    """0 stands for the largest face; what is no number is for the role to refuse."""
    given: Any = value
    return None if value in (0, None) else given


def _duration(length: object, seconds: object) -> Any:
    if length != "seconds":
        return length if isinstance(length, str) else repr(length)
    if not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_S:
        raise RequestError(f"the length is {seconds!r}: give a number of seconds up to {LONGEST_S}")
    return float(seconds)
