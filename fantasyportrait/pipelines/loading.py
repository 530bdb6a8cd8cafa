"""A folder of weights becomes a pipeline that stands where it shall compute."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, GGUFQuantizationConfig
from diffusers.models.model_loading_utils import load_gguf_checkpoint
from safetensors.torch import load_file
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPVisionModel, UMT5EncoderModel

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.empty_prompt import empty_prompt_row
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.runtime.place import device_of, place, precision_of
from fantasyportrait.runtime.placement import Placement

# The schedule of SPEC section 5; the base's own file names another scheduler.
SHIFT = 5.0
MOTION_ATTENTION = "motion_attention.safetensors"


def load_pipeline(
    folder: Path, placement: Placement, cache: Path, *, gguf: Path | None = None, prompts: bool = False
) -> FantasyPortraitPipeline:
    """The pipeline of an assembled folder (`weights.assemble`), placed on its device.

    Args:
        folder: transformer, motion_adapter, vae, image_encoder, image_processor, text_encoder, tokenizer.
        placement: device, offload and precision.
        cache: where the empty prompt's row is kept.
        gguf: a quantized transformer to take instead of the folder's.
        prompts: load the text encoder (11 GB at full size); without it only empty prompts can be used.
    """
    device = device_of(placement)
    precision = precision_of(placement, device)
    pipeline = FantasyPortraitPipeline(
        transformer=_transformer(folder / "transformer", gguf, precision),
        motion_adapter=MotionAdapter.from_pretrained(folder / "motion_adapter"),
        vae=AutoencoderKLWan.from_pretrained(folder / "vae", torch_dtype=torch.float32),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        image_encoder=CLIPVisionModel.from_pretrained(folder / "image_encoder", dtype=torch.float32),
        image_processor=CLIPImageProcessorPil.from_pretrained(folder / "image_processor"),
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer") if prompts else None,
        text_encoder=UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype="auto") if prompts else None,
    )
    pipeline.empty_prompt = empty_prompt_row(folder / "text_encoder", cache)
    pipeline.set_progress_bar_config(disable=True)
    place(pipeline, placement)
    return pipeline


def write_index(folder: Path, base: Path) -> None:
    """Write `model_index.json` and our scheduler's settings into an assembled folder.

    So that `FantasyPortraitPipeline.from_pretrained` loads it too; what is the base's stays as its own index has it.
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


def _transformer(folder: Path, gguf: Path | None, precision: torch.dtype) -> FantasyPortraitTransformer3DModel:
    if gguf is None:
        return FantasyPortraitTransformer3DModel.from_pretrained(folder, torch_dtype=precision)
    tensors = load_gguf_checkpoint(str(gguf))
    motion = load_file(folder / MOTION_ATTENTION)
    # Under our names before anything is built: what is assigned afterwards stays on the meta device.
    tensors.update({key: value.to(precision) for key, value in motion.items()})
    return FantasyPortraitTransformer3DModel.from_single_file(
        tensors,
        quantization_config=GGUFQuantizationConfig(compute_dtype=precision),
        config=str(folder),
        torch_dtype=precision,
    )
