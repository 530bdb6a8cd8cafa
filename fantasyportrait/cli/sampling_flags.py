"""The flags of `wan`, the diffusion engine: one a field of `Sampling`, under the same name."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

import typer

from fantasyportrait.core.errors import RequestError

Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME_OR_DIR",
        help="[wan] A name of `fantasyportrait weights list`, or a folder, written with a / in it. [default: wan-720p]",
    ),
]
Seed = Annotated[
    int | None, typer.Option(help="[wan] Of the noise; the same seed gives the same frames; -1 draws one. [default: 0]")
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="draft|balanced|faithful",
        help="[wan] How much time to spend: 6, at most 32, or 60 passes of the model; see below. Other flags change "
        "single settings of it. [default: faithful]",
    ),
]
NumInferenceSteps = Annotated[
    int | None, typer.Option(help="[wan] Of the sampler; fewer are faster and rougher. [default: 30]")
]
PortraitGuidanceScale = Annotated[
    float | None,
    typer.Option(help="[wan] How strongly the drivers are followed; 1 halves the time. [default: 4]"),
]
GuidanceScale = Annotated[
    float | None,
    typer.Option(help="[wan] How strongly the prompt is followed; above 1 takes longer. [default: 1]"),
]
PortraitGuidanceSpan = Annotated[
    str | None,
    typer.Option(metavar="START:END", help="[wan] The part of the steps with portrait guidance. [default: 0:1]"),
]
Prompt = Annotated[str | None, typer.Option(help="[wan] What the video shows, in words. [default: nothing said]")]
NegativePrompt = Annotated[
    str | None, typer.Option(help="[wan] What it shall not show; counts where text guidance is not 1.")
]
FaceRegion = Annotated[
    str | None,
    typer.Option(
        metavar="box|head|segment",
        help="[wan] Where a face listens to its driver: its box, its head, or the mask of Segment Anything. "
        "[default: box]",
    ),
]
Alignment = Annotated[
    str | None,
    typer.Option(
        metavar="original|mesh",
        help="[wan] What aligns the drivers' faces: the original net or the 478-point mesh. [default: original]",
    ),
]
Lora = Annotated[
    str | None,
    typer.Option(
        metavar="none|lightx2v",
        help="[wan] The LoRA for 4 steps (`fantasyportrait weights fetch lightx2v`), or none. [default: none]",
    ),
]
StepCache = Annotated[
    str | None,
    typer.Option(
        metavar="none|first-block",
        help="[wan] Leave out most of a pass where its first block says what it said before. [default: none]",
    ),
]
CacheThreshold = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="[wan] Up to which difference it says the same; more is faster, less exact. [default: 0.1]",
    ),
]
BatchPasses = Annotated[
    bool | None,
    typer.Option(
        "--batch-passes/--separate-passes",
        help="[wan] The passes of a step at once (weights are read once, more memory) or one by one. "
        "[default: what is faster here]",
    ),
]
MaxWindowFrames = Annotated[
    int | None,
    typer.Option(
        metavar="FRAMES", help="[wan] 4k + 1; longer videos are made in overlapping windows of 81. [default: 201]"
    ),
]


def sampling_overrides(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Sampling` that flags set, from all flags given by name; raises `RequestError`.

    A preset sets several, and single flags beside it go before.
    """
    from fantasyportrait.schema.presets import get_preset
    from fantasyportrait.schema.sampling import Sampling

    changes = get_preset(given["preset"]).changes if "preset" in given else {}
    changes |= {field.name: given[field.name] for field in fields(Sampling) if field.name in given}
    if "model" in changes:
        changes["model"] = _model(changes["model"])
    if "portrait_guidance_span" in given:
        changes["portrait_guidance_start"], changes["portrait_guidance_end"] = _span(given["portrait_guidance_span"])
    return changes


def _model(text: str) -> str:
    """A name stays; a folder becomes absolute, so that the saved request finds it from anywhere."""
    from fantasyportrait.schema.sampling import Sampling

    folder = Sampling(model=text).model_folder
    return text if folder is None else folder.expanduser().resolve().as_posix()


def _span(text: str) -> tuple[float, float]:
    start, colon, end = text.partition(":")
    try:
        return (float(start), float(end)) if colon else _no_span(text)
    except ValueError:
        return _no_span(text)


def _no_span(text: str) -> tuple[float, float]:
    raise RequestError(f"--portrait-guidance-span is {text!r}: give START:END, shares of the steps, for example 0:0.6")
