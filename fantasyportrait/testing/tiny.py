"""A tiny base model: real classes with random weights, small enough for a CPU. Its videos are noise."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanImageToVideoPipeline,
    WanTransformer3DModel,
)
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    PreTrainedTokenizerFast,
    UMT5Config,
    UMT5EncoderModel,
)

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.motion_encoder import MotionEncoder
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel

_DIM, _HEADS, _TEXT_DIM, _IMAGE_DIM, _MOTION_DIM = 64, 4, 32, 32, 64
_WORDS = ["a", "photo", "of", "person", "people", "who", "talk", "and", "smile", "in", "the", "light"]


def tiny_transformer_config() -> dict[str, Any]:
    """Arguments of the stock transformer; ours takes `motion_dim` too."""
    return {
        "num_attention_heads": _HEADS,
        "attention_head_dim": _DIM // _HEADS,
        "in_channels": 36,
        "out_channels": 16,
        "text_dim": _TEXT_DIM,
        "freq_dim": 32,
        "ffn_dim": 2 * _DIM,
        "num_layers": 2,
        "image_dim": _IMAGE_DIM,
        "added_kv_proj_dim": _DIM,
    }


def tiny_transformer(seed: int = 0) -> FantasyPortraitTransformer3DModel:
    """Two blocks of width 64 with motion attention."""
    torch.manual_seed(seed)
    return FantasyPortraitTransformer3DModel(**tiny_transformer_config(), motion_dim=_MOTION_DIM).eval()


def tiny_adapter(seed: int = 0) -> MotionAdapter:
    """Original features and token counts, narrow resamplers."""
    torch.manual_seed(seed)
    return MotionAdapter(motion_dim=_MOTION_DIM, dim=64, num_layers=1, num_heads=2, head_dim=32).eval()


def tiny_encoder(seed: int = 0) -> MotionEncoder:
    """Original features, narrow backbone."""
    torch.manual_seed(seed)
    return MotionEncoder(widths=(8, 16, 16), points=8, depth=4).eval()


def tiny_vae(seed: int = 0) -> AutoencoderKLWan:
    """Wan's VAE with its 16 channels and its strides of 8 and 4."""
    torch.manual_seed(seed)
    return AutoencoderKLWan(base_dim=4, num_res_blocks=1, dim_mult=[1, 1, 1, 1]).eval()


def tiny_base(folder: Path, seed: int = 0) -> None:
    """Write a stock image-to-video repository, as the hub has it, into `folder`."""
    torch.manual_seed(seed)
    vision = CLIPVisionConfig(
        hidden_size=_IMAGE_DIM,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    text = UMT5Config(
        vocab_size=len(_WORDS) + 3,
        d_model=_TEXT_DIM,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        tie_word_embeddings=False,
    )
    WanImageToVideoPipeline(
        tokenizer=tiny_tokenizer(),
        text_encoder=UMT5EncoderModel(text).eval(),
        vae=tiny_vae(seed),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        image_encoder=CLIPVisionModel(vision).eval(),
        transformer=WanTransformer3DModel(**tiny_transformer_config()).eval(),
    ).save_pretrained(folder)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of whole words with the end token of T5."""
    vocabulary = {word: number for number, word in enumerate(["<pad>", "</s>", "<unk>", *_WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )


def save_tiny_lora(path: Path) -> None:
    """Write `tiny_lora` as a safetensors file."""
    save_file(tiny_lora(), path)


def tiny_lora(seed: int = 0, rank: int = 4) -> dict[str, torch.Tensor]:
    """A LoRA of all matrices of the blocks in original names, like released step-distilled ones: with differences of
    biases, norms and modulations too."""
    random = torch.Generator().manual_seed(seed)
    attention = [f"{kind}.{layer}" for kind in ("self_attn", "cross_attn") for layer in ("q", "k", "v", "o")]
    sizes = {**dict.fromkeys([*attention, "cross_attn.k_img", "cross_attn.v_img"], (_DIM, _DIM))}
    sizes |= {"ffn.0": (2 * _DIM, _DIM), "ffn.2": (_DIM, 2 * _DIM)}
    lora: dict[str, torch.Tensor] = {}
    for block in range(tiny_transformer_config()["num_layers"]):
        name = f"diffusion_model.blocks.{block}"
        for layer, (outs, ins) in sizes.items():
            lora[f"{name}.{layer}.lora_down.weight"] = torch.randn(rank, ins, generator=random)
            lora[f"{name}.{layer}.lora_up.weight"] = torch.randn(outs, rank, generator=random) / 8
            lora[f"{name}.{layer}.diff_b"] = torch.randn(outs, generator=random) / 8
        lora[f"{name}.cross_attn.norm_k_img.diff"] = torch.zeros(_DIM)
        lora[f"{name}.diff_m"] = torch.zeros(1, 6, _DIM)
    return lora
