"""The cast: a role gives one face of the portrait a driving clip, a built-in motion, or keeps it still."""

# A `Converted` is a descriptor, not a default value that all instances share.
# ruff: noqa: RUF009

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.schema.checks import check_choice, check_integer, check_keys, check_sha256
from fantasyportrait.schema.converters import Converted, StrPath, as_path, format_value
from fantasyportrait.schema.options import Option, check_options, options_of
from fantasyportrait.schema.regions import REGION_NAMES, Regions
from fantasyportrait.schema.timeline import FillMode, round_half_up

MAX_FACE_ID = 999
MAX_DURATION_S = 24 * 3600.0
CAST_SYNTAX = (
    "FACE=SOURCE, where SOURCE is the path of a clip, motion:NAME, still or free, for example 1=a.mp4 or 2=motion:smile"
)


@dataclass(frozen=True)
class ClipSource:
    """A driving clip, or a picture or motion file in its place, and the person in it. The path is text or a Path."""

    # fmt: off
    path: Annotated[Converted[StrPath, Path], Option(
        "A video, a picture (an animated one is a clip, a still one an expression that is held), or a motion file",
        "clip", flag="", metavar="PATH", default_text="required",
    )] = Converted(as_path)
    person: Annotated[int | None, Option(
        "Which person of the clip: 1, 2, 3 ... from left to right",
        "clip", limits=(1, MAX_FACE_ID), default_text="the largest",
    )] = None
    start_s: Annotated[float, Option(
        "Where the part of the clip that is used begins, in seconds", "clip", limits=(0, MAX_DURATION_S),
    )] = 0.0
    end_s: Annotated[float | None, Option(
        "Where it ends, in seconds", "clip", limits=(0, MAX_DURATION_S), default_text="the clip's end",
    )] = None
    sha256: Annotated[str | None, Option(
        "sha256 of the file when the request was run, to notice that it has changed since",
        "clip", flag="", default_text="none",
    )] = None
    delay_s: Annotated[float, Option(
        "When the clip begins in the result, in seconds; until then the face holds its first frame",
        "clip", limits=(0, MAX_DURATION_S),
    )] = 0.0
    fill: Annotated[FillMode | None, Option(
        "What the clip does where it is shorter than the video", "clip", "Short clip", default_text="the request's",
    )] = None
    # fmt: on

    def __post_init__(self) -> None:
        check_options(self, f" of {self.path.name}")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise RequestError(
                "{name} is cut from {start_s:g} s to {end_s:g} s: the end must come after the start",
                name=self.path.name,
                start_s=self.start_s,
                end_s=self.end_s,
            )
        check_sha256(f"sha256 of {self.path.name}", self.sha256)


def delay_frames(source: ClipSource, rate: Fraction) -> int:
    """The frame of the result at which the clip begins."""
    return round_half_up(Fraction(source.delay_s) * rate)


@dataclass(frozen=True)
class BuiltinSource:
    """A built-in motion by its name."""

    name: str

    def __post_init__(self) -> None:
        check_choice("the built-in motion", self.name, tuple(BUILTIN_MOTIONS))


@dataclass(frozen=True)
class FreeSource:
    """Nothing drives the face: the diffusion model moves it freely, the preview engine keeps it still."""


DrivingSource = ClipSource | BuiltinSource | FreeSource | None


def as_source(value: object, name: str) -> DrivingSource:
    """A source from a source, a Path (a clip), or the command line's text: a clip's path, motion:NAME, still or free.

    Raises `RequestError`.
    """
    if isinstance(value, str):
        return parse_source(value, f"the {name} {value!r}")
    if isinstance(value, os.PathLike):
        return ClipSource(value)
    if not isinstance(value, DrivingSource):
        raise RequestError(
            "{name} is {value}: give a ClipSource, BuiltinSource, FreeSource, None for a still face, "
            "or text "
            "such as a.mp4, motion:smile or still",
            name=name,
            value=format_value(value),
        )
    return value


