"""Write our tensors in the layout of the original pickles: names, nesting and the unused tensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fantasyportrait.core.optional import require
from fantasyportrait.weights.key_mapping import Component, original_key
from fantasyportrait.weights.original_files import ADAPTER_PICKLE, ENCODER_PICKLE


def write_pickles(
    folder: Path, adapter: Mapping[str, Any], attention: Mapping[str, Any], encoder: Mapping[str, Any]
) -> None:
    """Write `fantasyportrait_model.ckpt` and `pd_fpg.pth` from state dicts (torch tensors) under our names."""
    torch = require("torch", extra="wan", purpose="writing a tiny model")
    groups: dict[str, dict[str, Any]] = {"ip_adapter": _original("motion_attention", attention)}
    for key, tensor in _original("motion_adapter", adapter).items():
        group, _, rest = key.partition(".")
        groups.setdefault(group, {})[rest] = tensor
    torch.save(groups, folder / ADAPTER_PICKLE)
    flat = _original("motion_encoder", encoder)
    # The original file has a head that is not used.
    flat |= {"mouth_embed.1.weight": torch.zeros(500, 512), "mouth_embed.1.bias": torch.zeros(500)}
    torch.save(flat, folder / ENCODER_PICKLE)


def _original(part: Component, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {original_key(part, key): tensor for key, tensor in tensors.items()}
