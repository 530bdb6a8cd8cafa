"""A card for each face: who drives it, and how much."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from fantasyportrait.core.errors import Cancelled, FantasyPortraitError
from fantasyportrait.service.library import MOTIONS
from fantasyportrait.service.listing import Listing, list_clip
from ui import form, pictures, words
from ui.components.photo import Portrait
from ui.workshop import Workshop

LARGEST = ("Largest face", 0)
PICTURE_SIDE = 480


@dataclass(frozen=True)
class CardWidgets:
    """The widgets of one card whose values `form.CardValues` holds, in its order."""

    kind: gr.Radio
    clip: gr.Video
    person: gr.Radio
    webcam: gr.Video
    motion: gr.Dropdown
    strength: gr.Slider
    regions: gr.CheckboxGroup
    mirror: gr.Checkbox

    def inputs(self) -> list[Any]:
        """The widgets as the inputs of a listener."""
        return [getattr(self, name) for name in self.__dataclass_fields__]


def render_card(face: int, portrait: Portrait, workshop: Workshop) -> CardWidgets:
    """Place and wire the card of face `face`.

    Keys keep what was chosen when the cards are drawn anew for another photo. The panels are shown and hidden by the
    style sheet, at once and without a word to the server.
    """
    motion = portrait.preset[face - 1] if face <= len(portrait.preset) else None

    def key(name: str) -> tuple[str | int, ...]:
        return (name, face, portrait.edition)

    with gr.Column(elem_classes=["face-card", f"face-{face}"], elem_id=f"face-{face}", min_width=280, key=key("card")):
        gr.HTML(pictures.card_head(face, portrait.thumbnails[face - 1]))
        kind = gr.Radio(
            form.KINDS,
            value=form.MOTION if motion else form.STILL,
            show_label=False,
            container=False,
            interactive=True,
            key=key("kind"),
        )
        with gr.Column(elem_classes="panel-clip", key=key("clip panel")):
            clip = gr.Video(
                label="Driving clip",
                sources=["upload"],
                include_audio=True,
                height=200,
                interactive=True,
                key=key("clip"),
            )
            clip_status = gr.HTML(key=key("clip status"))
            person = gr.Radio(
                [LARGEST], value=0, label="Who drives", visible=False, interactive=True, key=key("person"),
                preserved_by_key=["value", "choices", "visible"],
            )  # fmt: skip
        with gr.Column(elem_classes="panel-webcam", key=key("webcam panel")):
            webcam = gr.Video(
                label="Webcam", sources=["webcam"], include_audio=True, height=200, interactive=True, key=key("webcam"),
                webcam_options=gr.WebcamOptions(mirror=False),
            )  # fmt: skip
            webcam_status = gr.HTML(key=key("webcam status"))
        with gr.Column(elem_classes="panel-motion", key=key("motion panel")):
            choices = [(f"{name}: {about}", name) for name, about in MOTIONS.items()]
            motion_list = gr.Dropdown(
                choices, value=motion or choices[0][1], label="Motion", interactive=True, key=key("motion")
            )
        with gr.Accordion("Adjust", open=False, elem_classes="panel-adjust", key=key("adjust")):
            strength = gr.Slider(0, 2, 1, step=0.05, label="Strength", interactive=True, key=key("strength"))
            regions = gr.CheckboxGroup(
                form.REGIONS, value=list(form.REGION_NAMES), label="What follows", interactive=True, key=key("regions")
            )
            mirror = gr.Checkbox(
                False, label="Mirror: swap the driver's left and right", interactive=True, key=key("mirror")
            )
    _bind_check(clip, clip.upload, clip_status, person, workshop)
    _bind_check(webcam, webcam.stop_recording, webcam_status, None, workshop)
    return CardWidgets(kind, clip, person, webcam, motion_list, strength, regions, mirror)


def _bind_check(video: gr.Video, arrives: Any, status: gr.HTML, person: gr.Radio | None, workshop: Workshop) -> None:
    """Look at a clip as soon as it is there; say who is in it, or why it cannot drive."""
    outputs = [status] if person is None else [status, person]

    def check(request: gr.Request, path: str | None) -> Iterator[Any]:
        for html, count in _look(workshop, request.session_hash or "", path):
            choices = [LARGEST, *((f"Person {number}", number) for number in range(1, count + 1))]
            update = gr.update(choices=choices, value=0, visible=count > 1)
            yield html if person is None else (html, update)

    def forget() -> Any:
        hidden = gr.update(choices=[LARGEST], value=0, visible=False)
        return "" if person is None else ("", hidden)

    arrives(
        check, video, outputs, api_visibility="private", concurrency_id="look", show_progress="minimal",
        show_progress_on=status,
    )  # fmt: skip
    video.clear(forget, None, outputs, api_visibility="private", queue=False)


def _look(workshop: Workshop, session: str, given: str | None) -> Iterator[tuple[str, int]]:
    """(what to say, how many people) while and after a clip is tracked."""
    if not given:
        return
    path = Path(given)
    job = workshop.open_job(session)
    yield pictures.remark(f"Looking for faces in {path.name}"), 0
    try:
        workshop.animator.tracks(path, cancel=workshop.token(session, job))
        yield _found(path, list_clip(workshop.animator, path))
    except Cancelled:
        yield pictures.remark(f"{path.name} was not looked at; that is done when you press Animate"), 0
    except FantasyPortraitError as error:
        yield pictures.refusal(words.in_words(error, [path])), 0
    finally:
        workshop.close_job(session, job)


def _found(path: Path, listing: Listing) -> tuple[str, int]:
    count = len(listing.rows)
    who = "one person" if count == 1 else f"{count} people: choose who drives this face"
    html = pictures.remark(f"{path.name} shows {who}")
    if count > 1:
        html += pictures.picture(pictures.data_url(listing.picture, PICTURE_SIDE), "the people of the clip, numbered")
    return html + pictures.note_list(listing.notes), count


def card_values(values: tuple[object, ...], faces: int) -> dict[int, form.CardValues]:
    """The values of all cards, as they come from `inputs`, by face."""
    width = len(form.CardValues.__dataclass_fields__)
    return {face: form.CardValues(*values[(face - 1) * width : face * width]) for face in range(1, faces + 1)}
