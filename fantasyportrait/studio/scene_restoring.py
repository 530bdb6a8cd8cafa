"""A saved request as the scene of a session: its photo, cards, clips and options."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import MediaError
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource, Role
from fantasyportrait.schema.regions import REGION_NAMES
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.studio.engine_values import PREVIEW, WAN
from fantasyportrait.studio.option_values import form_options, shown_value
from fantasyportrait.studio.request_form import LENGTHS
from fantasyportrait.studio.session_store import FILES, Session
from fantasyportrait.studio.state import CLIP, FREE, MOTION, STILL, Card


@dataclass(frozen=True)
class SessionFile:
    """A file of the session: its path in the folder, and the visitor's name of it."""

    path: str
    name: str


def session_files(session: Session, job_names: Iterable[Mapping[str, str]]) -> list[SessionFile]:
    """The photo and clips of the session, and the files of its jobs, which `job_names` name by names of our own."""
    state = session.state
    found = [SessionFile(state.photo.path, state.photo.name)] if state.photo else []
    found += [SessionFile(clip.path, clip.name) for clip in state.clips]
    found += [SessionFile(f"{FILES}/{ours}", name) for names in job_names for ours, name in names.items()]
    return [file for file in dict.fromkeys(found) if session.path(file.path).is_file()]


def match_files(
    session: Session, request: AnimationRequest, files: Iterable[SessionFile], sha256: Callable[[Path], str]
) -> dict[Path, SessionFile]:
    """The files of the session that are those of a request: by their sha256, else by the visitor's names."""
    digests = {clip.path: clip.sha256 for clip in request.clips}
    if isinstance(request.portrait, Path):
        digests[request.portrait] = request.portrait_sha256
    by_name = {file.name: file for file in files}
    by_digest = {}
    for file in files:
        try:
            by_digest[sha256(session.path(file.path))] = file
        except MediaError:
            continue
    found = {path: by_digest.get(digest or "") or by_name.get(path.name) for path, digest in digests.items()}
    return {path: file for path, file in found.items() if file is not None}


def card_of(role: Role, clip: str | None, free: bool) -> Card:
    """The card of a role, whose clip has the id `clip` in the session; `free`: faces may be left to the model."""
    source = role.source
    shared: dict[str, Any] = {
        "strength": role.strength,
        "regions": tuple(name for name in REGION_NAMES if getattr(role.regions, name)),
        "mirror": role.mirror,
        "smoothing": role.smoothing,
    }
    if isinstance(source, BuiltinSource):
        return Card(MOTION, source.name, **shared)
    if isinstance(source, ClipSource):
        span = {name: getattr(source, name) for name in ("person", "start_s", "end_s", "delay_s", "fill")}
        return Card(CLIP, clip=clip, **span, **shared)
    return Card(FREE if isinstance(source, FreeSource) and free else STILL, **shared)


def option_values(request: AnimationRequest, model: str | None) -> dict[str, Any]:
    """The values of the page's options for a request; those that the page does not offer are left out."""
    values = {
        option.name: shown_value(option, getattr(request, option.name)) for option in form_options(AnimationRequest)
    }
    engine = WAN if request.engine == WAN and model is not None else PREVIEW
    if engine == WAN:
        values |= {
            option.name: shown_value(option, getattr(request.sampling, option.name))
            for option in form_options(Sampling)
        }
    duration = values.pop("duration", request.duration)
    if duration in LENGTHS:
        values["length"] = duration
    elif not isinstance(duration, str):
        values |= {"length": "seconds", "seconds": duration}
    if request.custom_sound is not None:
        del values["sound"]
    plain = {
        name: value if isinstance(value, str | int | float | None) else str(value) for name, value in values.items()
    }
    return {**plain, "engine": engine}
