"""The photo: upload it, see its faces numbered."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.service.annotate import annotate
from fantasyportrait.service.library import example_photo
from ui import pictures, words
from ui.workshop import Workshop

EXAMPLE_MOTIONS = ("talk", "laugh")


@dataclass(frozen=True)
class Portrait:
    """The photo of a session, as its state keeps it.

    Attributes:
        path: where the server keeps the upload; empty when it was taken away, while its cards wait for another one.
        thumbnails: a URL with a picture for each face, left to right.
        preset: the built-in motion that each face begins with; none for an upload of the visitor's.
        edition: counts the presets, so that a new preset replaces what was chosen before.
    """

    path: str
    thumbnails: tuple[str, ...]
    preset: tuple[str, ...] = ()
    edition: int = 0


@dataclass(frozen=True)
class PhotoWidgets:
    """The widgets of the photo; `portrait` is the session's `Portrait`, None while there is none."""

    image: gr.Image
    example: gr.Button
    message: gr.HTML
    portrait: gr.State


def render_photo() -> PhotoWidgets:
    """Place the widgets."""
    image = gr.Image(
        label="Photo", type="filepath", image_mode=None, sources=["upload", "clipboard"], height=400, elem_id="photo"
    )
    message = gr.HTML(elem_id="photo-message")
    example = gr.Button("Try the example", size="sm", elem_id="example")
    return PhotoWidgets(image, example, message, gr.State(None))


def bind_photo(widgets: PhotoWidgets, workshop: Workshop) -> None:
    """Find the faces of what is uploaded; of a photo that cannot be used, say why and keep the one before."""
    shown = [widgets.image, widgets.message, widgets.portrait]

    def upload(payload: dict[str, Any] | None, before: Portrait | None) -> tuple[Any, ...]:
        path = payload.get("path") if payload else None
        if not path:
            return None, pictures.refusal("the photo did not arrive: upload it as a file"), before
        return _look(workshop, Path(path), before)

    def clear(before: Portrait | None) -> tuple[str, Portrait | None]:
        # The cards stay, with all that was chosen, for the next photo.
        return "", replace(before, path="") if before else None

    def example(before: Portrait | None) -> tuple[Any, ...]:
        try:
            path = example_photo()
        except FantasyPortraitError:
            return gr.skip(), pictures.refusal("the example picture is not installed: upload a photo"), before
        return _look(workshop, path, before, EXAMPLE_MOTIONS)

    # Neither `input` nor `change`: they also come when the picture with the boxes is put in the photo's place.
    options: dict[str, Any] = {"outputs": shown, "api_visibility": "private", "concurrency_id": "look"}
    # Not preprocessed: gradio would open the file with the first decoder that fits, before our loader can judge it.
    widgets.image.upload(upload, [widgets.image, widgets.portrait], preprocess=False, **options)
    widgets.image.clear(clear, widgets.portrait, shown[1:], api_visibility="private", queue=False)
    widgets.example.click(example, widgets.portrait, show_progress_on=widgets.image, **options)


def _look(workshop: Workshop, path: Path, before: Portrait | None, preset: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """(picture with boxes, message, portrait)."""
    try:
        photo, faces = workshop.animator.faces(path)
    except FantasyPortraitError as error:
        return _boxes(workshop, before), pictures.refusal(words.in_words(error, [path])), before
    thumbnails = tuple(pictures.thumbnail(photo.pixels, face.box) for face in faces)
    # Cards of the same edition must begin alike: gradio keeps a choice only while what it began with is the same.
    edition = (before.edition if before else 0) + bool(preset)
    preset = preset or (before.preset if before else ())
    notes = pictures.note_list([words.in_words(note, [path]) for note in photo.notes])
    message = pictures.remark(words.count_faces(len(faces))) + notes
    return annotate(photo.pixels, faces), message, Portrait(str(path), thumbnails, preset, edition)


def _boxes(workshop: Workshop, portrait: Portrait | None) -> Any:
    """The picture of a portrait that was fine before; None if it is not there any more."""
    if portrait is None:
        return None
    try:
        photo, faces = workshop.animator.faces(Path(portrait.path))
    except FantasyPortraitError:
        return None
    return annotate(photo.pixels, faces)
