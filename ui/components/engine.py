"""The choice of the engine, and the settings of Wan, the diffusion model."""

from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from fantasyportrait.schema.options import get_option
from fantasyportrait.schema.presets import match_preset
from fantasyportrait.schema.sampling import Sampling
from ui import engine_values, form

ENGINE_INFO = (
    "Preview: ready in seconds, made on the CPU. Wan: the diffusion model, takes minutes, "
    f"at most {form.MAX_WAN_DURATION_S} s of video"
)


@dataclass(frozen=True)
class EngineWidgets:
    """The widgets whose values `EngineValues` holds, in its order."""

    engine: gr.Radio
    num_inference_steps: gr.Slider
    seed: gr.Number
    portrait_guidance_scale: gr.Slider
    guidance_scale: gr.Slider
    prompt: gr.Textbox
    negative_prompt: gr.Textbox
    region: gr.Radio
    alignment: gr.Radio
    guidance_begins: gr.Slider
    guidance_ends: gr.Slider
    lora: gr.Radio
    step_cache: gr.Radio
    cache_threshold: gr.Slider

    def inputs(self) -> list[Any]:
        """The widgets as the inputs of a listener."""
        return [getattr(self, widget.name) for widget in fields(self)]


def render_engine() -> EngineWidgets:
    """Place the choice, and an accordion that the style sheet shows while Wan is chosen."""
    defaults = Sampling()
    engine = gr.Radio(
        engine_values.ENGINES, value=engine_values.PREVIEW, label="Engine", elem_id="engine", interactive=True,
        info=ENGINE_INFO,
    )  # fmt: skip
    with gr.Accordion("Wan settings", open=False, elem_id="wan"):
        preset = _preset(defaults)
        steps = gr.Slider(
            1, engine_values.MAX_STEPS, defaults.num_inference_steps, step=1, label="Steps", interactive=True,
            elem_id="steps",
            info="Fewer are faster and rougher",
        )  # fmt: skip
        seed = gr.Number(
            defaults.seed, label="Seed", precision=0, interactive=True, elem_id="seed",
            info="The same seed gives the same video; another one, another try; -1 draws one",
        )  # fmt: skip
        portrait_guidance_scale = gr.Slider(
            1, 10, defaults.portrait_guidance_scale, step=0.5, label="Portrait guidance", interactive=True,
            info="How strongly the drivers are followed; 1 halves the time",
        )  # fmt: skip
        begins, ends = _guidance_span(defaults)
        prompt, negative_prompt = _prompts()
        guidance_scale = gr.Slider(
            1, 10, defaults.guidance_scale, step=0.5, label="Text guidance", interactive=True,
            info="How strongly the prompt is followed; above 1 takes longer",
        )  # fmt: skip
        region = gr.Radio(
            engine_values.REGIONS, value=defaults.region, label="Region", interactive=True,
            info="The region of the picture that the driving face controls",
        )  # fmt: skip
        alignment = gr.Radio(
            engine_values.ALIGNMENTS, value=defaults.alignment, label="Alignment", interactive=True,
            info="What finds the drivers' eyes, nose and mouth",
        )  # fmt: skip
        lora, step_cache, threshold = _shortcuts(defaults)
    widgets = EngineWidgets(
        engine, steps, seed, portrait_guidance_scale, guidance_scale, prompt, negative_prompt, region, alignment,
        begins, ends,
        lora, step_cache, threshold,
    )  # fmt: skip
    _bind_preset(preset, widgets)
    return widgets


def _preset(defaults: Sampling) -> gr.Radio:
    name = match_preset(defaults) or engine_values.CUSTOM
    return gr.Radio(
        engine_values.PRESET_CHOICES, value=name, label="Preset", interactive=True, elem_id="preset",
        info=engine_values.tradeoff(name),
    )  # fmt: skip


def _bind_preset(preset: gr.Radio, widgets: EngineWidgets) -> None:
    """A preset sets the widgets below it; one that is moved by hand makes it the visitor's own."""
    below = [getattr(widgets, name) for name in engine_values.PRESET_FIELDS]

    def choose(name: str) -> list[Any]:
        values = engine_values.preset_values(name)
        moved = [gr.update(value=values[field]) if values else gr.skip() for field in engine_values.PRESET_FIELDS]
        return [gr.update(info=engine_values.tradeoff(name)), *moved]

    def show(*values: object) -> Any:
        name = engine_values.preset_shown(dict(zip(engine_values.PRESET_FIELDS, values, strict=True)))
        return gr.update(value=name, info=engine_values.tradeoff(name))

    hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    preset.input(choose, preset, [preset, *below], **hidden)
    # By hand alone: what a preset sets must not be asked back.
    moves = [widget.input for widget in below]
    # A slider's own button puts it back without an input.
    moves += [widget.release for widget in below if isinstance(widget, gr.Slider)]
    gr.on(moves, show, below, preset, trigger_mode="always_last", **hidden)


def _shortcuts(defaults: Sampling) -> tuple[gr.Radio, gr.Radio, gr.Slider]:
    lora = gr.Radio(
        engine_values.LORAS, value=defaults.lora, label="LoRA", interactive=True, elem_id="lora",
        info="Taught the model to sample in few steps, at 480p",
    )  # fmt: skip
    step_cache = gr.Radio(
        engine_values.STEP_CACHES, value=defaults.step_cache, label="Step cache", interactive=True,
        elem_id="step-cache",
        info="Leaves out most of a pass that would change little",
    )  # fmt: skip
    threshold = gr.Slider(
        0.01, 0.5, defaults.cache_threshold, step=0.01, label="Cache threshold", interactive=True,
        info="What counts as little; more is faster and less exact",
    )  # fmt: skip
    return lora, step_cache, threshold


def _prompts() -> tuple[gr.Textbox, gr.Textbox]:
    # Empty, not nothing: nothing is what would be sent as long as nobody has opened the accordion.
    prompt = gr.Textbox(
        "", label="Prompt", lines=2, max_length=get_option(Sampling, "prompt").max_length or 0, interactive=True, elem_id="prompt",
        info="What the video shows; may be empty",
    )  # fmt: skip
    negative_prompt = gr.Textbox(
        "", label="Negative prompt", lines=2, max_length=get_option(Sampling, "prompt").max_length or 0, interactive=True,
        info="What it should not show; used where text guidance is above 1",
    )  # fmt: skip
    return prompt, negative_prompt


def _guidance_span(defaults: Sampling) -> tuple[gr.Slider, gr.Slider]:
    """Percents of the steps."""
    edges = (
        ("Portrait guidance from", defaults.portrait_guidance_start, "guidance-begins"),
        ("Portrait guidance until", defaults.portrait_guidance_end, "guidance-ends"),
    )
    begins, ends = (
        gr.Slider(
            0, 100, round(100 * share), step=5, label=label, interactive=True, info="% of the steps", elem_id=name
        )
        for label, share, name in edges
    )
    return begins, ends
