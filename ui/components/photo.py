"""The photo: its upload, and its faces with numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.core.paths import example_photo
from fantasyportrait.faces.annotate import annotate
from ui import form, html_snippets, strings
from ui.card_state import CardState, SessionPhoto, save_cards
from ui.components.card import CardWidgets
from ui.components.option_widget import named_values
from ui.sessions import SessionManager

# The page shows the photo no larger; thumbnails are cut from the photo as it was read.
SHOWN_SIDE = 1280
Updates = dict[Any, Any]
EXAMPLE_CARDS = (CardState(form.MOTION, motion="talk"), CardState(form.MOTION, motion="laugh"))


@dataclass(frozen=True)
class PhotoWidgets:
    """The widgets of the photo; `portrait` is the session's `SessionPhoto`, None before the first photo."""

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


def bind_photo(widgets: PhotoWidgets, cards: Sequence[CardWidgets], sessions: SessionManager) -> None:
    """Find the faces of an uploaded photo; if it cannot be used, show why and keep the one before.

    The cards of the next photo get the values of the present cards.
    """
    analysis = _PhotoAnalysis(widgets, sessions)
    shown = [widgets.image, widgets.message, widgets.portrait]
    chosen = [card.state_widgets() for card in cards]
    inputs: set[Any] = {widgets.portrait, *(widget for card in chosen for widget in card.values())}

    def upload(request: gr.Request, values: dict[Any, Any]) -> Updates:
        session, before = request.session_hash or "", values[widgets.portrait]
        try:
            path = sessions.uploads.authorize(session, values[widgets.image])
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return analysis.updates(path, before, kept(session, values))

    def clear(request: gr.Request, values: dict[Any, Any]) -> Updates:
        before, cards = values[widgets.portrait], kept(request.session_hash or "", values)
        return {widgets.message: "", widgets.portrait: replace(before, path="", cards=cards) if before else None}

    def kept(session: str, values: dict[Any, Any]) -> tuple[CardState, ...]:
        named = [named_values(card, values) for card in chosen]
        return save_cards(named, values[widgets.portrait], partial(sessions.uploads.authorize, session))

    def example(before: SessionPhoto | None) -> Updates:
        try:
            path = example_photo()
        except FantasyPortraitError:
            return {
                widgets.message: html_snippets.error_html(
                    "the example photo is not installed: upload a photo of your own"
                )
            }
        return analysis.updates(path, before, EXAMPLE_CARDS, example=True)

    # Neither `input` nor `change`: they also fire when the picture with boxes replaces the photo.
    # Not preprocessed: gradio would open the photo with the first decoder that fits, before our loader checks it.
    # The style sheet disables the cards while the image shows progress.
    options: dict[str, Any] = {
        "api_visibility": "private",
        "concurrency_id": "analysis",
        "show_progress_on": widgets.image,
    }
    widgets.image.upload(upload, {widgets.image, *inputs}, shown, preprocess=False, key="upload", **options)
    widgets.image.clear(clear, inputs, [widgets.message, widgets.portrait], preprocess=False, key="clear", **options)
    widgets.example.click(example, widgets.portrait, shown, key="example", **options)


@dataclass(frozen=True)
class _PhotoAnalysis:
    """Finds the faces of a photo for the page."""

    widgets: PhotoWidgets
    sessions: SessionManager

    def updates(
        self, path: Path, before: SessionPhoto | None, cards: tuple[CardState, ...], example: bool = False
    ) -> Updates:
        """The picture with boxes, the message and the portrait; for a photo that cannot be used, those of `before`."""
        try:
            photo, faces = self.sessions.animator.inputs.faces(path)
        except FantasyPortraitError as error:
            return {
                self.widgets.image: self._boxes(before),
                self.widgets.message: html_snippets.error_with_messages(error, [path]),
                self.widgets.portrait: replace(before, cards=cards) if before else None,
            }
        thumbnails = tuple(html_snippets.thumbnail(photo.pixels, face.box) for face in faces)
        messages = html_snippets.message_list([strings.hide_paths(message, [path]) for message in photo.messages])
        edition = (before.edition if before else 0) + example
        return {
            self.widgets.image: annotate(photo.pixels, faces, SHOWN_SIDE),
            self.widgets.message: html_snippets.message_html(strings.count_faces(len(faces))) + messages,
            self.widgets.portrait: SessionPhoto(str(path), thumbnails, cards, edition),
        }

    def _boxes(self, portrait: SessionPhoto | None) -> Any:
        """The picture with boxes of an earlier photo; None if its file is gone."""
        if portrait is None or not portrait.path:
            return None
        try:
            photo, faces = self.sessions.animator.inputs.faces(Path(portrait.path))
        except FantasyPortraitError:
            return None
        return annotate(photo.pixels, faces, SHOWN_SIDE)
