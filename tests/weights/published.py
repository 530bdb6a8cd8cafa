"""Published files at toy size: the real networks' tensors under their published names, as pickles or as the repack."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from fantasyportrait.testing.toy import toy_adapter, toy_base, toy_encoder, toy_transformer
from fantasyportrait.weights.assemble import Network, WanNetworks
from fantasyportrait.weights.published_files import ADAPTER_PICKLE, ENCODER_PICKLE, FACE_NETS, REPACK
from fantasyportrait.weights.published_keys import published_key
from fantasyportrait.weights.wan_sources import WanSources

Tensors = dict[str, torch.Tensor]


def toy_networks() -> WanNetworks:
    """What the toy networks expect."""

    def network(model: torch.nn.Module) -> Network:
        shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
        return Network(shapes, {"_class_name": type(model).__name__, **dict(model.config)})

    return WanNetworks(network(toy_transformer()), network(toy_adapter()), network(toy_encoder()))


def published_adapter(seed: int = 1) -> dict[str, Tensors]:
    """The dict of dicts of `fantasyportrait_model.ckpt`."""
    groups: dict[str, Tensors] = {"proj_model": {}, "mouth_proj_model": {}, "emo_proj_model": {}, "ip_adapter": {}}
    for key, tensor in toy_adapter(seed).state_dict().items():
        group, _, rest = published_key("motion_adapter", key).partition(".")
        groups[group][rest] = tensor
    for key, tensor in toy_transformer(seed).state_dict().items():
        if "_motion." in key:
            groups["ip_adapter"][published_key("motion_attention", key)] = tensor.to(torch.bfloat16)
    return groups


def published_encoder(seed: int = 1) -> Tensors:
    """The flat dict of `pd_fpg.pth`, the unused head with it."""
    ours = toy_encoder(seed).state_dict()
    unused = {"mouth_embed.1.weight": torch.zeros(500, 512), "mouth_embed.1.bias": torch.zeros(500)}
    return {published_key("motion_encoder", key): tensor for key, tensor in ours.items()} | unused


def write_pickles(folder: Path, adapter: object = None, encoder: object = None) -> Path:
    """An adapter folder: the two pickles with these contents, or right ones, and files in place of the face nets."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(adapter or published_adapter(), folder / ADAPTER_PICKLE)
    torch.save(encoder or published_encoder(), folder / ENCODER_PICKLE)
    return write_face_nets(folder)


def write_repack(folder: Path) -> Path:
    """An adapter folder with the one file: half precision, `pd_fpg.`, and no `processor` in the keys of attention."""
    groups = published_adapter()
    flat = {
        f"{name}.{key}".replace(".processor.", "."): value for name in groups for key, value in groups[name].items()
    }
    flat |= {f"pd_fpg.{key}": value for key, value in published_encoder().items()}
    place = folder / "FantasyPortrait" / REPACK
    place.parent.mkdir(parents=True)
    save_file({key: value.half().contiguous() for key, value in flat.items()}, place)
    return write_face_nets(folder)


def write_face_nets(folder: Path) -> Path:
    """Two files in place of the face nets: this room only links them."""
    for name in FACE_NETS:
        (folder / name).write_bytes(name.encode())
    return folder


def toy_sources(folder: Path) -> WanSources:
    """A stock base and the two pickles."""
    toy_base(folder / "base")
    return WanSources(folder / "base", write_pickles(folder / "adapter"))
