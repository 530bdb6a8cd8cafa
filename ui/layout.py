"""The layout: the photo and the cast on the left, the result on the right; in one column on a phone."""

import gradio as gr

from ui import strings
from ui.card_state import SessionPhoto
from ui.components.card import render_card
from ui.components.engine import render_engine
from ui.components.options import bind_options, render_options
from ui.components.photo import bind_photo, render_photo
from ui.components.result import render_result
from ui.components.run import bind_run, bind_stop, render_run
from ui.sessions import SessionManager


def build_page(sessions: SessionManager) -> None:
    """Place every component inside the current blocks, and wire it."""
    gr.Markdown(strings.INTRODUCTION, elem_id="introduction")
    with gr.Row(elem_id="columns"):
        with gr.Column(scale=6, min_width=340):
            photo = render_photo()
            cast = gr.Column(elem_id="cast")
        with gr.Column(scale=5, min_width=340):
            engine = None if sessions.model is None else render_engine()
            options = render_options(engines=engine is not None)
            run = render_run()
            result = render_result()

    chosen = {**options, **(engine or {})}
    bind_options(options, photo.portrait)
    bind_stop(run, sessions)

    with cast:

        def cards(portrait: SessionPhoto | None) -> None:
            drawn = []
            if portrait is not None:
                with gr.Row(elem_id="cards", key="cards"):
                    drawn = [render_card(face, portrait, sessions) for face in range(1, len(portrait.thumbnails) + 1)]
            bind_photo(photo, drawn, sessions)
            # Also without a photo: a run continues after its photo is removed.
            bind_run(run, photo.portrait, chosen, [card.inputs() for card in drawn], result, sessions)
            # The listeners above work once this is on the page; until then the style sheet disables the buttons.
            gr.HTML("<i></i>", elem_id="ready", key="ready")

        # One at a time: gradio's limit counts all sessions together. The style sheet disables the cards meanwhile.
        gr.render(photo.portrait, concurrency_limit=1, concurrency_id="cards", show_progress="full")(cards)
