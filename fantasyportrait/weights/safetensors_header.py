"""What a safetensors file holds, read from its header alone: 35 GB are checked without reading them."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.core.tensor_check import Shape

_LENGTH = struct.Struct("<Q")
_LARGEST_HEADER = 100_000_000  # the format's own limit, in bytes


def tensor_shapes(path: Path) -> dict[str, Shape]:
    """The shape of every tensor in a safetensors file, by key.

    Raises `WeightsError` for a file that is missing, is not of that format, or is shorter or longer than its header
    says, as after a download that broke off.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(_LENGTH.size)
            (length,) = _LENGTH.unpack(start) if len(start) == _LENGTH.size else (0,)
            text = file.read(length) if 0 < length <= _LARGEST_HEADER else b""
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}): fetch it again") from error
    try:
        entries = {key: entry for key, entry in json.loads(text).items() if key != "__metadata__"}
        shapes = {key: tuple(int(side) for side in entry["shape"]) for key, entry in entries.items()}
        data = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise WeightsError(f"{path} is not a safetensors file: fetch it again") from error
    whole = _LENGTH.size + length + data
    if size != whole:
        raise WeightsError(f"{path} has {size} bytes and its header speaks of {whole}: it is damaged, fetch it again")
    return shapes


def read_weight_map(folder: Path, name: str) -> dict[str, str]:
    """The file in `folder` that holds each tensor of the model `name` ("model", "diffusion_pytorch_model"), by key.

    One file or shards with an index, as transformers and diffusers write them. Raises `WeightsError` where neither is.
    """
    index = folder / f"{name}.safetensors.index.json"
    single = folder / f"{name}.safetensors"
    if not index.is_file():
        if not single.is_file():
            raise WeightsError(f"{folder} holds neither {index.name} nor {single.name}: fetch the base model again")
        return dict.fromkeys(tensor_shapes(single), single.name)
    try:
        weight_map: Mapping[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = {str(key): str(file) for key, file in weight_map.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{index} is not an index of shards: fetch it again") from error
    outside = [file for file in files.values() if Path(file).name != file]
    if outside:
        raise WeightsError(f"{index} points out of its folder, to {outside[0]}: fetch it again")
    return files
