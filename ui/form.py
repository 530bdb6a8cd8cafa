"""The request from the values of the widgets. Anyone can send values, so each is checked again here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, DrivingSource, FreeSource, Role
from fantasyportrait.schema.checks import check_choice
from fantasyportrait.schema.options import options_of
from fantasyportrait.schema.regions import REGION_NAMES, Regions
from fantasyportrait.schema.request import AnimationRequest
from ui.engine_values import PREVIEW, WAN, build_sampling, select_engine
from ui.option_values import Values, read_values

CLIP, WEBCAM, MOTION, STILL, FREE = "clip", "webcam", "motion", "still", "free"
KINDS = (("Clip", CLIP), ("Webcam", WEBCAM), ("Built-in motion", MOTION), ("Still", STILL))
WAN_KINDS = (*KINDS, ("Left to the model", FREE))
REGIONS = tuple((option.label, option.name) for option in options_of(Regions))
LENGTHS = ("longest", "shortest")
MAX_DURATION_S = 600
MAX_WAN_DURATION_S = 60
"""The longest videos: a typed number or a long clip must not keep the machine busy for a day."""


@dataclass(frozen=True)
class CardValues:
    """The values of one face's card, unchecked, by the names of its widgets; a new card is still."""

    kind: Any = STILL
    clip: Any = None
    person: Any = 0
    webcam: Any = None
    motion: Any = None
    strength: Any = 1.0
    regions: Any = REGION_NAMES
    mirror: Any = False


def build_request(
    portrait: Path, cards: Mapping[int, CardValues], values: Values, model: str | None = None
) -> AnimationRequest:
    """The request; raises `RequestError` for a value out of its range, and where no face would move.

    `values` are those of the options and, where there is a choice, of the engine. `model` is the server's model of the
    diffusion engine, None where it has none; no value can name another.
    """
    engine = select_engine(values.get("engine", PREVIEW), model)
    _check_moving(cards, engine)
    if str(values["sound"]).startswith("file:"):
        raise RequestError("the sound cannot be a file of the server: choose one of the sounds offered")
    given = read_values(AnimationRequest, values)
    given["duration"] = _duration(values["length"], values["seconds"], engine)
    # The preview ignores the settings of Wan, which are hidden then.
    if model is not None and engine == WAN:
        given["sampling"] = build_sampling(values, model)
    cast = tuple(build_role(face, card, free=model is not None) for face, card in cards.items())
    return AnimationRequest(portrait, cast, engine=engine, **given)


def authorize_files(face: int, card: CardValues, authorize: Callable[[object], Path]) -> CardValues:
    """The card with the path that `authorize` returns for the file it uses; raises `RequestError` for a refused one."""
    name = {CLIP: "clip", WEBCAM: "webcam"}.get(card.kind) if isinstance(card.kind, str) else None
    given = name and getattr(card, name)
    if name is None or not given:
        return card
    try:
        return replace(card, **{name: str(authorize(given))})
    except RequestError as error:
        raise RequestError(f"the clip of face {face} cannot be used: {error}") from error


def build_role(face: int, card: CardValues, free: bool = False) -> Role:
    """The role of one face, which may be left to the model if `free`; raises `RequestError`."""
    if not isinstance(card.regions, Sequence) or not set(card.regions) <= set(REGION_NAMES):
        raise RequestError(f"face {face} follows {card.regions!r}: choose from {', '.join(REGION_NAMES)}")
    given: dict[str, Any] = {"strength": card.strength, "mirror": card.mirror}
    regions = Regions(**{name: name in card.regions for name in REGION_NAMES})
    return Role(face, _source(face, card, free), regions=regions, **given)


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


def _check_moving(cards: Mapping[int, CardValues], engine: str) -> None:
    if all(card.kind == STILL for card in cards.values()):
        raise RequestError(
            "every face is still, so nothing would move: give at least one face a clip or a built-in motion"
        )
    if engine == PREVIEW and all(card.kind in (STILL, FREE) for card in cards.values()):
        raise RequestError(
            "a face left to the model stays still in the preview, so nothing would move: choose Wan, or give at least "
            "one face a clip or a built-in motion"
        )


def _source(face: int, card: CardValues, free: bool) -> DrivingSource:
    if card.kind == STILL:
        return None
    if card.kind == MOTION:
        return BuiltinSource(str(card.motion))
    if card.kind == CLIP:
        return ClipSource(_file(face, card.clip, "upload a clip"), _person(card.person))
    if card.kind == WEBCAM:
        return ClipSource(_file(face, card.webcam, "record one"))
    if card.kind == FREE and free:
        return FreeSource()
    offered = ", ".join(kind for _, kind in (WAN_KINDS if free else KINDS))
    raise RequestError(f"face {face} plays {card.kind!r}: choose one of {offered}")


def _file(face: int, path: object, how: str) -> Path:
    if not isinstance(path, str) or not path:
        raise RequestError(f"face {face} has no clip yet: {how}, or set the face to Still")
    return Path(path)


def _person(value: object) -> int | None:
    """0 means the largest face; the role refuses what is not a number."""
    given: Any = value
    return None if value in (0, None) else given


def _duration(length: object, seconds: object, engine: str) -> Any:
    if length != "seconds":
        # A number here would bypass the length limit.
        check_choice("duration", length, LENGTHS)
        return length
    longest, whose = longest_s(engine), " with Wan" if engine == WAN else ""
    if not isinstance(seconds, int | float) or not 0 < seconds <= longest:
        raise RequestError(f"the length is {seconds!r}: give a number of seconds up to {longest:g}{whose}")
    return float(seconds)
