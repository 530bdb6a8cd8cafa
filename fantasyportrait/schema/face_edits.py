"""Edits of the faces that the detector found in a photo: faces that are added by a box, and false ones removed.

Numbers do not move: an added face has the number that its edit gives it, a removed face leaves its number unused, and
the other faces keep theirs. So a role of a cast never goes to another person because a face was added or removed.
"""

# A `Converted` is a descriptor, not a default value that all instances share.
# ruff: noqa: RUF009

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Annotated, Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.cast import MAX_FACE_ID
from fantasyportrait.schema.checks import check_integer, check_keys
from fantasyportrait.schema.converters import Converted, format_value
from fantasyportrait.schema.options import Option

Box = tuple[float, float, float, float]

ADDED_SYNTAX = "FACE=LEFT,TOP,RIGHT,BOTTOM in pixels of the photo, for example 3=410,96,520,230"
# No photo is decoded whose sides are longer.
_MAX_COORDINATE = 1e6


@dataclass(frozen=True)
class AddedFace:
    """A face that the detector missed.

    Attributes:
        face: its number, which no other face of the photo has.
        box: xyxy around the whole face, pixels of the photo as it is read (upright), as the boxes of `Face` are.
    """

    face: int
    box: Box

    def __post_init__(self) -> None:
        check_integer("the number of an added face", self.face, 1, MAX_FACE_ID)
        object.__setattr__(self, "face", int(self.face))
        object.__setattr__(self, "box", _as_box(self.box, f"the box of the added face {self.face}"))

    def __str__(self) -> str:
        """The text that `parse_added_face` reads."""
        return f"{self.face}={','.join(f'{value:.12g}' for value in self.box)}"


def parse_added_face(text: str) -> AddedFace:
    """Read the command line's `FACE=LEFT,TOP,RIGHT,BOTTOM`. Raises `RequestError`."""
    number, equals, rest = text.partition("=")
    parts = rest.split(",")
    if not equals or not re.fullmatch("[0-9]{1,3}", number.strip()) or len(parts) != 4:
        raise RequestError(
            "the added face {text!r} cannot be read: write {added_syntax}", text=text, added_syntax=ADDED_SYNTAX
        )
    try:
        left, top, right, bottom = (float(part) for part in parts)
    except ValueError as error:
        raise RequestError(
            "the added face {text!r} cannot be read: write {added_syntax}", text=text, added_syntax=ADDED_SYNTAX
        ) from error
    return AddedFace(int(number), (left, top, right, bottom))


def as_added_faces(value: object, name: str) -> tuple[AddedFace, ...]:
    """A tuple of added faces from one, its text, or a list of both; raises `RequestError` that names the element."""
    each = [value] if isinstance(value, AddedFace | str) else value
    if not isinstance(each, Iterable) or isinstance(each, Mapping | bytes):
        raise RequestError(
            "{name} is {value}: give a list of added faces, or of texts: {added_syntax}",
            name=name,
            value=format_value(value),
            added_syntax=ADDED_SYNTAX,
        )
    return tuple(_as_added_face(face, f"{name}[{index}]") for index, face in enumerate(each))


def as_face_numbers(value: object, name: str) -> tuple[int, ...]:
    """A tuple of face numbers from a list of them; raises `RequestError`."""
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise RequestError(
            "{name} is {value}: give a list of face numbers, such as [2, 5]", name=name, value=format_value(value)
        )
    numbers = tuple(value)
    for index, number in enumerate(numbers):
        check_integer(f"{name}[{index}]", number, 1, MAX_FACE_ID)
    return tuple(int(number) for number in numbers)


def _check_unique(name: str, numbers: Iterable[int]) -> None:
    seen: set[int] = set()
    for number in numbers:
        if number in seen:
            raise RequestError("face {number} is {name} twice: leave out one", number=number, name=name)
        seen.add(number)


@dataclass(frozen=True)
class FaceEdits:
    """What a user changed in the faces of a photo. Empty by default: the faces are those of the detector.

    `added` takes added faces or their texts (`parse_added_face`). A face that is removed and added again under its
    number is replaced: its mesh is fitted to the box.
    """

    # fmt: off
    added: Annotated[Converted[AddedFace | str | Iterable[AddedFace | str], tuple[AddedFace, ...]], Option(
        "A face that the detector missed: its number and its box in pixels of the photo",
        "faces", flag="--add-face", metavar="FACE=LEFT,TOP,RIGHT,BOTTOM", default_text="none", advanced=True,
    )] = Converted(as_added_faces, ())
    removed: Annotated[Converted[Iterable[int], tuple[int, ...]], Option(
        "The number of a detected face that is none, or is not wanted; no other number changes",
        "faces", flag="--remove-face", metavar="FACE", default_text="none", advanced=True,
    )] = Converted(as_face_numbers, ())
    # fmt: on

    def __post_init__(self) -> None:
        _check_unique("added", [face.face for face in self.added])
        _check_unique("removed", self.removed)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    def check_cast(self, cast: Iterable[int]) -> None:
        """Raise `RequestError` where a face of the cast is removed and not added again."""
        gone = set(self.removed) - {face.face for face in self.added}
        for face in cast:
            if face in gone:
                raise RequestError(
                    "face {face} is cast, but it is removed from the photo: leave out one of both", face=face
                )


NO_EDITS = FaceEdits()


def edits_to_dict(edits: FaceEdits) -> dict[str, Any]:
    """The edits as plain JSON values."""
    added = [{"face": face.face, "box": list(face.box)} for face in edits.added]
    return {"added": added, "removed": list(edits.removed)}


def edits_from_dict(data: object) -> FaceEdits:
    """The inverse of `edits_to_dict`; `RequestError` for anything else."""
    values = dict(check_keys("face_edits", data, [field.name for field in fields(FaceEdits)]))
    added = values.get("added", [])
    if not isinstance(added, list):
        raise RequestError(
            "added of face_edits is {added}: give a list of objects with face and box", added=format_value(added)
        )
    values["added"] = [_added_from_dict(face) for face in added]
    return FaceEdits(**values)


def _added_from_dict(data: object) -> AddedFace:
    values = check_keys("an added face", data, ("face", "box"))
    if len(values) != 2:
        raise RequestError("the added face {values} lacks its face or its box: give both", values=format_value(values))
    return AddedFace(**values)


def _as_added_face(value: object, name: str) -> AddedFace:
    if isinstance(value, AddedFace):
        return value
    if not isinstance(value, str):
        raise RequestError(
            "{name} is {value}: give an AddedFace, or text: {added_syntax}",
            name=name,
            value=format_value(value),
            added_syntax=ADDED_SYNTAX,
        )
    try:
        return parse_added_face(value)
    except RequestError as error:
        raise RequestError("{name}: {error}", name=name, error=error) from error


def _as_box(value: object, name: str) -> Box:
    """Four finite numbers, the first corner above and to the left of the second."""
    numbers = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) else ()
    real = all(isinstance(number, Real | Integral) and not isinstance(number, bool) for number in numbers)
    if len(numbers) != 4 or not real or not all(abs(number) <= _MAX_COORDINATE for number in numbers):
        raise RequestError(
            "{name} is {value}: give left, top, right and bottom in pixels of the photo",
            name=name,
            value=format_value(value),
        )
    left, top, right, bottom = (float(number) for number in numbers)
    if left >= right or top >= bottom:
        raise RequestError(
            "{name} is {value}: its left must be less than its right, top than bottom",
            name=name,
            value=format_value(value),
        )
    return left, top, right, bottom
