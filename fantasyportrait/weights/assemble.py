"""Assemble base and adapter into one folder that diffusers loads: links, the converted adapter, a merged index.

Loading the base and assigning the adapter afterwards leaves tensors on the meta device as soon as a quantizer or a
device map is in play; a folder works with all of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fantasyportrait.core.atomic_write import atomic_write
from fantasyportrait.core.errors import OutputError, WeightsError
from fantasyportrait.core.tensor_check import Shape, check_tensors
from fantasyportrait.weights.convert import convert_tensors, save_tensors
from fantasyportrait.weights.links import link_file, link_folder
from fantasyportrait.weights.original_files import FACE_NETS, adapter_files, read_original
from fantasyportrait.weights.safetensors_header import read_weight_map, tensor_shapes
from fantasyportrait.weights.wan_paths import CONFIGS, WEIGHTS_NAMES, WanPaths

MOTION_ATTENTION = "motion_attention.safetensors"
MANIFEST = ".assembled.json"

_VERSION = 1
"""Raise it when folders assembled before are no longer valid."""
_WEIGHTS_NAME = WEIGHTS_NAMES["transformer"]
_LINKED = (*(part for part in WEIGHTS_NAMES if part != "transformer"), *CONFIGS)
# Stock repositories have an unused norm; diffusers ignores it too.
_UNREAD_IN_BASE = ".norm_added_q."


@dataclass(frozen=True)
class NetworkSpec:
    """Expected content of a network's folder: the shape of every tensor under our names, and its config.json."""

    shapes: Mapping[str, Shape]
    config: Mapping[str, Any]


@dataclass(frozen=True)
class WanNetworkSpecs:
    """The networks that an assembled folder is made for; the transformer's shapes include motion attention's."""

    transformer: NetworkSpec
    motion_adapter: NetworkSpec
    motion_encoder: NetworkSpec


def assemble(sources: WanPaths, networks: WanNetworkSpecs, out: Path) -> Path:
    """Make the folder `out` from the sources and return it; it is made again only when they or the networks change.

    It holds transformer/ (our config, the base's shards, motion_attention.safetensors, one index; of a GGUF model only
    config and motion attention), motion_adapter/, motion_encoder/, the base's other components, and the two face nets.
    It appears whole or not at all. Raises `WeightsError` that names what is missing or wrong, `OutputError` where it
    cannot be written or where `out` is a folder that was not made here.
    """
    fingerprint = _fingerprint(sources, networks)
    if _read_manifest(out) == fingerprint:
        return out
    if out.exists() and _read_manifest(out) is None and any(out.iterdir()):
        raise OutputError(
            "{out} was not made from a base and an adapter and is left alone: choose another folder", out=out
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out) as made:
            made.mkdir(mode=0o700)
            _fill(sources, networks, made)
            _write_json(made / MANIFEST, fingerprint)
            if out.exists():  # it goes with the hidden folder, since a folder that is not empty cannot be replaced
                out.replace(made.with_name(f"{out.name}.before"))
    except OSError as error:
        if _read_manifest(out) != fingerprint:  # otherwise another process has made the same folder first
            raise OutputError(
                "{out} cannot be written ({reason}): close what uses it, or choose another folder",
                out=out,
                reason=error.strerror or error,
            ) from error
    return out


def _fill(sources: WanPaths, networks: WanNetworkSpecs, folder: Path) -> None:
    motion = {key: shape for key, shape in networks.transformer.shapes.items() if _is_motion(key)}
    stock = {key: shape for key, shape in networks.transformer.shapes.items() if not _is_motion(key)}
    transformer = folder / "transformer"
    _write_json(transformer / "config.json", networks.transformer.config)
    weight_map = {} if sources.gguf else _link_shards(sources.base / "transformer", stock, transformer)
    original = read_original(sources.adapter)
    attention = convert_tensors("motion_attention", original.adapter_file, original.motion_attention, motion)
    save_tensors(attention, transformer / MOTION_ATTENTION)
    if weight_map:
        weight_map.update(dict.fromkeys(attention, MOTION_ATTENTION))
        total = sum((transformer / name).stat().st_size for name in set(weight_map.values()))
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        _write_json(transformer / f"{_WEIGHTS_NAME}.safetensors.index.json", index)
    for network, part in ((networks.motion_adapter, "motion_adapter"), (networks.motion_encoder, "motion_encoder")):
        _write_json(folder / part / "config.json", network.config)
    adapter = convert_tensors(
        "motion_adapter", original.adapter_file, original.motion_adapter, networks.motion_adapter.shapes
    )
    save_tensors(adapter, folder / "motion_adapter" / f"{_WEIGHTS_NAME}.safetensors")
    encoder = convert_tensors(
        "motion_encoder", original.encoder_file, original.motion_encoder, networks.motion_encoder.shapes
    )
    save_tensors(encoder, folder / "motion_encoder" / f"{_WEIGHTS_NAME}.safetensors")
    for part in _LINKED:
        link_folder(sources.base / part, folder / part)
    for name in FACE_NETS:
        link_file(sources.adapter / name, folder / name)


def _link_shards(source: Path, expected: Mapping[str, Shape], target: Path) -> dict[str, str]:
    """Check the headers of the base's shards and link them; returns the file of each tensor."""
    weight_map = read_weight_map(source, _WEIGHTS_NAME)
    found: dict[str, Shape] = {}
    for name in sorted(set(weight_map.values())):
        held = tensor_shapes(source / name)
        found.update({key: shape for key, shape in held.items() if weight_map.get(key) == name})
        link_file(source / name, target / name)
    lost = [key for key in weight_map if key not in found]
    if lost:
        raise WeightsError(
            "{source} lacks {lost}, which its index names: fetch the base again",
            source=source / weight_map[lost[0]],
            lost=lost[0],
        )
    check_tensors(source, {key: shape for key, shape in found.items() if _UNREAD_IN_BASE not in key}, expected)
    return weight_map


def _is_motion(key: str) -> bool:
    return key.endswith(("attn2.to_k_motion.weight", "attn2.to_v_motion.weight"))


def _fingerprint(sources: WanPaths, networks: WanNetworkSpecs) -> dict[str, Any]:
    """Return the inputs of an assembled folder for its manifest: files by path, size and time, and networks."""
    files = [*adapter_files(sources.adapter), *(sources.adapter / name for name in FACE_NETS)]
    parts = ["transformer", *_LINKED] if sources.gguf is None else _LINKED
    for part in parts:
        files += [path for path in sorted((sources.base / part).rglob("*")) if path.is_file()]
    try:
        states = [(path, path.stat()) for path in files]
    except OSError as error:
        raise WeightsError(
            "{filename} cannot be read ({strerror}): fetch the model again",
            filename=error.filename,
            strerror=error.strerror,
        ) from error
    expected = (networks.transformer, networks.motion_adapter, networks.motion_encoder)
    fingerprint = {
        "version": _VERSION,
        "gguf": sources.gguf is not None,
        "files": [[str(path.resolve()), state.st_size, state.st_mtime_ns] for path, state in states],
        "networks": [[dict(network.config), {**network.shapes}] for network in expected],
    }
    facts_as_read: dict[str, Any] = json.loads(json.dumps(fingerprint))
    return facts_as_read


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the inputs in the manifest of an assembled folder; None for any other folder."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            "{path} cannot be written ({strerror}): choose another folder for the models",
            path=path,
            strerror=error.strerror,
        ) from error
