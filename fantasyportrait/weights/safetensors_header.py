"""Shapes of the tensors in safetensors files, read from the headers alone: 35 GB are checked without reading them."""

import json
from collections.abc import Mapping
from pathlib import Path

from fantasyportrait.core.errors import WeightsError, first_line
from fantasyportrait.core.optional import require
from fantasyportrait.core.tensor_check import Shape


def tensor_shapes(path: Path) -> dict[str, Shape]:
    """The shape of every tensor in a safetensors file, by key; tensors are neither read nor unpickled.

    Raises `WeightsError` for a file that is missing, is not of that format, or is shorter or longer than its header
    says, as after a download that broke off.
    """
    library = require("safetensors", extra="wan", purpose="reading a model's weights")
    try:
        size = path.stat().st_size
        # "numpy" is the framework of tensors that are never read; it imports nothing heavy.
        with library.safe_open(path, framework="numpy") as held:
            return {key: tuple(held.get_slice(key).get_shape()) for key in held.keys()}  # noqa: SIM118 - no mapping
    except OSError as error:
        raise WeightsError(
            "{path} cannot be read ({reason}): fetch it again", path=path, reason=error.strerror or error
        ) from error
    except library.SafetensorError as error:
        raise WeightsError(
            "{path} has {size} bytes and is damaged or is not a safetensors file ({reason}): fetch it again",
            path=path,
            size=size,
            reason=first_line(error),
        ) from error


def read_weight_map(folder: Path, name: str) -> dict[str, str]:
    """The file in `folder` that holds each tensor of the model `name` ("model", "diffusion_pytorch_model"), by key.

    One file or shards with an index, as transformers and diffusers write them. Raises `WeightsError` where neither is.
    """
    index = folder / f"{name}.safetensors.index.json"
    single = folder / f"{name}.safetensors"
    if not index.is_file():
        if not single.is_file():
            raise WeightsError(
                "{folder} holds neither {index} nor {file}: fetch the base model again",
                folder=folder,
                index=index.name,
                file=single.name,
            )
        return dict.fromkeys(tensor_shapes(single), single.name)
    try:
        weight_map: Mapping[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = {str(key): str(file) for key, file in weight_map.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError("{index} is not an index of shards: fetch it again", index=index) from error
    outside = [file for file in files.values() if Path(file).name != file]
    if outside:
        raise WeightsError(
            "{index} points out of its folder, to {outside}: fetch it again", index=index, outside=outside[0]
        )
    return files
