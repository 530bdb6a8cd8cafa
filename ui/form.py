"""What the visitor chose becomes a request. Values come from anywhere, so each is checked again here."""

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
"""No visitor can keep the machine busy for a day by typing a number, or by the length of a clip."""


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
    # The preview does not look at the settings of Wan, which are hidden then.
    if model is not None and engine == WAN:
        given["sampling"] = build_sampling(values, model)
    cast = tuple(build_role(face, card, free=model is not None) for face, card in cards.items())
    return AnimationRequest(portrait, cast, engine=engine, **given)


def authorize_files(face: int, card: CardValues, authorize: Callable[[object], Path]) -> CardValues:
    """The card with the files that count as `authorize` gives them; raises `RequestError` where it refuses one."""
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
    """How many seconds a video of that engine may last."""
    return MAX_WAN_DURATION_S if engine == WAN else MAX_DURATION_S


def portable(request: AnimationRequest) -> str:
    """The request as JSON that names its files, and a model's folder, without their places on the server.

    It runs again from a folder in which the photo and the clips lie beside it.
    """
    return request.with_paths(lambda path: Path(path.name)).to_json()


def private_paths(request: AnimationRequest) -> list[Path]:
    """Where the server keeps the files of a request: nothing to tell a visitor."""
    model = request.sampling.model_folder
    return [*request.files, *([model] if model else [])]


def _check_moving(cards: Mapping[int, CardValues], engine: str) -> None:
    if all(card.kind == STILL for card in cards.values()):
        raise RequestError(
            "every face is still, so nothing would move: give at least one face a clip or a built-in motion"
        )
    if engine == PREVIEW and all(card.kind in (STILL, FREE) for card in cards.values()):
        raise RequestError(
            "the preview keeps a face still that is left to the model, so nothing would move: choose Wan, or give at "
            "least one face a clip or a built-in motion"
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
    """0 stands for the largest face; what is no number is for the role to refuse."""
    given: Any = value
    return None if value in (0, None) else given


def _duration(length: object, seconds: object, engine: str) -> Any:
    if length != "seconds":
        # A number in the place of a word would go past the longest length.
        check_choice("duration", length, LENGTHS)
        return length
    longest, whose = longest_s(engine), " with Wan" if engine == WAN else ""
    if not isinstance(seconds, int | float) or not 0 < seconds <= longest:
        raise RequestError(f"the length is {seconds!r}: give a number of seconds up to {longest:g}{whose}")
    return float(seconds)
