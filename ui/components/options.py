"""The options of the whole result."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ui import form
from ui.card_state import SessionPhoto

ENGINE_DEFAULT = [("Automatic", form.ENGINE_DEFAULT)]
MOTION_INFO = "Relative adds the driver's motion to the pose of the photo; absolute takes over the driver's pose"
ENGINE_DEFAULT_INFO = "; automatic is relative in the preview and absolute with Wan"
SOUNDS = [("Of the clips", "auto"), ("None", "none"), ("All clips mixed", "mix")]


@dataclass(frozen=True)
class OptionWidgets:
    """The widgets whose values `form.OptionValues` holds, in its order."""

    length: gr.Radio
    seconds: gr.Number
    fill: gr.Radio
    absolute: gr.Radio
    smoothing: gr.Slider
    sound: gr.Dropdown
    side_by_side: gr.Checkbox

    def inputs(self) -> list[Any]:
        """The widgets as the inputs of a listener."""
        return [getattr(self, name) for name in self.__dataclass_fields__]


def render_options(engines: bool) -> OptionWidgets:
    """Place the widgets in an accordion; where there is a choice of `engines`, motion may be as each does it best."""
    with gr.Accordion("Options", open=False, elem_id="options"):
        length = gr.Radio(
            [("Longest clip", "longest"), ("Shortest clip", "shortest"), ("Seconds", "seconds")],
            value="longest", label="Length", info="Without a clip: 4 s", elem_id="length", interactive=True,
        )  # fmt: skip
        # Without bounds: what is out of range is refused in our words when the request is made.
        seconds = gr.Number(4, label="Seconds", elem_id="seconds", interactive=True)
        fill = gr.Radio(
            [("Loops", "loop"), ("Holds its end", "hold"), ("Goes back and forth", "pingpong")],
            value="loop", label="A clip that is too short", interactive=True,
        )  # fmt: skip
        absolute = gr.Radio(
            [*(ENGINE_DEFAULT if engines else []), ("Relative", False), ("Absolute", True)],
            value=form.ENGINE_DEFAULT if engines else False, label="Motion", interactive=True,
            info=MOTION_INFO + (ENGINE_DEFAULT_INFO if engines else ""),
        )  # fmt: skip
        smoothing = gr.Slider(0, 1, 0.5, step=0.05, label="Smoothing", info="Of the driver's motion", interactive=True)
        sound = gr.Dropdown(SOUNDS, value="auto", label="Sound", elem_id="sound", interactive=True)
        side_by_side = gr.Checkbox(
            True, label="Also make a video of drivers, photo and result side by side", interactive=True
        )
    return OptionWidgets(length, seconds, fill, absolute, smoothing, sound, side_by_side)


def bind_options(widgets: OptionWidgets, portrait: gr.State) -> None:
    """Offer the sound of each face of the photo."""

    def sounds(shown: SessionPhoto | None, chosen: object) -> Any:
        count = len(shown.thumbnails) if shown else 0
        choices = [*SOUNDS, *((f"Of the clip of face {face}", f"face:{face}") for face in range(1, count + 1))]
        known = any(chosen == value for _, value in choices)
        # A sound that stays is not sent back: another one may have been chosen meanwhile.
        return gr.update(choices=choices) if known else gr.update(choices=choices, value="auto")

    portrait.change(sounds, [portrait, widgets.sound], widgets.sound, api_visibility="private", show_progress="hidden")
