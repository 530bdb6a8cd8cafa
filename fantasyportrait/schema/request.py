"""The frozen request: portrait, cast and options. It is checked when created and saved as JSON beside every result."""

# A `Converted` is a descriptor, not a default value that all instances share.
# ruff: noqa: RUF009

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from numbers import Integral, Rational, Real
from pathlib import Path
from typing import Annotated, Any, Literal

from fantasyportrait.core.errors import RequestError
from fantasyportrait.images.images import Photo
from fantasyportrait.schema.cast import MAX_DURATION_S, ClipSource, Role, as_cast, role_from_dict, role_to_dict
from fantasyportrait.schema.checks import check_keys, check_sha256
from fantasyportrait.schema.converters import Converted, DurationMode, StrPath, as_duration, as_path, format_value
from fantasyportrait.schema.face_edits import NO_EDITS, FaceEdits, edits_from_dict, edits_to_dict
from fantasyportrait.schema.options import Option, check_options
from fantasyportrait.schema.portrait import IN_MEMORY, Portrait, PortraitLike, as_portrait
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.schema.sound_file import KIND, SoundFile, parse_sound_file
from fantasyportrait.schema.timeline import MAX_RATE, FillMode, parse_rate

SCHEMA = 2
MAX_SIDE = 8192
DETECTORS = {"centerface": "CenterFace", "original": "As in the original", "insightface": "InsightFace"}
RATE_RULE = f"give frames a second from 1 to {MAX_RATE}, such as 25, 29.97, 30000/1001 or Fraction(30000, 1001)"
SOUNDS = "auto, mix, none, face:N (the clip of face N) or file:PATH[#start=SECONDS]"
Rate = Fraction | float | str
ClipRate = Literal["clip"]
CLIP_RATE: ClipRate = "clip"


def read_rate(value: object, name: str = "rate") -> Fraction:
    """Exact frames a second from a whole number, a fraction, a float, or text such as 25, 29.97 or 30000/1001.

    29.97 and the like are the NTSC rates. Another float is its nearest simple fraction: 100 / 3 is Fraction(100, 3).
    Raises `RequestError` that names the argument.
    """
    try:
        if isinstance(value, Real) and not isinstance(value, Rational):
            given = float(value)
            rate, simple = parse_rate(f"{given:.9f}"), Fraction(given).limit_denominator(1001)
            return simple if abs(simple - rate) < Fraction(1, 10**8) else rate
        if isinstance(value, str | Rational) and not isinstance(value, bool):
            return parse_rate(str(value))
    except (RequestError, ValueError, OverflowError) as error:
        raise RequestError(
            "{name} is {value}: {rate_rule}", name=name, value=format_value(value), rate_rule=RATE_RULE
        ) from error
    raise RequestError("{name} is {value}: {rate_rule}", name=name, value=format_value(value), rate_rule=RATE_RULE)


def as_rate(value: object, name: str) -> Fraction | ClipRate:
    """The rate from `read_rate`, or "clip" unchanged. Raises `RequestError` that names the argument."""
    if isinstance(value, str) and value == CLIP_RATE:
        return CLIP_RATE
    try:
        return read_rate(value, name)
    except RequestError as error:
        raise RequestError(
            "{error}, or '{clip_rate}' for those of the first clip", error=error, clip_rate=CLIP_RATE
        ) from error


