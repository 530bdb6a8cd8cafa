"""Loads a pipeline from an assembled folder and places it on its device."""

import json
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
from fantasyportrait.pipelines.cast_weights import cast_folder
from fantasyportrait.pipelines.gguf_transformer import load_gguf_transformer
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.prompt_encoder import PromptEncoder
from fantasyportrait.runtime.attention import AttentionChoice, select_attention, set_attention_backend
from fantasyportrait.runtime.offload import apply_offload, resolve_device, resolve_dtype
from fantasyportrait.runtime.process_group import ProcessGroup, check_context_parallel, enable_context_parallel
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.runtime.quantization import enable_fp8_storage, pretrained_kwargs
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.runtime.torch_config import COMPILER, check_compile, compile_blocks
from fantasyportrait.schema.events import Message, MessageCallback

# Shift of the original schedule; the base model's own config names another scheduler.
FLOW_SHIFT = 5.0


@dataclass(frozen=True)
class ModelFiles:
    """An assembled folder (`weights.assemble`), and optionally a GGUF file that replaces the transformer's weights."""

    folder: Path
    gguf: Path | None = None


def _ignore(message: Message) -> None:
    """The default of `on_message`."""


def load_pipeline(
    files: ModelFiles,
    runtime_config: RuntimeConfig,
    profile: Profile,
    cache: Path,
    process_group: ProcessGroup | None = None,
    on_message: MessageCallback = _ignore,
    cancel: CancelToken | None = None,
) -> FantasyPortraitPipeline:
    """The pipeline of an assembled folder, on its device with the profile's weights and offloading.

    The text encoder is not loaded: prompts are read layer by layer from its shards (see `PromptEncoder`).

    Args:
        files: transformer, motion_adapter, vae, image_encoder, image_processor, text_encoder, tokenizer.
        runtime_config: device, precision, attention, and whether to compile.
        profile: how the transformer's weights are stored and offloaded.
        cache: folder of the cached prompt embeddings.
        process_group: the processes that share its steps; `runtime_config` then names the attention kernel of all
            ranks.
        on_message: gets the attention kernel and what is written to the disk.
        cancel: checked between the components.

    Raises `RequestError` for settings that exclude each other, before anything is loaded, `torch.OutOfMemoryError` if
    it does not fit, and `Cancelled`; after an error nothing is left on the device.
    """
    device = resolve_device(runtime_config)
    cancel = cancel or CancelToken()
    choice = resolve_attention(files, runtime_config, profile, process_group)
    if process_group is not None and process_group.size > 1 and choice.name != runtime_config.attention:
        raise RequestError(
            "rank 0 computes attention by {attention}, which does not work on this rank "
            "({reason}): choose --attention native",
            attention=runtime_config.attention,
            reason=choice.messages[0],
        )
    transformer = load_transformer(files, runtime_config, profile, on_message, cancel)
    cancel.check()
    if runtime_config.compile:
        # Before offloading and step caches, whose hooks cannot be compiled.
        compile_blocks(transformer)
    set_attention_backend(transformer, choice)
    for text in choice.messages:
        on_message(Message(text))
    pipeline = assemble_pipeline(transformer, files.folder)
    pipeline.process_group = process_group
    if process_group is not None and _uses_context_parallel(process_group):
        enable_context_parallel(transformer, process_group)
    pipeline.prompt_encoder = PromptEncoder(files.folder / "text_encoder", files.folder / "tokenizer", cache)
    cancel.check()
    apply_offload(pipeline, profile.offload, device)
    return pipeline


def resolve_attention(
    files: ModelFiles, runtime_config: RuntimeConfig, profile: Profile, process_group: ProcessGroup | None = None
) -> AttentionChoice:
    """The attention kernel on this machine; all settings are checked here, before anything is loaded.

    Raises `RequestError` for settings that exclude each other, or whose package is not installed.
    """
    device = resolve_device(runtime_config)
    if runtime_config.compile:
        check_compile(profile, device, files.gguf is not None)
    config = FantasyPortraitTransformer3DModel.load_config(files.folder / "transformer")
    heads = config["num_attention_heads"]
    context_parallel = process_group is not None and _uses_context_parallel(process_group)
    if process_group is not None and context_parallel:
        check_context_parallel(heads, process_group)
    return select_attention(
        runtime_config.attention,
        device,
        resolve_dtype(runtime_config, device),
        heads=heads,
        head_dim=config["attention_head_dim"],
        compiler=COMPILER if runtime_config.compile else None,
        context_parallel=context_parallel,
    )


def transformer_folder(
    files: ModelFiles,
    runtime_config: RuntimeConfig,
    profile: Profile,
    on_message: MessageCallback = _ignore,
    cancel: CancelToken | None = None,
) -> Path:
    """The folder that the transformer is loaded from; for memory-mapped weights, a copy in the compute dtype."""
    folder = files.folder / "transformer"
    if files.gguf is None and profile.offload in ("stream", "disk"):
        # A memory-mapped file leaves only pinned copies in memory, or none.
        return cast_folder(folder, resolve_dtype(runtime_config, resolve_device(runtime_config)), on_message, cancel)
    return folder


def load_transformer(
    files: ModelFiles,
    runtime_config: RuntimeConfig,
    profile: Profile,
    on_message: MessageCallback = _ignore,
    cancel: CancelToken | None = None,
) -> FantasyPortraitTransformer3DModel:
    """The transformer with the profile's weights, on the CPU unless bitsandbytes quantizes it on the GPU."""
    device = resolve_device(runtime_config)
    precision = resolve_dtype(runtime_config, device)
    folder = transformer_folder(files, runtime_config, profile, on_message, cancel)
    if files.gguf is not None:
        return load_gguf_transformer(files.gguf, folder, precision)
    arguments = pretrained_kwargs(profile, precision, device)
    transformer = FantasyPortraitTransformer3DModel.from_pretrained(folder, **arguments)
    if profile.weights == "fp8":
        enable_fp8_storage(transformer, precision)
    return transformer


def assemble_pipeline(transformer: FantasyPortraitTransformer3DModel, folder: Path) -> FantasyPortraitPipeline:
    """The pipeline of a transformer and the folder's other components, on the CPU, without the text encoder."""
    pipeline = FantasyPortraitPipeline(
        transformer=transformer,
        motion_adapter=MotionAdapter.from_pretrained(folder / "motion_adapter"),
        vae=AutoencoderKLWan.from_pretrained(folder / "vae", torch_dtype=torch.float32),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=FLOW_SHIFT),
        image_encoder=CLIPVisionModel.from_pretrained(folder / "image_encoder", dtype=torch.float32),
        image_processor=CLIPImageProcessorPil.from_pretrained(folder / "image_processor"),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _uses_context_parallel(process_group: ProcessGroup) -> bool:
    return process_group.size > 1 and process_group.mode == "context"


def write_model_index(folder: Path, base: Path) -> None:
    """Write `model_index.json` and the scheduler's config into an assembled folder with the transformer's weights.

    `FantasyPortraitPipeline.from_pretrained` then loads it. The base model's components keep the entries of its index.
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
    FlowMatchEulerDiscreteScheduler(shift=FLOW_SHIFT).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
