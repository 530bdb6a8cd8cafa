"""One frozen request: portrait, cast and options. Checked when made, saved as JSON beside every result, run again."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from fantasyportrait.core.errors import RequestError
from fantasyportrait.media.timeline import Fill, parse_rate
from fantasyportrait.service.cast import LONGEST_S, ClipSource, Role, role_from_data, role_to_data
from fantasyportrait.service.checks import (
    check_choice,
    check_digest,
    check_flag,
    check_keys,
    check_number,
    check_path,
    check_whole,
)
from fantasyportrait.service.sampling import Sampling
from fantasyportrait.service.sound_file import KIND, SoundFile, parse_sound_file

SCHEMA = 1
DETECTORS = ("centerface", "published", "insightface")
FILLS: tuple[Fill, ...] = ("loop", "hold", "pingpong")
SOUNDS = "auto, mix, none, face:N (the clip of face N) or file:PATH[#start=SECONDS]"
LENGTHS = ("longest", "shortest", "sound")
OWN_RATE = "clip"


@dataclass(frozen=True)
class AnimationRequest:
    """Everything that decides a result.

    Attributes:
        portrait: the reference photo.
        cast: one role a face; a face without a role stays still.
        engine: what turns the request into frames.
        duration: of the result in seconds, or the longest or shortest clip of the cast with its delay, or the sound.
        rate: frames a second, exact, or "clip": those of the first clip of the cast.
        fill: what a clip does that is shorter than the result.
        absolute: take over the driver's pose itself (True), or its difference from the driver's neutral face (False);
            None for the engine's own way: relative in preview, absolute in wan, which was trained so.
        smoothing: of the driver's landmarks, 0 (none) to 1.
        sound: auto or mix (of all clips of the cast that have sound), none, face:N or file:PATH[#start=SECONDS].
        max_side: of the video, in pixels: preview reduces a larger photo to it, wan makes every photo so large; None
            for what the engine does best.
        side_by_side: also make a video of driving clips, source and result.
        detector: what finds the faces of the photo.
        sampling: how the diffusion engine samples.
        portrait_sha256: of the photo when the request was run, to notice that it has changed since.
    """

    portrait: Path
    cast: tuple[Role, ...]
    engine: str = "preview"
    duration: float | Literal["longest", "shortest", "sound"] = "longest"
    rate: Fraction | Literal["clip"] = Fraction(25)
    fill: Fill = "loop"
    absolute: bool | None = None
    smoothing: float = 0.5
    sound: str = "auto"
    max_side: int | None = None
    side_by_side: bool = True
    detector: str = "centerface"
    sampling: Sampling = field(default_factory=Sampling)
    portrait_sha256: str | None = None

    def __post_init__(self) -> None:
        check_path("portrait", self.portrait)
        self._check_cast()
        if not isinstance(self.engine, str) or not self.engine:
            raise RequestError(f"engine is {self.engine!r}: give an engine's name, for example preview")
        self._check_time()
        check_choice("fill", self.fill, FILLS)
        if self.absolute is not None:
            check_flag("absolute", self.absolute)
        check_number("smoothing", self.smoothing, 0, 1)
        self._check_sound()
        if self.max_side is not None:
            check_whole("max_side", self.max_side, 64, 8192)
        check_flag("side_by_side", self.side_by_side)
        check_choice("detector", self.detector, DETECTORS)
        if not isinstance(self.sampling, Sampling):
            raise RequestError(f"sampling is {self.sampling!r}: give a Sampling")
        check_digest("portrait_sha256", self.portrait_sha256)

    def _check_cast(self) -> None:
        if not isinstance(self.cast, tuple) or not all(isinstance(role, Role) for role in self.cast):
            raise RequestError(f"cast is {self.cast!r}: give a tuple of roles")
        if not self.cast:
            raise RequestError("the cast is empty, so nothing would move: give at least one face a clip or a motion")
        seen: set[int] = set()
        for role in self.cast:
            if role.face in seen:
                raise RequestError(f"face {role.face} is cast twice: give each face one role")
            seen.add(role.face)

    def _check_time(self) -> None:
        if not isinstance(self.duration, str):
            check_number("duration", self.duration, 0.001, LONGEST_S)
        elif self.duration not in LENGTHS:
            raise RequestError(f"duration is {self.duration!r}: give {', '.join(LENGTHS)} or a number of seconds")
        if self.rate == OWN_RATE:
            if not self.clips:
                raise RequestError("rate is 'clip', but the cast has no clip: give frames a second, for example 25")
        elif not isinstance(self.rate, Fraction) or read_rate(self.rate) != self.rate:
            raise RequestError(f"rate is {self.rate!r}: give a Fraction, for example Fraction(30000, 1001), or 'clip'")

    def _check_sound(self) -> None:
        kind, colon, value = self.sound.partition(":") if isinstance(self.sound, str) else ("", "", "")
        if self.duration == "sound" and (kind == "none" or (kind != "file" and not self.clips)):
            raise RequestError(
                f"duration is 'sound', but the sound is {self.sound!r} and no clip is heard: give the sound as "
                "file:PATH, or another duration"
            )
        if colon and kind == "file" and value:
            parse_sound_file(self.sound)
            return
        if not colon and kind in ("auto", "mix", "none"):
            return
        if kind != "face" or not value.isdecimal():
            raise RequestError(f"sound is {self.sound!r}: give {SOUNDS}")
        if not any(role.face == int(value) and isinstance(role.source, ClipSource) for role in self.cast):
            raise RequestError(f"sound is {self.sound!r}, but face {value} has no clip in the cast: give {SOUNDS}")

    @property
    def clips(self) -> tuple[ClipSource, ...]:
        """The clips of the cast, in its order."""
        return tuple(role.source for role in self.cast if isinstance(role.source, ClipSource))

    @property
    def own_sound(self) -> SoundFile | None:
        """The file of `sound` and where it begins, where it names one."""
        return parse_sound_file(self.sound) if self.sound.startswith(KIND) else None

    @property
    def sound_file(self) -> Path | None:
        """The file of `sound`, where it names one."""
        return None if self.own_sound is None else self.own_sound.path

    def with_paths(self, change: Callable[[Path], Path]) -> "AnimationRequest":
        """The same request with every path sent through `change`."""
        cast = tuple(
            replace(role, source=replace(role.source, path=change(role.source.path)))
            if isinstance(role.source, ClipSource)
            else role
            for role in self.cast
        )
        own = self.own_sound
        sound = self.sound if own is None else str(replace(own, path=change(own.path)))
        folder = self.sampling.model_folder
        sampling = self.sampling if folder is None else replace(self.sampling, model=_as_path(change(folder)))
        return replace(self, portrait=change(self.portrait), cast=cast, sound=sound, sampling=sampling)

    def to_json(self) -> str:
        """The request as JSON text, paths as they are; `from_json` gives an equal request back."""
        data: dict[str, Any] = {"schema": SCHEMA, **{field.name: getattr(self, field.name) for field in fields(self)}}
        data["portrait"] = self.portrait.as_posix()
        data["rate"] = str(self.rate)
        data["cast"] = [role_to_data(role) for role in self.cast]
        data["sampling"] = asdict(self.sampling)
        return json.dumps(data, indent=2) + "\n"

    def json_for(self, folder: Path) -> str:
        """The JSON text for a file in `folder`: paths beneath it relative, so that both can move; others absolute."""
        home = folder.resolve()

        def change(path: Path) -> Path:
            full = path.resolve()
            return full.relative_to(home) if full.is_relative_to(home) else full

        return self.with_paths(change).to_json()

    def save(self, path: Path) -> None:
        """Write `json_for` the file's folder."""
        path.write_text(self.json_for(path.parent), encoding="utf-8")


def from_json(text: str) -> AnimationRequest:
    """Read what `to_json` wrote. Raises `RequestError` for other text, another schema, unknown keys, wrong values."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise RequestError(f"the request is not JSON ({error}): give a file that was saved beside a result") from error
    names = [field.name for field in fields(AnimationRequest)]
    values = dict(check_keys("the request", data, ["schema", *names]))
    schema = values.pop("schema", None)
    if schema != SCHEMA:
        raise RequestError(f"the request has the schema {schema!r}, this version reads {SCHEMA}: make the request anew")
    if not isinstance(values.get("portrait"), str) or not isinstance(values.get("cast"), list):
        raise RequestError("the request lacks its portrait (a path) or its cast (a list of roles): give both")
    values["portrait"] = Path(values["portrait"])
    values["cast"] = tuple(role_from_data(role) for role in values["cast"])
    if "rate" in values:
        values["rate"] = rate_or_clip(values["rate"])
    if "sampling" in values:
        known = [field.name for field in fields(Sampling)]
        values["sampling"] = Sampling(**check_keys("sampling", values["sampling"], known))
    return AnimationRequest(**values)


def load_request(path: Path) -> AnimationRequest:
    """Read a saved request; its relative paths are taken from its own folder. Raises `RequestError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"the request {path} cannot be read ({error}): give a file saved beside a result") from error
    return from_json(text).with_paths(lambda given: path.parent / given)


def read_rate(value: object) -> Fraction:
    """Frames a second from text such as 25, 29.97 or 30000/1001; raises `RequestError`."""
    try:
        return parse_rate(str(value))
    except RequestError as error:
        raise RequestError(f"rate: {error}") from error


def rate_or_clip(value: object) -> Fraction | Literal["clip"]:
    """`read_rate`, or "clip" as it is."""
    return "clip" if value == OWN_RATE else read_rate(value)


def _as_path(folder: Path) -> str:
    """The folder so that it is read as one: a bare name would be taken for a name of the catalog."""
    text = folder.as_posix()
    return text if "/" in text or text.startswith(".") else f"./{text}"
