"""A folder of weights becomes a pipeline that stands where it shall compute."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler
from transformers import CLIPImageProcessorPil, CLIPVisionModel

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.gguf_transformer import load_gguf_transformer
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.prompt_rows import PromptRows
from fantasyportrait.runtime.place import device_of, place, precision_of
from fantasyportrait.runtime.placement import Placement

# The published schedule; the base's own file names another scheduler.
SHIFT = 5.0


def load_pipeline(folder: Path, placement: Placement, cache: Path, gguf: Path | None = None) -> FantasyPortraitPipeline:
    """The pipeline of an assembled folder (`weights.assemble`), placed on its device.

    The text encoder is not loaded: prompts are read layer by layer from its shards (see `PromptRows`).

    Args:
        folder: transformer, motion_adapter, vae, image_encoder, image_processor, text_encoder, tokenizer.
        placement: device, offload and precision.
        cache: where prompts' rows are kept.
        gguf: a quantized transformer to take instead of the folder's.
    """
    device = device_of(placement)
    precision = precision_of(placement, device)
    pipeline = FantasyPortraitPipeline(
        transformer=(
            FantasyPortraitTransformer3DModel.from_pretrained(folder / "transformer", torch_dtype=precision)
            if gguf is None
            else load_gguf_transformer(gguf, folder / "transformer", precision)
        ),
        motion_adapter=MotionAdapter.from_pretrained(folder / "motion_adapter"),
        vae=AutoencoderKLWan.from_pretrained(folder / "vae", torch_dtype=torch.float32),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        image_encoder=CLIPVisionModel.from_pretrained(folder / "image_encoder", dtype=torch.float32),
        image_processor=CLIPImageProcessorPil.from_pretrained(folder / "image_processor"),
    )
    pipeline.prompt_rows = PromptRows(folder / "text_encoder", folder / "tokenizer", cache)
    pipeline.set_progress_bar_config(disable=True)
    place(pipeline, placement)
    return pipeline


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
