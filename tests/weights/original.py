"""Original files at tiny size: the real networks' tensors under their original names, as pickles or as the repack."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from fantasyportrait.testing.tiny import tiny_adapter, tiny_base, tiny_encoder, tiny_transformer
from fantasyportrait.weights.assemble import NetworkSpec, WanNetworkSpecs
from fantasyportrait.weights.key_mapping import original_key
from fantasyportrait.weights.original_files import ADAPTER_PICKLE, ENCODER_PICKLE, FACE_NETS, REPACK
from fantasyportrait.weights.wan_paths import WanPaths

Tensors = dict[str, torch.Tensor]


def tiny_networks() -> WanNetworkSpecs:
    """The specs of the tiny networks."""

    def network(model: torch.nn.Module) -> NetworkSpec:
        shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
        return NetworkSpec(shapes, {"_class_name": type(model).__name__, **dict(model.config)})

    return WanNetworkSpecs(network(tiny_transformer()), network(tiny_adapter()), network(tiny_encoder()))


def original_adapter(seed: int = 1) -> dict[str, Tensors]:
    """The dict of dicts of `fantasyportrait_model.ckpt`."""
    groups: dict[str, Tensors] = {"proj_model": {}, "mouth_proj_model": {}, "emo_proj_model": {}, "ip_adapter": {}}
    for key, tensor in tiny_adapter(seed).state_dict().items():
        group, _, rest = original_key("motion_adapter", key).partition(".")
        groups[group][rest] = tensor
    for key, tensor in tiny_transformer(seed).state_dict().items():
        if "_motion." in key:
            groups["ip_adapter"][original_key("motion_attention", key)] = tensor.to(torch.bfloat16)
    return groups


def original_encoder(seed: int = 1) -> Tensors:
    """The flat dict of `pd_fpg.pth`, the unused head with it."""
    ours = tiny_encoder(seed).state_dict()
    unused = {"mouth_embed.1.weight": torch.zeros(500, 512), "mouth_embed.1.bias": torch.zeros(500)}
    return {original_key("motion_encoder", key): tensor for key, tensor in ours.items()} | unused


def write_pickles(folder: Path, adapter: object = None, encoder: object = None) -> Path:
    """An adapter folder: the two pickles with these contents, or right ones, and files in place of the face nets."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(adapter or original_adapter(), folder / ADAPTER_PICKLE)
    torch.save(encoder or original_encoder(), folder / ENCODER_PICKLE)
    return write_face_nets(folder)


def write_repack(folder: Path) -> Path:
    """An adapter folder with the one file: half precision, `pd_fpg.`, and no `processor` in the keys of attention."""
    groups = original_adapter()
    flat = {
        f"{name}.{key}".replace(".processor.", "."): value for name in groups for key, value in groups[name].items()
    }
    flat |= {f"pd_fpg.{key}": value for key, value in original_encoder().items()}
    place = folder / "FantasyPortrait" / REPACK
    place.parent.mkdir(parents=True)
    save_file({key: value.half().contiguous() for key, value in flat.items()}, place)
    return write_face_nets(folder)


def write_face_nets(folder: Path) -> Path:
    """Two files in place of the face nets: this room only links them."""
    for name in FACE_NETS:
        (folder / name).write_bytes(name.encode())
    return folder


def tiny_sources(folder: Path) -> WanPaths:
    """A stock base and the two pickles."""
    tiny_base(folder / "base")
    return WanPaths(folder / "base", write_pickles(folder / "adapter"))
