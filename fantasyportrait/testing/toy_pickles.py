"""Tensors of ours written as the published pickles have them: names, nesting and the tensors that nothing reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fantasyportrait.core.optional import require
from fantasyportrait.weights.published_files import ADAPTER_PICKLE, ENCODER_PICKLE
from fantasyportrait.weights.published_keys import Part, published_key


def write_pickles(
    folder: Path, adapter: Mapping[str, Any], attention: Mapping[str, Any], encoder: Mapping[str, Any]
) -> None:
    """Write `fantasyportrait_model.ckpt` and `pd_fpg.pth` from state dicts (torch tensors) under our names."""
    torch = require("torch", extra="wan", purpose="writing a toy model")
    groups: dict[str, dict[str, Any]] = {"ip_adapter": _published("motion_attention", attention)}
    for key, tensor in _published("motion_adapter", adapter).items():
        group, _, rest = key.partition(".")
        groups.setdefault(group, {})[rest] = tensor
    torch.save(groups, folder / ADAPTER_PICKLE)
    flat = _published("motion_encoder", encoder)
    # The published file carries a head that nothing reads.
    flat |= {"mouth_embed.1.weight": torch.zeros(500, 512), "mouth_embed.1.bias": torch.zeros(500)}
    torch.save(flat, folder / ENCODER_PICKLE)


def _published(part: Part, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {published_key(part, key): tensor for key, tensor in tensors.items()}