@dataclass(frozen=True)
class AnimationRequest:
    """Everything that decides a result.

    The portrait is a path, or a picture in memory (see `images.memory_images`), which becomes a `Photo`; a run saves
    the latter as a PNG beside its result, so that the saved request can read it. The cast is given as roles, or as
    their texts on the command line (`cast.parse_role`). The rate is exact: see `read_rate`.
    """

    # fmt: off
    portrait: Annotated[Converted[PortraitLike, Portrait], Option(
        "The portrait: a photo of one or several people",
        "inputs", flag="", metavar="PATH", default_text="required", advanced=True,
    )] = Converted(as_portrait)
    cast: Annotated[Converted[Role | str | Iterable[Role | str], tuple[Role, ...]], Option(
        "What each face plays; a face that is not named stays still",
        "inputs", flag="", metavar="FACE=SOURCE", default_text="required", advanced=True,
    )] = Converted(as_cast)
    engine: Annotated[str, Option(
        "What makes the frames: preview on the CPU in seconds, wan by diffusion in minutes",
        "engine", metavar="preview|wan", advanced=True,
    )] = "preview"
    duration: Annotated[Converted[float | Fraction | str, float | DurationMode], Option(
        "Length of the video: longest or shortest clip of the cast with its delay, sound (as long as that), or seconds",
        "time", "Length", limits=(0.001, MAX_DURATION_S), metavar="longest|shortest|sound|SECONDS",
    )] = Converted(as_duration, "longest")
    rate: Annotated[Converted[Rate, Fraction | ClipRate], Option(
        "Frames a second, such as 25 or 30000/1001, or clip: those of the first clip of the cast",
        "time", metavar="RATE", flag="--fps", advanced=True,
    )] = Converted(as_rate, Fraction(25))
    fill: Annotated[FillMode, Option(
        "What a clip does that is shorter than the video",
        "time", "Short clips",
        choices={"loop": "Loops", "hold": "Holds its end", "pingpong": "Goes back and forth"},
    )] = "loop"
    absolute: Annotated[bool | None, Option(
        "Absolute takes over the driver's pose, relative adds the driver's motion to the pose of the photo",
        "motion", "Motion", choices={None: "Automatic", False: "Relative", True: "Absolute"},
        flag="--absolute/--relative", default_text="relative in preview, absolute in wan",
    )] = None
    smoothing: Annotated[float, Option(
        "Smoothing of the driver's motion, 0 (none) to 1; with wan for the alignment mesh alone",
        "motion", limits=(0, 1), slider=(0, 1, 0.05),
    )] = 0.5
    sound: Annotated[str, Option(
        "auto or mix (of all clips of the cast), none, face:N (the clip of face N) or file:PATH[#start=SECONDS]",
        "result", metavar="SOUND",
    )] = "auto"
    max_side: Annotated[int | None, Option(
        "Longest side of the video in pixels: preview reduces a larger photo to it, wan makes every photo so large",
        "result", limits=(64, MAX_SIDE), default_text="1280 in preview, 720 in wan", advanced=True,
    )] = None
    side_by_side: Annotated[bool, Option(
        "Also make a video of drivers, photo and result side by side", "result",
    )] = True
    detector: Annotated[str, Option(
        "What finds the faces of the photo", "engine", choices=DETECTORS, advanced=True,
    )] = "centerface"
    face_edits: FaceEdits = NO_EDITS
    sampling: Sampling = field(default_factory=Sampling)
    portrait_sha256: Annotated[str | None, Option(
        "sha256 of the photo when the request was run, to notice that it has changed since",
        "inputs", flag="", default_text="none", advanced=True,
    )] = None
    # fmt: on

    def __post_init__(self) -> None:
        self._check_cast()
        if not isinstance(self.engine, str) or not self.engine:
            raise RequestError("engine is {engine!r}: give an engine's name, for example preview", engine=self.engine)
        check_options(self)
        if self.rate == CLIP_RATE and not self.clips:
            raise RequestError("rate is 'clip', but the cast has no clip: give frames a second, for example 25")
        self._check_sound()
        if not isinstance(self.face_edits, FaceEdits):
            raise RequestError("face_edits is {face_edits}: give a FaceEdits", face_edits=format_value(self.face_edits))
        self.face_edits.check_cast(role.face for role in self.cast)
        if not isinstance(self.sampling, Sampling):
            raise RequestError("sampling is {sampling}: give a Sampling", sampling=format_value(self.sampling))
        check_sha256("portrait_sha256", self.portrait_sha256)

    def _check_cast(self) -> None:
        if not self.cast:
            raise RequestError("the cast is empty, so nothing would move: give at least one face a clip or a motion")
        seen: set[int] = set()
        for role in self.cast:
            if role.face in seen:
                raise RequestError("face {face} is cast twice: give each face one role", face=role.face)
            seen.add(role.face)

    def _check_sound(self) -> None:
        kind, colon, value = self.sound.partition(":") if isinstance(self.sound, str) else ("", "", "")
        if self.duration == "sound" and (kind == "none" or (kind != "file" and not self.clips)):
            raise RequestError(
                "duration is 'sound', but the sound is {sound!r} and no clip is heard: give the sound as "
                "file:PATH, or another duration",
                sound=self.sound,
            )
        if colon and kind == "file" and value:
            parse_sound_file(self.sound)
            return
        if not colon and kind in ("auto", "mix", "none"):
            return
        if kind != "face" or not value.isdecimal():
            raise RequestError("sound is {sound!r}: give {sounds}", sound=self.sound, sounds=SOUNDS)
        if not any(role.face == int(value) and isinstance(role.source, ClipSource) for role in self.cast):
            raise RequestError(
                "sound is {sound!r}, but face {value} has no clip in the cast: give {sounds}",
                sound=self.sound,
                value=value,
                sounds=SOUNDS,
            )

    @property
    def clips(self) -> tuple[ClipSource, ...]:
        """The clips of the cast, in its order."""
        return tuple(role.source for role in self.cast if isinstance(role.source, ClipSource))

    def fill_of(self, clip: ClipSource) -> FillMode:
        """What a clip of the cast does where it is shorter than the video: by its own fill, else by the request's."""
        return clip.fill or self.fill

    def smoothing_of(self, role: Role) -> float:
        """The smoothing of a role's motion: its own, else the request's."""
        return self.smoothing if role.smoothing is None else role.smoothing

    @property
    def inputs(self) -> tuple[tuple[Path, str], ...]:
        """The input files, each with its kind: "photo" (unless the portrait is in memory), "clip", "sound"."""
        portrait = [(self.portrait, "photo")] if isinstance(self.portrait, Path) else []
        sound = [] if self.sound_file is None else [(self.sound_file, "sound")]
        return (*portrait, *((clip.path, "clip") for clip in self.clips), *sound)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of `inputs`."""
        return tuple(path for path, _ in self.inputs)

    @property
    def custom_sound(self) -> SoundFile | None:
        """The sound file that `sound` names and its start; None without one."""
        return parse_sound_file(self.sound) if self.sound.startswith(KIND) else None

    @property
    def sound_file(self) -> Path | None:
        """The path of `custom_sound`; None without one."""
        return None if self.custom_sound is None else self.custom_sound.path

    def with_paths(self, change: Callable[[Path], Path]) -> "AnimationRequest":
        """A copy with every path replaced by `change(path)`."""
        cast = tuple(
            replace(role, source=replace(role.source, path=change(role.source.path)))
            if isinstance(role.source, ClipSource)
            else role
            for role in self.cast
        )
        own = self.custom_sound
        sound = self.sound if own is None else str(replace(own, path=change(own.path)))
        folder = self.sampling.model_folder
        sampling = self.sampling if folder is None else replace(self.sampling, model=_as_path(change(folder)))
        portrait = change(self.portrait) if isinstance(self.portrait, Path) else self.portrait
        return replace(self, portrait=portrait, cast=cast, sound=sound, sampling=sampling)

    def to_json(self) -> str:
        """The request as JSON text with unchanged paths; `from_json` returns an equal request.

        Raises `RequestError` where the portrait is a picture in memory.
        """
        if isinstance(self.portrait, Photo):
            raise RequestError(
                "portrait is {in_memory}, which JSON cannot name: save it as a file and give its path",
                in_memory=IN_MEMORY,
            )
        data: dict[str, Any] = {"schema": SCHEMA, **{field.name: getattr(self, field.name) for field in fields(self)}}
        data["portrait"] = self.portrait.as_posix()
        data["rate"] = str(self.rate)
        data["cast"] = [role_to_dict(role) for role in self.cast]
        data["face_edits"] = edits_to_dict(self.face_edits)
        data["sampling"] = asdict(self.sampling)
        return json.dumps(data, indent=2, default=_plain_number) + "\n"

    def json_for(self, folder: Path) -> str:
        """The JSON text for a file in `folder`: paths relative to it, absolute only on another drive."""
        home = folder.resolve()

        def change(path: Path) -> Path:
            full = path.resolve()
            try:
                return Path(os.path.relpath(full, home))
            except ValueError:
                return full

        return self.with_paths(change).to_json()

    def portable_json(self) -> str:
        """The JSON text in a video's metadata: files by their names without folders, `side_by_side` at its default."""
        return replace(self.with_paths(lambda path: Path(path.name)), side_by_side=True).to_json()

    def save(self, path: StrPath) -> None:
        """Write the JSON text to `path`, with paths relative to its folder."""
        path = as_path(path, "path")
        path.write_text(self.json_for(path.parent), encoding="utf-8")


