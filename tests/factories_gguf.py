"""A GGUF file of a tiny transformer: original Wan key names, large matrices in Q8_0, as the hub's files have them."""

from pathlib import Path

import gguf
import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

_OUTSIDE = (
    "patch_embedding", "text_embedding.0", "text_embedding.2", "time_embedding.0", "time_embedding.2",
    "time_projection.1", "head.head", "img_emb.proj.0", "img_emb.proj.1", "img_emb.proj.3", "img_emb.proj.4",
)  # fmt: skip
_IN_BLOCK = (
    *(f"{part}.{name}" for part in ("self_attn", "cross_attn") for name in ("q", "k", "v", "o")),
    "cross_attn.k_img", "cross_attn.v_img", "norm3", "ffn.0", "ffn.2",
)  # fmt: skip
_NORMS = ("self_attn.norm_q", "self_attn.norm_k", "cross_attn.norm_q", "cross_attn.norm_k", "cross_attn.norm_k_img")


def original_names(layers: int) -> list[str]:
    """Every key of an image-to-video transformer in its original layout."""
    names = [f"{name}.{leaf}" for name in _OUTSIDE for leaf in ("weight", "bias")] + ["head.modulation"]
    for number in range(layers):
        block = f"blocks.{number}"
        names += [f"{block}.{name}.{leaf}" for name in _IN_BLOCK for leaf in ("weight", "bias")]
        names += [f"{block}.{name}.weight" for name in _NORMS] + [f"{block}.modulation"]
    return names


def write_gguf(state: dict[str, torch.Tensor], layers: int, path: Path) -> Path:
    """Write a stock transformer's tensors; matrices whose rows are a multiple of 32 in Q8_0, the rest in float32."""
    writer = gguf.GGUFWriter(path, "wan")
    for name in original_names(layers):
        (ours,) = convert_wan_transformer_to_diffusers({name: torch.zeros(1)})
        tensor = state[ours].float().numpy()
        quantized = tensor.ndim == 2 and tensor.shape[1] % 32 == 0
        kind = gguf.GGMLQuantizationType.Q8_0 if quantized else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(tensor, kind) if quantized else tensor
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
