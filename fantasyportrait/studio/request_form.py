"""The request from the cards and options of a session. Anyone can send values, so each is checked again here."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, DrivingSource, FreeSource, Role
from fantasyportrait.schema.checks import check_choice
from fantasyportrait.schema.regions import REGION_NAMES, Regions
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.timeline import FillMode
from fantasyportrait.studio.engine_values import PREVIEW, WAN, build_sampling, select_engine
from fantasyportrait.studio.option_values import Values, read_values
from fantasyportrait.studio.state import CLIP, FREE, MOTION, STILL, Card

LENGTHS = ("longest", "shortest")
MAX_DURATION_S = 600
MAX_WAN_DURATION_S = 60
"""The longest videos: a typed number or a long clip must not keep the machine busy for a day."""
DEFAULT_OPTIONS: Mapping[str, Any] = {"length": "longest", "seconds": 4, "engine": PREVIEW}
"""The values of options that are not fields of the request."""


def build_request(
    portrait: Path,
    cards: Mapping[int, Card],
    values: Values,
    clip_path: Callable[[str], Path],
    model: str | None = None,
) -> AnimationRequest:
    """The request; raises `RequestError` for a value out of its range, and where no face would move.

    `values` are those of the options; one that is missing gets its default. `clip_path` returns the file of a clip by
    its id, or raises `RequestError`. `model` is the server's model of the diffusion engine, None where it has none; no
    value can name another.
    """
    values = {**DEFAULT_OPTIONS, **values}
    engine = select_engine(values["engine"], model)
    _check_moving(cards, engine)
    if str(values.get("sound", "")).startswith("file:"):
        raise RequestError("the sound cannot be a file of the server: choose one of the sounds offered")
    given = read_values(AnimationRequest, values)
    given["duration"] = _duration(values["length"], values["seconds"], engine)
    # The preview ignores the settings of Wan, which are hidden then.
    if model is not None and engine == WAN:
        given["sampling"] = build_sampling(values, model)
    cast = tuple(build_role(face, card, clip_path, free=model is not None) for face, card in cards.items())
    return AnimationRequest(portrait, cast, engine=engine, **given)


def build_role(face: int, card: Card, clip_path: Callable[[str], Path], free: bool = False) -> Role:
    """The role of one face, which may be left to the model if `free`; raises `RequestError`."""
    regions = Regions(**{name: name in card.regions for name in REGION_NAMES})
    return Role(
        face,
        _source(face, card, clip_path, free),
        strength=card.strength,
        regions=regions,
        mirror=card.mirror,
        smoothing=card.smoothing,
    )


def checked_card(card: Card, changes: Mapping[str, Any]) -> Card:
    """The card with other values; raises `RequestError` for a name or a kind of value that no card has.

    Numbers are checked against their limits by `build_role`, as a number may be out of range while it is typed.
    """
    for name, value in changes.items():
        if name not in _KINDS:
            raise RequestError("{name!r} is no choice of a card", name=name)
        if not isinstance(value, _KINDS[name]) or isinstance(value, bool) != (name == "mirror"):
            raise RequestError("{name} is {value!r}: choose one of the offered values", name=name, value=value)
    given = dict(changes)
    if given.get("fill") is not None:
        check_choice("fill", given["fill"], get_args(FillMode))
    if "regions" in given:
        regions = given["regions"]
        if not all(isinstance(name, str) for name in regions) or not set(regions) <= set(REGION_NAMES):
            raise RequestError(
                "the regions are {regions!r}: choose from {names}", regions=regions, names=", ".join(REGION_NAMES)
            )
        given["regions"] = tuple(name for name in REGION_NAMES if name in regions)
    return replace(card, **given)


_NUMBER = (int, float)
_KINDS: Mapping[str, tuple[type, ...]] = {
    "kind": (str,),
    "motion": (str,),
    "clip": (str, type(None)),
    "person": (int, type(None)),
    "start_s": _NUMBER,
    "end_s": (*_NUMBER, type(None)),
    "delay_s": _NUMBER,
    "fill": (str, type(None)),
    "strength": _NUMBER,
    "regions": (list, tuple),
    "mirror": (bool,),
    "smoothing": (*_NUMBER, type(None)),
}


def longest_s(engine: str) -> float:
    """The length limit of a video of that engine, in seconds."""
    return MAX_WAN_DURATION_S if engine == WAN else MAX_DURATION_S


def portable(request: AnimationRequest) -> str:
    """The request as JSON, with names in place of the server's paths of its files and of a model's folder.

    It runs again in a folder that also holds the photo and the clips.
    """
    return request.with_paths(lambda path: Path(path.name)).to_json()


def private_paths(request: AnimationRequest) -> list[Path]:
    """The server's paths of the files of a request, which are hidden from visitors."""
    model = request.sampling.model_folder
    return [*request.files, *([model] if model else [])]


def _check_moving(cards: Mapping[int, Card], engine: str) -> None:
    if all(card.kind == STILL for card in cards.values()):
        raise RequestError(
            "every face is still, so nothing would move: give at least one face a clip or a built-in motion"
        )
    if engine == PREVIEW and all(card.kind in (STILL, FREE) for card in cards.values()):
        raise RequestError(
            "a face left to the model stays still in the preview, so nothing would move: choose Wan, or give at least "
            "one face a clip or a built-in motion"
        )


def _source(face: int, card: Card, clip_path: Callable[[str], Path], free: bool) -> DrivingSource:
    if card.kind == STILL:
        return None
    if card.kind == MOTION:
        return BuiltinSource(card.motion)
    if card.kind == CLIP:
        if not card.clip:
            raise RequestError("face {face} has no clip yet: upload one, or set the face to Still", face=face)
        clip = clip_path(card.clip)
        return ClipSource(clip, card.person, card.start_s, card.end_s, delay_s=card.delay_s, fill=card.fill)
    if card.kind == FREE and free:
        return FreeSource()
    offered = (MOTION, CLIP, STILL, *((FREE,) if free else ()))
    raise RequestError(
        "face {face} plays {kind!r}: choose one of {names}", face=face, kind=card.kind, names=", ".join(offered)
    )


def _duration(length: object, seconds: object, engine: str) -> Any:
    if length != "seconds":
        # A number here would bypass the length limit.
        check_choice("duration", length, LENGTHS)
        return length
    longest, whose = longest_s(engine), " with Wan" if engine == WAN else ""
    if not isinstance(seconds, int | float) or not 0 < seconds <= longest:
        raise RequestError(
            "the length is {seconds!r}: give a number of seconds up to {longest:g}{whose}",
            seconds=seconds,
            longest=longest,
            whose=whose,
        )
    return float(seconds)
