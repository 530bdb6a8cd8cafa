"""The choice of the engine, and the settings of Wan, the diffusion model."""

from typing import Any

import gradio as gr

from fantasyportrait.schema.presets import PRESET, PRESET_FIELDS
from fantasyportrait.schema.sampling import Sampling
from ui import engine_values, form
from ui.components.option_widget import Widgets, named_values, option_widget
from ui.option_values import form_options

ENGINE_INFO = (
    "Preview: a quick video in seconds. Wan: the full diffusion model, takes minutes, "
    f"up to {form.MAX_WAN_DURATION_S} s of video"
)


def render_engine() -> Widgets:
    """Place the choice, and an accordion that the style sheet shows while Wan is chosen."""
    engine = gr.Radio(
        engine_values.ENGINES, value=engine_values.PREVIEW, label="Engine", elem_id="engine", interactive=True,
        info=ENGINE_INFO,
    )  # fmt: skip
    with gr.Accordion("Wan settings", open=False, elem_id="wan"):
        name = PRESET.default
        preset = gr.Radio(
            engine_values.PRESET_CHOICES, value=name, label="Preset", interactive=True, elem_id="preset",
            info=engine_values.tradeoff(name),
        )  # fmt: skip
        widgets = {option.name: option_widget(option) for option in form_options(Sampling)}
    _bind_preset(preset, {name: widgets[name] for name in PRESET_FIELDS})
    return {"engine": engine, **widgets}


def _bind_preset(preset: gr.Radio, below: dict[str, Any]) -> None:
    """A preset sets the widgets below it; a change by hand selects the preset that matches, or Custom."""

    def choose(name: str) -> dict[Any, Any]:
        moved = {below[field]: gr.update(value=value) for field, value in engine_values.preset_values(name).items()}
        return {preset: gr.update(info=engine_values.tradeoff(name)), **moved}

    def show(values: dict[Any, Any]) -> Any:
        name = engine_values.preset_shown(named_values(below, values))
        return gr.update(value=name, info=engine_values.tradeoff(name))

    hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    preset.input(choose, preset, [preset, *below.values()], **hidden)
    # Changes by hand only: the values that a preset sets must not trigger `show`.
    moves = [widget.input for widget in below.values()]
    # A slider's reset button triggers `release` but not `input`.
    moves += [widget.release for widget in below.values() if isinstance(widget, gr.Slider)]
    gr.on(moves, show, set(below.values()), preset, trigger_mode="always_last", **hidden)
