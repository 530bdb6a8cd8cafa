"""The cast of a call of the API: which clip or built-in motion drives which face."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import FaceError, RequestError
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource, parse_role, role_to_text
from fantasyportrait.schema.regions import REGION_NAMES
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.studio.clip_state import ClipState
from fantasyportrait.studio.request_form import build_role
from fantasyportrait.studio.state import CLIP, FREE, MOTION, STILL, Card

COUNTED_S = 2.0
"""People of a clip that drives several faces are counted in its first seconds, so that a call returns at once."""
MAX_TEXT = 300
_CLIP = re.compile("clip:([0-9]{1,3})")


def read_cast(given: object, faces: Sequence[int], clips: Sequence[ClipState]) -> dict[int, Card]:
    """The cards from the mapping of a call; a face that it leaves out plays `idle`.

    `given`: a source by the number of a face, in the words of the command line ("motion:talk", "still",
    "clip:1#person=2&start=1.5"), where clip:N is the Nth clip of the call. Raises `RequestError`.
    """
    if not isinstance(given, Mapping):
        raise RequestError('the cast is no mapping: give one such as {"1": "clip:1", "2": "motion:laugh"}')
    cards = {face: Card() for face in faces}
    for number, source in given.items():
        face = int(number) if re.fullmatch("[0-9]{1,3}", str(number)) else 0
        if face not in cards:
            raise RequestError(
                "the cast names face {number!r}: the photo has {faces}", number=number, faces=_numbers(faces)
            )
        if not isinstance(source, str) or len(source) > MAX_TEXT:
            raise RequestError(
                "the cast of face {face} is no short text: write clip:1, motion:talk or still", face=face
            )
        cards[face] = _card(face, source, clips)
    return cards


def default_cast(faces: Sequence[int], clips: Sequence[ClipState], people: int) -> dict[int, Card]:
    """The cards of a call that gives no mapping; faces beyond the clips play `idle`.

    Clip 1 drives face 1, clip 2 face 2. Of one clip with several `people`, person 1 drives face 1, person 2 face 2.
    Raises `RequestError` for more clips than faces.
    """
    if len(clips) > len(faces):
        raise RequestError(
            "there are {count} clips, and the photo has {faces}: give a cast", count=len(clips), faces=_numbers(faces)
        )
    cards = {face: Card() for face in faces}
    if len(clips) == 1 and people > 1:
        persons = range(1, people + 1)
        return cards | {
            face: Card(CLIP, clip=clips[0].id, person=person) for face, person in zip(faces, persons, strict=False)
        }
    return cards | {face: Card(CLIP, clip=clip.id) for face, clip in zip(faces, clips, strict=False)}


def count_people(inputs: InputReader, path: Path) -> int:
    """How many people the first two seconds of a clip show, at least 1. Raises `MediaError` for an unreadable clip."""
    try:
        return len(inputs.tracks(path, Fraction(25), 0.0, COUNTED_S))
    except FaceError:
        # A face may come later; the run says where there is none.
        return 1


def cast_text(cards: Mapping[int, Card], clips: Sequence[ClipState]) -> dict[str, str]:
    """The cast as `read_cast` reads it."""
    sources = {clip.id: Path(f"clip:{number}") for number, clip in enumerate(clips, start=1)}
    roles = [build_role(face, card, sources.__getitem__, free=True) for face, card in cards.items()]
    return {str(role.face): role_to_text(role).partition("=")[2] for role in roles}


def _card(face: int, text: str, clips: Sequence[ClipState]) -> Card:
    role = parse_role(f"{face}={text}")
    given: dict[str, Any] = {
        "strength": role.strength,
        "regions": tuple(name for name in REGION_NAMES if getattr(role.regions, name)),
        "mirror": role.mirror,
        "smoothing": role.smoothing,
    }
    source = role.source
    if isinstance(source, BuiltinSource):
        return Card(MOTION, source.name, **given)
    if not isinstance(source, ClipSource):
        return Card(FREE if isinstance(source, FreeSource) else STILL, **given)
    found = _CLIP.fullmatch(str(source.path))
    number = int(found[1]) if found else 0
    if not 1 <= number <= len(clips):
        raise RequestError(
            "face {face} plays {text!r}: write clip:1 for the first of the {count} clips, motion:NAME or still",
            face=face,
            text=text,
            count=len(clips),
        )
    cut = {name: getattr(source, name) for name in ("person", "start_s", "end_s", "delay_s", "fill")}
    return Card(CLIP, clip=clips[number - 1].id, **cut, **given)


def _numbers(faces: Iterable[int]) -> str:
    numbers = [str(face) for face in faces]
    return f"{'face' if len(numbers) == 1 else 'the faces'} {', '.join(numbers)}"
