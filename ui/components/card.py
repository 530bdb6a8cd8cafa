"""The card of a face: its driving clip or motion, and how strongly the face follows it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from fantasyportrait.core.errors import Cancelled, FantasyPortraitError, RequestError
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.schema.cast import Role
from fantasyportrait.schema.options import get_option
from fantasyportrait.service.listing import Listing, list_clip
from ui import form, html_snippets, strings
from ui.card_state import CardState, ClipAnalysis, SessionPhoto
from ui.components.option_widget import Widgets, option_widget
from ui.sessions import SessionManager

PICTURE_SIDE = 480
VIDEO_HEIGHT = 200
Key = Callable[[str], tuple[str | int, ...]]


@dataclass(frozen=True)
class CardWidgets:
    """The widgets of one card, by the names of `card_state.CardState`."""

    kind: gr.Radio
    clip: gr.Video
    person: gr.Radio
    webcam: gr.Video
    motion: gr.Dropdown
    strength: Component
    regions: gr.CheckboxGroup
    mirror: Component
    clip_analysis: gr.State
    webcam_analysis: gr.State

    def inputs(self) -> Widgets:
        """The widgets whose values become the request."""
        return {each.name: getattr(self, each.name) for each in fields(form.CardValues)}

    def state_widgets(self) -> Widgets:
        """The widgets whose values the card of the next photo begins with."""
        return {each.name: getattr(self, each.name) for each in fields(CardState)}


def render_card(face: int, portrait: SessionPhoto, sessions: SessionManager) -> CardWidgets:
    """Place and wire the card of face `face`, with the choices made on it before.

    The style sheet shows and hides the panels, without a request to the server. Keys let a running check find its
    card after the cards are rendered again.
    """
    kept = portrait.card(face)

    def key(name: str) -> tuple[str | int, ...]:
        return (name, face, portrait.edition)

    with gr.Column(elem_classes=["face-card", f"face-{face}"], elem_id=f"face-{face}", min_width=280, key=key("card")):
        gr.HTML(html_snippets.card_head(face, portrait.thumbnails[face - 1]), key=key("head"))
        kinds = form.KINDS if sessions.model is None else form.WAN_KINDS
        kind = gr.Radio(kinds, value=kept.kind, show_label=False, container=False, interactive=True, key=key("kind"))
        clip, person, clip_analysis = _clip_panel(kept, key, sessions)
        webcam, webcam_analysis = _webcam_panel(kept, key, sessions)
        with gr.Column(elem_classes="panel-motion", key=key("motion panel")):
            choices = [(f"{name}: {about}", name) for name, about in BUILTIN_MOTIONS.items()]
            motion = gr.Dropdown(
                choices, value=kept.motion or choices[0][1], label="Motion", interactive=True, key=key("motion")
            )
        if sessions.model is not None:
            gr.HTML(html_snippets.message_html(strings.FREE), elem_classes="panel-free", key=key("free"))
        with gr.Accordion("Adjust", open=False, elem_classes="panel-adjust", key=key("adjust")):
            strength = option_widget(get_option(Role, "strength"), kept.strength, key("strength"))
            regions = gr.CheckboxGroup(
                form.REGIONS, value=list(kept.regions), label="What follows", interactive=True, key=key("regions")
            )
            mirror = option_widget(get_option(Role, "mirror"), kept.mirror, key("mirror"))
    return CardWidgets(kind, clip, person, webcam, motion, strength, regions, mirror, clip_analysis, webcam_analysis)


def _clip_panel(kept: CardState, key: Key, sessions: SessionManager) -> tuple[gr.Video, gr.Radio, gr.State]:
    with gr.Column(elem_classes="panel-clip", key=key("clip panel")):
        clip = gr.Video(
            kept.clip, label="Driving clip", sources=["upload"], include_audio=True, height=VIDEO_HEIGHT,
            interactive=True, key=key("clip"),
        )  # fmt: skip
        status = gr.HTML(kept.clip_analysis.html, key=key("clip status"))
        analysis = gr.State(kept.clip_analysis)
        people = kept.clip_analysis.people
        person = gr.Radio(
            _people(people), value=kept.person, label="Who drives", visible=len(people) > 1, interactive=True,
            key=key("person"),
        )  # fmt: skip
    _bind_check(clip, clip.upload, (status, analysis, person), sessions)
    return clip, person, analysis


def _webcam_panel(kept: CardState, key: Key, sessions: SessionManager) -> tuple[gr.Video, gr.State]:
    with gr.Column(elem_classes="panel-webcam", key=key("webcam panel")):
        # Not mirrored: gradio would need the ffmpeg program for that, and the card has a switch of its own.
        webcam = gr.Video(
            kept.webcam, label="Webcam", sources=["webcam"], include_audio=True, height=VIDEO_HEIGHT,
            webcam_options=gr.WebcamOptions(mirror=False), interactive=True, key=key("webcam"),
        )  # fmt: skip
        status = gr.HTML(kept.webcam_analysis.html, key=key("webcam status"))
        analysis = gr.State(kept.webcam_analysis)
    _bind_check(webcam, webcam.stop_recording, (status, analysis, None), sessions)
    return webcam, analysis


def _people(numbers: tuple[int, ...]) -> list[tuple[str, int]]:
    """The choices of the person who drives."""
    return [("Largest face", 0), *((f"Person {number}", number) for number in numbers)]


def _bind_check(
    video: gr.Video,
    arrives: Any,
    shows: tuple[gr.HTML, gr.State, gr.Radio | None],
    sessions: SessionManager,
) -> None:
    """Analyse a clip as soon as it is uploaded; show its people, or why it cannot be used."""

    status, analysis, person = shows

    def updates(found: ClipAnalysis) -> dict[Any, Any]:
        people = gr.update(choices=_people(found.people), value=0, visible=len(found.people) > 1)
        return {status: found.html, analysis: found, **({} if person is None else {person: people})}

    def check(request: gr.Request, path: str | None) -> Iterator[dict[Any, Any]]:
        for found in _analyse_clip(sessions, request.session_hash or "", path):
            yield updates(found)

    def forget() -> dict[Any, Any]:
        return updates(ClipAnalysis())

    outputs = [status, analysis, *([] if person is None else [person])]
    arrives(
        check, video, outputs, api_visibility="private", concurrency_id="analysis", show_progress="minimal",
        show_progress_on=status,
    )  # fmt: skip
    video.clear(forget, None, outputs, api_visibility="private", queue=False)


def _analyse_clip(sessions: SessionManager, session: str, given: str | None) -> Iterator[ClipAnalysis]:
    """The analyses to show while a clip is tracked and after it."""
    if not given:
        return
    try:
        path = sessions.uploads.authorize(session, given)
    except RequestError as error:
        yield ClipAnalysis(html_snippets.error_html(str(error)))
        return
    job = sessions.open_job(session)
    yield ClipAnalysis(html_snippets.message_html(f"Looking for faces in {path.name}"))
    try:
        sessions.animator.inputs.tracks(path, cancel=sessions.token(session, job))
        yield _found(path, list_clip(sessions.animator.inputs, path))
    except Cancelled:
        yield ClipAnalysis(
            html_snippets.message_html(f"{path.name} was not checked yet; that happens when you press Animate")
        )
    except FantasyPortraitError as error:
        yield ClipAnalysis(html_snippets.error_html(strings.hide_paths(error, [path])))
    finally:
        sessions.close_job(session, job)


def _found(path: Path, listing: Listing) -> ClipAnalysis:
    count = len(listing.rows)
    who = "one person" if count == 1 else f"{count} people: choose who drives this face"
    html = html_snippets.message_html(f"{path.name} shows {who}")
    if count > 1:
        html += html_snippets.picture(
            html_snippets.data_url(listing.picture, PICTURE_SIDE), "the people of the clip, numbered"
        )
    return ClipAnalysis(html + html_snippets.message_list(listing.messages), tuple(row["id"] for row in listing.rows))
