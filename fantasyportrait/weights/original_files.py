"""The adapter's original files: two pickles, or the one-file repack.

Pickles are always opened with `weights_only=True`: one that holds anything but tensors is refused.
"""

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import WeightsError, first_line
from fantasyportrait.core.optional import require
from fantasyportrait.core.tensor_check import shorten_list
from fantasyportrait.weights.safetensors_header import tensor_shapes

ADAPTER_PICKLE = "fantasyportrait_model.ckpt"
ENCODER_PICKLE = "pd_fpg.pth"
REPACK = "Wan2_1_FantasyPortrait_fp16.safetensors"
FACE_DETECTOR, FACE_LANDMARKS = "face_det.onnx", "face_landmark.onnx"
FACE_NETS = (FACE_DETECTOR, FACE_LANDMARKS)

Tensors = dict[str, Any]
"""torch.Tensor by key; this room imports torch only to open a file."""

_PURPOSE = "reading the original weights"
_ADAPTER_DICTS = ("proj_model", "mouth_proj_model", "emo_proj_model")
_ATTENTION_DICT = "ip_adapter"


@dataclass(frozen=True)
class OriginalWeights:
    """Tensors of the three original parts under their original names, and the file that each part came from."""

    motion_adapter: Tensors
    motion_attention: Tensors
    motion_encoder: Tensors
    adapter_file: Path
    encoder_file: Path


def adapter_files(folder: Path, advice: str = "fetch the model again") -> tuple[Path, ...]:
    """The files in an adapter folder that hold the weights: the two pickles, or else the repack.

    Raises `WeightsError` that says which file is missing, and `advice`.
    """
    pickles = (folder / ADAPTER_PICKLE, folder / ENCODER_PICKLE)
    if all(path.is_file() for path in pickles):
        return pickles
    for repack in (folder / REPACK, folder / "FantasyPortrait" / REPACK):
        if repack.is_file():
            return (repack,)
    missing = [path.name for path in pickles if not path.is_file()]
    raise WeightsError(
        "{folder} lacks {names} (or {repack} instead): {advice}",
        folder=folder,
        names=" and ".join(missing),
        repack=REPACK,
        advice=advice,
    )


def read_original(folder: Path) -> OriginalWeights:
    """Every tensor of an adapter folder, on the CPU, read from disk when it is used.

    Raises `WeightsError` for a missing, damaged or unsafe file and for keys that are not of the original layout.
    """
    files = adapter_files(folder)
    if len(files) == 1:
        return _read_repack(files[0])
    adapter, encoder = files
    groups = _open_pickle(adapter)
    unknown = sorted(set(groups) - {*_ADAPTER_DICTS, _ATTENTION_DICT})
    absent = [name for name in (*_ADAPTER_DICTS, _ATTENTION_DICT) if not isinstance(groups.get(name), Mapping)]
    if unknown or absent:
        said = [f"it lacks the dict {name}" for name in absent] + [f"it has an unexpected {name}" for name in unknown]
        raise WeightsError("{adapter} is not the original adapter: {said}", adapter=adapter, said=shorten_list(said))
    flat = {f"{name}.{key}": value for name in _ADAPTER_DICTS for key, value in groups[name].items()}
    return OriginalWeights(
        motion_adapter=_only_tensors(adapter, flat),
        motion_attention=_only_tensors(adapter, groups[_ATTENTION_DICT]),
        motion_encoder=_only_tensors(encoder, _open_pickle(encoder)),
        adapter_file=adapter,
        encoder_file=encoder,
    )


def _open_pickle(path: Path) -> dict[str, Any]:
    torch = require("torch", extra="wan", purpose=_PURPOSE)
    try:
        # Only the zip format can be mapped into memory; files of before torch 1.6 are read whole.
        content = torch.load(path, weights_only=True, map_location="cpu", mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise WeightsError(
            "{path} is refused: it is damaged, or holds more than tensors and could run code when opened; "
            "fetch it again from its maker",
            path=path,
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise WeightsError(
            "{path} cannot be read as weights ({reason}): fetch it again", path=path, reason=first_line(error)
        ) from error
    if not isinstance(content, Mapping):
        raise WeightsError(
            "{path} holds a {name}, not a dict of tensors: fetch it again", path=path, name=type(content).__name__
        )
    return dict(content)


def _read_repack(path: Path) -> OriginalWeights:
    tensor_shapes(path)
    library = require("safetensors.torch", extra="wan", purpose=_PURPOSE)
    parts: dict[str, Tensors] = {"motion_adapter": {}, "motion_attention": {}, "motion_encoder": {}}
    strange: list[str] = []
    for key, tensor in library.load_file(path).items():
        head, _, rest = key.partition(".")
        if head in _ADAPTER_DICTS:
            parts["motion_adapter"][key] = tensor
        elif head == "pd_fpg":
            parts["motion_encoder"][rest] = tensor
        elif head in (_ATTENTION_DICT, "blocks"):
            bare = key.removeprefix(f"{_ATTENTION_DICT}.")
            # The keys of the repack lack the part "processor" of the original keys.
            parts["motion_attention"][bare.replace(".cross_attn.ip_", ".cross_attn.processor.ip_")] = tensor
        else:
            strange.append(key)
    if strange:
        raise WeightsError(
            "{path} is not the original adapter: it has an unexpected {strange}",
            path=path,
            strange=shorten_list(strange),
        )
    return OriginalWeights(**parts, adapter_file=path, encoder_file=path)


def _only_tensors(path: Path, values: Mapping[Any, Any]) -> Tensors:
    torch = require("torch", extra="wan", purpose=_PURPOSE)
    others = [f"{key} ({type(value).__name__})" for key, value in values.items() if not torch.is_tensor(value)]
    if others:
        raise WeightsError("{path} holds what is no tensor: {others}", path=path, others=shorten_list(others))
    return {str(key): value for key, value in values.items()}
