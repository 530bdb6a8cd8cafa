"""The diffusion engine's files on the Hugging Face Hub: one row a download."""

from dataclasses import dataclass
from typing import Literal

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.suggest import did_you_mean
from fantasyportrait.weights.original_files import ADAPTER_PICKLE, ENCODER_PICKLE, FACE_NETS, REPACK

Kind = Literal["base", "adapter", "lora", "gguf", "part"]


@dataclass(frozen=True)
class HubModel:
    """A row of the catalog: the files that `weights fetch NAME` downloads from one repository."""

    name: str
    kind: Kind
    repo: str
    revision: str
    """A commit, or "main" where none is pinned: then fetching records the commit."""
    files: tuple[str, ...]
    """Paths in the repository, with * for any name; each has to be there."""
    approx_bytes: int
    """Rounded, for the list; a download uses the hub's figures."""
    licence: str
    purpose: str
    folder: str
    """Inside the models folder."""
    requires: tuple[str, ...] = ()
    """Rows without which this one cannot run: they are fetched with it."""


_AROUND_TRANSFORMER = (
    "model_index.json",
    "transformer/config.json",
    "vae/*",
    # Needed once, for the embedding of the empty prompt.
    "text_encoder/*",
    "tokenizer/*",
    "image_encoder/*",
    "image_processor/*",
    "scheduler/*",
)
_TRANSFORMER = "transformer/*.safetensors*"
_480P = ("Wan-AI/Wan2.1-I2V-14B-480P-Diffusers", "b184e23a8a16b20f108f727c902e769e873ffc73")
_720P = ("Wan-AI/Wan2.1-I2V-14B-720P-Diffusers", "main")
_APACHE = "Apache-2.0"


def _base(size: str, at: tuple[str, str], note: str) -> tuple[HubModel, HubModel]:
    """The whole base model, and the same without its transformer for those who run a GGUF file instead."""
    folder = f"wan/base-{size}"
    whole = (*_AROUND_TRANSFORMER, _TRANSFORMER)
    encoders = f"encoders-{size}"
    return (
        HubModel(f"wan-{size}", "base", *at, whole, 90_100_000_000, _APACHE, note, folder, ("adapter",)),
        HubModel(
            *(encoders, "part", *at, _AROUND_TRANSFORMER, 24_500_000_000, _APACHE),
            purpose=f"wan-{size} without its transformer, for a GGUF file",
            folder=folder,
        ),
    )


def _gguf(name: str, size: str, quantization: str, approx_bytes: int) -> HubModel:
    return HubModel(
        *(name, "gguf", f"city96/Wan2.1-I2V-14B-{size.upper()}-gguf", "main"),
        files=(f"wan2.1-i2v-14b-{size}-{quantization}.gguf",),
        approx_bytes=approx_bytes,
        licence=_APACHE,
        purpose=f"the transformer of wan-{size}, quantized to {quantization}",
        folder="wan/gguf",
        requires=(f"encoders-{size}", "adapter"),
    )


HUB_MODELS: tuple[HubModel, ...] = (
    *_base("720p", _720P, "the base model that the adapter was trained on; with its text encoder, needed once"),
    *_base("480p", _480P, "the base model for smaller pictures; with its text encoder, needed once"),
    HubModel(
        *("adapter", "adapter", "acvlab/FantasyPortrait", "main", (ADAPTER_PICKLE, ENCODER_PICKLE, *FACE_NETS)),
        approx_bytes=4_100_000_000,
        licence=_APACHE,
        purpose="motion attention, motion adapter, motion encoder and face nets, as in the original (pickles)",
        folder="wan/adapter",
    ),
    HubModel(
        *("face-nets", "part", "acvlab/FantasyPortrait", "main", FACE_NETS),
        approx_bytes=3_200_000,
        licence=_APACHE,
        purpose="face detector and landmarks of the diffusion engine",
        folder="wan/adapter",
    ),
    HubModel(
        *("adapter-fp16", "adapter", "Kijai/WanVideo_comfy", "main", (f"FantasyPortrait/{REPACK}",)),
        approx_bytes=2_030_000_000,
        licence=_APACHE,
        purpose="the adapter in half precision and one file, without pickles: instead of adapter",
        folder="wan/adapter",
        requires=("face-nets",),
    ),
    HubModel(
        *("lightx2v", "lora", "lightx2v/Wan2.1-I2V-14B-480P-StepDistill-CfgDistill-Lightx2v", "main"),
        files=("loras/Wan21_I2V_14B_lightx2v_cfg_step_distill_lora_rank64.safetensors",),
        approx_bytes=740_000_000,
        licence=_APACHE,
        purpose="LoRA for 4 steps instead of 30, without text guidance, made for 480p: for --preset draft",
        folder="wan/lora",
    ),
    _gguf("gguf-q4", "720p", "Q4_K_M", 11_341_000_000),
    _gguf("gguf-q8", "720p", "Q8_0", 18_100_000_000),
    _gguf("gguf-q4-480p", "480p", "Q4_K_M", 11_341_000_000),
    _gguf("gguf-q8-480p", "480p", "Q8_0", 18_100_000_000),
    HubModel(
        *("sam", "part", "facebook/sam-vit-base", "70c1a07f894ebb5b307fd9eaaee97b9dfc16068f"),
        files=("config.json", "model.safetensors"),
        approx_bytes=375_000_000,
        licence=_APACHE,
        purpose="Segment Anything: face masks by the outline of the face (--face-mask segment)",
        folder="sam",
    ),
)


def hub_model(name: str) -> HubModel:
    """The catalog's row of that name; `RequestError` for an unknown one."""
    for row in HUB_MODELS:
        if row.name == name:
            return row
    known = hub_model_names()
    raise RequestError(
        "there is no model named {name!r}{hint}: the catalog has {names}",
        name=name,
        hint=did_you_mean(name, known),
        names=", ".join(known),
    )


def hub_model_names(*kinds: Kind) -> tuple[str, ...]:
    """The names of the rows of these kinds, or of all."""
    return tuple(row.name for row in HUB_MODELS if not kinds or row.kind in kinds)


def with_dependencies(names: tuple[str, ...]) -> tuple[HubModel, ...]:
    """The named rows and those without which they cannot run, each once, in the catalog's order."""
    wanted = {needed for name in names for needed in (name, *hub_model(name).requires)}
    return tuple(row for row in HUB_MODELS if row.name in wanted)