@dataclass(frozen=True)
class Role:
    """What one face plays.

    The source is a clip, a built-in motion, free, or None for a face that stays still; a Path becomes a clip, and text
    is read as on the command line: a.mp4, motion:smile, still, free.
    """

    # fmt: off
    face: Annotated[int, Option(
        "The face of the portrait: 1, 2, 3 ... row by row, left to right", "role", flag="", default_text="required",
    )]
    source: Annotated[Converted[DrivingSource | StrPath, DrivingSource], Option(
        "What drives it: the path of a clip, picture or motion file, motion:NAME, still, or free (as the model likes)",
        "role", flag="", metavar="SOURCE", default_text="required",
    )] = Converted(as_source)
    strength: Annotated[float, Option(
        "How strongly the face follows its driver",
        "role", limits=(0, 2), slider=(0, 2, 0.05),
    )] = 1.0
    regions: Regions = Regions()
    mirror: Annotated[bool, Option("Swap the driver's left and right", "role")] = False
    smoothing: Annotated[float | None, Option(
        "Smoothing of the clip's motion, 0 (none) to 1; with wan for the alignment mesh alone",
        "role", limits=(0, 1), default_text="the request's",
    )] = None
    # fmt: on

    def __post_init__(self) -> None:
        check_integer("the face of a role", self.face, 1, MAX_FACE_ID)
        check_options(self, f" of face {self.face}")
        if not isinstance(self.regions, Regions):
            raise RequestError(
                "regions of face {face} is {regions}: give a Regions",
                face=self.face,
                regions=format_value(self.regions),
            )


def parse_role(text: str) -> Role:
    """Read the command line's `FACE=SOURCE[#key=value[&key=value...]]`.

    SOURCE is a path, `motion:NAME`, `still` or `free`. The first `=` ends the face's number. The last `#` begins the
    options if a known option follows it; any other `#` or `=` belongs to the file's name. (A clip named
    `motion:x`, `still` or `free` is written `./still`.) Options: person, start, end, delay (seconds), fill
    (loop, hold or pingpong) of a clip, strength, smoothing, and head, eyes, emotion, mouth, mirror (on or off). Raises
    `RequestError`.
    """
    number, equals, rest = text.partition("=")
    if not equals or not rest or not re.fullmatch("[0-9]{1,3}", number):
        raise RequestError("the cast {text!r} cannot be read: write {cast_syntax}", text=text, cast_syntax=CAST_SYNTAX)
    source_text, options = _split_options(rest)
    values = {key: _OPTIONS[key](f"{key} in the cast {text!r}", value) for key, value in options.items()}
    cut = {name: values.pop(key) for key, name in _CLIP_OPTIONS.items() if key in values}
    regions = Regions(**{name: values.pop(name) for name in REGION_NAMES if name in values})
    return Role(int(number), parse_source(source_text, f"the cast {text!r}", **cut), regions=regions, **values)


def role_to_text(role: Role) -> str:
    """The text that `parse_role` reads as an equal role, but for the sha256 of its clip, which has no text.

    Options are written where they differ from their defaults, with one more where the name of the file needs it.
    """
    source = role.source
    options = _options_text(role) | _options_text(role.regions)
    if isinstance(source, ClipSource):
        text = source.path.as_posix()
        options = _options_text(source) | options
        if text.startswith(("motion:", *_KEYWORDS)):
            text = f"./{text}"
        if "#" in text and not options:
            # So that the last "#" begins options.
            options["strength"] = _value_text(role.strength)
    elif isinstance(source, BuiltinSource):
        text = f"motion:{source.name}"
    else:
        text = "still" if source is None else "free"
    tail = "&".join(f"{key}={value}" for key, value in options.items())
    return f"{role.face}={text}{'#' if tail else ''}{tail}"


def _options_text(instance: object) -> dict[str, str]:
    """The options of a role, its clip or its regions that differ from their defaults, as text by their keys."""
    owner: type = type(instance)
    given = [(option, getattr(instance, option.name)) for option in options_of(owner) if option.flag != ""]
    return {option.key: _value_text(value) for option, value in given if value != option.default}


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, str | int) else repr(float(value))


def as_cast(value: object, name: str) -> tuple[Role, ...]:
    """A tuple of roles from a role, a text for `parse_role`, or a list of both.

    Raises `RequestError` that names the element: cast[1].
    """
    each = [value] if isinstance(value, Role | str) else value
    if not isinstance(each, Iterable) or isinstance(each, Mapping | bytes):
        raise RequestError(
            "{name} is {value}: give a list of roles, or of texts: {cast_syntax}",
            name=name,
            value=format_value(value),
            cast_syntax=CAST_SYNTAX,
        )
    return tuple(_as_role(role, f"{name}[{index}]") for index, role in enumerate(each))


def _as_role(value: object, name: str) -> Role:
    if isinstance(value, Role):
        return value
    if not isinstance(value, str):
        raise RequestError(
            "{name} is {value}: give a Role, or text: {cast_syntax}",
            name=name,
            value=format_value(value),
            cast_syntax=CAST_SYNTAX,
        )
    try:
        return parse_role(value)
    except RequestError as error:
        raise RequestError("{name}: {error}", name=name, error=error) from error


