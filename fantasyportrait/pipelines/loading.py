"""A folder of weights becomes a pipeline that stands where it shall compute."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler
from transformers import CLIPImageProcessorPil, CLIPVisionModel

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.gguf_transformer import load_gguf_transformer
from fantasyportrait.pipelines.mapped_weights import mapped_folder
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.prompt_rows import PromptRows
from fantasyportrait.runtime.attention import Choice, choose_attention, set_attention
from fantasyportrait.runtime.compute import COMPILER, check_compiled, compile_blocks
from fantasyportrait.runtime.place import device_of, place, precision_of
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.quantize import loading_arguments, store_in_fp8
from fantasyportrait.runtime.team import Team, check_tokens, spread

# The published schedule; the base's own file names another scheduler.
SHIFT = 5.0


@dataclass(frozen=True)
class ModelFiles:
    """An assembled folder (`weights.assemble`), and a GGUF file that replaces its transformer's weights."""

    folder: Path
    gguf: Path | None = None


Note = Callable[[str], None]


def _unheard(text: str) -> None:
    """For callers whom no note interests."""


def load_pipeline(
    files: ModelFiles,
    placement: Placement,
    profile: Profile,
    cache: Path,
    team: Team | None = None,
    note: Note = _unheard,
    cancel: CancelToken | None = None,
) -> FantasyPortraitPipeline:
    """The pipeline of an assembled folder, placed on its device as the profile says.

    The text encoder is not loaded: prompts are read layer by layer from its shards (see `PromptRows`).

    Args:
        files: transformer, motion_adapter, vae, image_encoder, image_processor, text_encoder, tokenizer.
        placement: device, precision, attention, and whether to compile.
        profile: in which numbers the transformer is held, and what stays on the device.
        cache: where prompts' rows are kept.
        team: the processes that share its steps; `placement` then names the kernel for attention, the same for all.
        note: told what the user should know.
        cancel: asked between the parts.

    Raises `RequestError` for settings that do not go together, before anything is loaded, `torch.OutOfMemoryError`
    where it does not fit, and `Cancelled`; then it holds nothing on the device.
    """
    device = device_of(placement)
    cancel = cancel or CancelToken()
    choice = settle(files, placement, profile, team)
    if team is not None and team.size > 1 and choice.name != placement.attention:
        raise RequestError(
            f"the first process computes attention by {placement.attention}, which does not work here "
            f"({choice.notes[0]}): choose --attention native"
        )
    transformer = load_transformer(files, placement, profile, note, cancel)
    cancel.check()
    if placement.compile:
        # Before placing and caching, whose hooks cannot be compiled.
        compile_blocks(transformer)
    set_attention(transformer, choice)
    for text in choice.notes:
        note(text)
    pipeline = assemble_pipeline(transformer, files.folder)
    pipeline.team = team
    if team is not None and _shares_tokens(team):
        spread(transformer, team)
    pipeline.prompt_rows = PromptRows(files.folder / "text_encoder", files.folder / "tokenizer", cache)
    cancel.check()
    place(pipeline, profile.offload, device)
    return pipeline


def settle(files: ModelFiles, placement: Placement, profile: Profile, team: Team | None = None) -> Choice:
    """The kernel for attention on this machine, and all that can be refused before anything is loaded.

    Raises `RequestError` for settings that do not go together, or for which a package is missing.
    """
    device = device_of(placement)
    if placement.compile:
        check_compiled(profile, device, files.gguf is not None)
    config = FantasyPortraitTransformer3DModel.load_config(files.folder / "transformer")
    heads = config["num_attention_heads"]
    across = team is not None and _shares_tokens(team)
    if team is not None and across:
        check_tokens(heads, team)
    return choose_attention(
        placement.attention,
        device,
        precision_of(placement, device),
        heads=heads,
        head_dim=config["attention_head_dim"],
        compiler=COMPILER if placement.compile else None,
        across=across,
    )


def transformer_folder(
    files: ModelFiles, placement: Placement, profile: Profile, note: Note = _unheard, cancel: CancelToken | None = None
) -> Path:
    """Where the transformer's weights are read from; where they shall be mapped, a copy that is made now, once."""
    folder = files.folder / "transformer"
    if files.gguf is None and profile.offload in ("stream", "disk"):
        # Pinned copies are then the only ones in memory, or there are none.
        return mapped_folder(folder, precision_of(placement, device_of(placement)), note, cancel)
    return folder


def load_transformer(
    files: ModelFiles, placement: Placement, profile: Profile, note: Note = _unheard, cancel: CancelToken | None = None
) -> FantasyPortraitTransformer3DModel:
    """The transformer in the profile's numbers, not placed yet (bitsandbytes alone quantizes on the card)."""
    device = device_of(placement)
    precision = precision_of(placement, device)
    folder = transformer_folder(files, placement, profile, note, cancel)
    if files.gguf is not None:
        return load_gguf_transformer(files.gguf, folder, precision)
    arguments = loading_arguments(profile, precision, device)
    transformer = FantasyPortraitTransformer3DModel.from_pretrained(folder, **arguments)
    if profile.weights == "fp8":
        store_in_fp8(transformer, precision)
    return transformer


def assemble_pipeline(transformer: FantasyPortraitTransformer3DModel, folder: Path) -> FantasyPortraitPipeline:
    """The transformer and what stands around it in the folder, on the CPU, without the text encoder."""
    pipeline = FantasyPortraitPipeline(
        transformer=transformer,
        motion_adapter=MotionAdapter.from_pretrained(folder / "motion_adapter"),
        vae=AutoencoderKLWan.from_pretrained(folder / "vae", torch_dtype=torch.float32),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        image_encoder=CLIPVisionModel.from_pretrained(folder / "image_encoder", dtype=torch.float32),
        image_processor=CLIPImageProcessorPil.from_pretrained(folder / "image_processor"),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _shares_tokens(team: Team) -> bool:
    return team.size > 1 and team.mode == "tokens"


def write_index(folder: Path, base: Path) -> None:
    """Write `model_index.json` and our scheduler's settings into an assembled folder.

    So that `FantasyPortraitPipeline.from_pretrained` loads it too; what is the base's stays as its own index has it.
    Not for a folder without the transformer's weights, beside a GGUF file.
    """
    stock = json.loads((base / "model_index.json").read_text(encoding="utf-8"))
    kept = ("vae", "image_encoder", "image_processor", "tokenizer", "text_encoder")
    index: dict[str, Any] = {
        "_class_name": "FantasyPortraitPipeline",
        "transformer": [FantasyPortraitTransformer3DModel.__module__, "FantasyPortraitTransformer3DModel"],
        "motion_adapter": [MotionAdapter.__module__, "MotionAdapter"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        **{name: stock[name] for name in kept},
    }
    FlowMatchEulerDiscreteScheduler(shift=SHIFT).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