def from_json(text: str) -> AnimationRequest:
    """The request from the text of `to_json`. Raises `RequestError` for other text, schemas, keys or values."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            "the request is not JSON ({error}): give a file that was saved beside a result", error=error
        ) from error
    if isinstance(data, dict) and (schema := data.pop("schema", None)) != SCHEMA:
        raise RequestError(
            "the request has schema {schema!r}, this version reads {known}: create the request again",
            schema=schema,
            known=SCHEMA,
        )
    values = dict(check_keys("the request", data, [field.name for field in fields(AnimationRequest)]))
    if not isinstance(values.get("portrait"), str) or not isinstance(values.get("cast"), list):
        raise RequestError("the request lacks its portrait (a path) or its cast (a list of roles): give both")
    values["cast"] = tuple(role_from_dict(role) for role in values["cast"])
    if "face_edits" in values:
        values["face_edits"] = edits_from_dict(values["face_edits"])
    if "sampling" in values:
        known = [field.name for field in fields(Sampling)]
        values["sampling"] = Sampling(**check_keys("sampling", values["sampling"], known))
    return AnimationRequest(**values)


def _plain_number(value: object) -> float:
    """A number of numpy as a number of Python."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"{value!r} is no number")


def _as_path(folder: Path) -> str:
    """The folder as text with a slash or a leading dot: a bare name would be read as a name of the catalog."""
    text = folder.as_posix()
    return text if "/" in text or text.startswith(".") else f"./{text}"