def parse_source(source: str, where: str, **cut: Any) -> DrivingSource:
    """The source from the `SOURCE` of `parse_role`; `cut`: other fields of a clip; `where` begins its errors."""
    is_clip = source not in _KEYWORDS and not source.startswith("motion:")
    if cut and not is_clip:
        raise RequestError(
            "{where} gives person, start, end, delay or fill: only a clip has these, leave them out", where=where
        )
    if source in _KEYWORDS:
        return _KEYWORDS[source]
    if not is_clip:
        return BuiltinSource(source.removeprefix("motion:"))
    if not source:
        raise RequestError("{where} names no file: write {cast_syntax}", where=where, cast_syntax=CAST_SYNTAX)
    return ClipSource(as_path(source, f"the clip in {where}"), **cut)


def _split_options(text: str) -> tuple[str, dict[str, str]]:
    """The source, and the options after its last `#` as text."""
    source, mark, tail = text.rpartition("#")
    always = text in _KEYWORDS or text.startswith(("motion:", *(f"{word}#" for word in _KEYWORDS)))
    if not mark or not (always or tail.partition("=")[0] in _OPTIONS):
        return text, {}
    options: dict[str, str] = {}
    for item in tail.split("&"):
        key, equals, value = item.partition("=")
        if not equals or key not in _OPTIONS:
            raise RequestError(
                "{item!r} in {text!r} is not an option: write key=value, with {names}",
                item=item,
                text=text,
                names=", ".join(_OPTIONS),
            )
        if key in options:
            raise RequestError("{key} is given twice in {text!r}: keep one", key=key, text=text)
        options[key] = value
    return source, options


def _number(field: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RequestError("{field} is {text!r}: give a number", field=field, text=text)
    return value


def _whole(field: str, text: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", text):
        raise RequestError("{field} is {text!r}: give a whole number", field=field, text=text)
    return int(text)


def _text(field: str, text: str) -> str:
    """The text as it is: the option's choices are checked where the role is made."""
    return text


def _flag(field: str, text: str) -> bool:
    words = {"on": True, "yes": True, "true": True, "1": True, "off": False, "no": False, "false": False, "0": False}
    if text.lower() not in words:
        raise RequestError("{field} is {text!r}: give on or off", field=field, text=text)
    return words[text.lower()]


_KEYWORDS: dict[str, FreeSource | None] = {"still": None, "free": FreeSource()}
_CLIP_OPTIONS = {option.key: option.name for option in options_of(ClipSource) if option.flag != ""}
_READ: dict[type, Callable[[str, str], Any]] = {bool: _flag, int: _whole, float: _number, str: _text}
_OPTIONS = {
    option.key: _READ[option.kind]
    for owner in (ClipSource, Role, Regions)
    for option in options_of(owner)
    if option.flag != ""
}

_CLIP_KEYS = ("clip", *(field.name for field in fields(ClipSource) if field.name != "path"))
_ROLE_KEYS = tuple(field.name for field in fields(Role))


def role_to_dict(role: Role) -> dict[str, Any]:
    """The role as plain JSON values; its source is "still", "free", {"motion": name} or {"clip": path, ...}."""
    data = asdict(replace(role, source=None))
    if isinstance(role.source, ClipSource):
        clip = asdict(role.source)
        data["source"] = {"clip": clip.pop("path").as_posix(), **clip}
    elif isinstance(role.source, BuiltinSource):
        data["source"] = {"motion": role.source.name}
    else:
        data["source"] = "still" if role.source is None else "free"
    return data


def role_from_dict(data: object) -> Role:
    """The inverse of `role_to_dict`; `RequestError` for anything else."""
    values = dict(check_keys("a role", data, _ROLE_KEYS))
    if "face" not in values or "source" not in values:
        raise RequestError("the role {values!r} lacks its face or its source: give both", values=values)
    values["source"] = _source_from_dict(values["source"])
    if "regions" in values:
        values["regions"] = Regions(**check_keys("regions", values["regions"], REGION_NAMES))
    return Role(**values)


def _source_from_dict(data: object) -> DrivingSource:
    if isinstance(data, str) and data in _KEYWORDS:
        return _KEYWORDS[data]
    if isinstance(data, dict) and "motion" in data:
        return BuiltinSource(check_keys("a source", data, ("motion",))["motion"])
    values = dict(check_keys("a source", data, _CLIP_KEYS))
    path = values.pop("clip", None)
    if not isinstance(path, str):
        raise RequestError('the source {data!r} names no clip: give "still", "free", a "motion" or a "clip"', data=data)
    return ClipSource(path, **values)
