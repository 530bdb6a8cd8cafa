"""The options of the whole result."""

from dataclasses import replace
from typing import Any

import gradio as gr

from fantasyportrait.schema.options import Option
from fantasyportrait.schema.request import AnimationRequest
from ui.card_state import SessionPhoto
from ui.components.option_widget import Widgets, option_widget
from ui.option_values import form_options

SOUNDS = [("Of the clips", "auto"), ("None", "none"), ("All clips mixed", "mix")]


def render_options(engines: bool) -> Widgets:
    """Place the widgets in an accordion; with a choice of `engines`, an option may be automatic: the engine decides.

    The length is two widgets: `length` and `seconds`.
    """
    widgets: Widgets = {}
    with gr.Accordion("Options", open=False, elem_id="options"):
        for option in form_options(AnimationRequest):
            if option.name == "duration":
                widgets |= _length(option)
            elif option.name == "sound":
                widgets["sound"] = gr.Dropdown(
                    SOUNDS, value=option.default, label=option.label, elem_id="sound", interactive=True
                )
            else:
                widgets[option.name] = option_widget(option if engines else _of_preview(option))
    return widgets


def bind_options(widgets: Widgets, portrait: gr.State) -> None:
    """Offer the sound of each face of the photo."""

    def sounds(shown: SessionPhoto | None, chosen: object) -> Any:
        count = len(shown.thumbnails) if shown else 0
        choices = [*SOUNDS, *((f"Of the clip of face {face}", f"face:{face}") for face in range(1, count + 1))]
        known = any(chosen == value for _, value in choices)
        # A value that is still valid is not sent back: the visitor may have chosen another one meanwhile.
        return gr.update(choices=choices) if known else gr.update(choices=choices, value="auto")

    sound = widgets["sound"]
    portrait.change(sounds, [portrait, sound], sound, api_visibility="private", show_progress="hidden")


def _length(option: Option) -> Widgets:
    length = gr.Radio(
        [("Longest clip", "longest"), ("Shortest clip", "shortest"), ("Seconds", "seconds")],
        value=option.default, label=option.label, info="Without a clip: 4 s", elem_id="length", interactive=True,
    )  # fmt: skip
    # Without bounds: the request refuses a value out of range, with our own message.
    return {"length": length, "seconds": gr.Number(4, label="Seconds", elem_id="seconds", interactive=True)}


def _of_preview(option: Option) -> Option:
    """The option where the preview is the only engine: a switch that could be automatic is off."""
    choices = {choice: label for choice, label in option.choices.items() if choice is not None}
    return replace(option, choices=choices, default=False) if None in option.choices else option
