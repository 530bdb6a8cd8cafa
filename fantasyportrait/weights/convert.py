"""Conversion of original tensors to safetensors files under our names, with a check of each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import OutputError, WeightsError
from fantasyportrait.core.optional import require
from fantasyportrait.core.tensor_check import Shape, check_tensors
from fantasyportrait.weights.key_mapping import Component, convert_keys, original_key
from fantasyportrait.weights.original_files import Tensors


def convert_tensors(part: Component, source: Path, tensors: Tensors, expected: Mapping[str, Shape]) -> Tensors:
    """`tensors` of the file `source` under our names, exactly those of `expected`; `WeightsError` names what differs.

    The adapter and the encoder are returned in float32, their original type; motion
    attention keeps its type, since it takes the transformer's.
    """
    try:
        ours = convert_keys(part, tensors)
    except WeightsError as error:
        raise WeightsError("{source}: {error}", source=source, error=error) from error
    shapes = {key: tuple(tensor.shape) for key, tensor in ours.items()}
    check_tensors(source, shapes, expected, lambda key: original_key(part, key))
    return ours if part == "motion_attention" else {key: _as_float32(key, tensor) for key, tensor in ours.items()}


def save_tensors(tensors: Tensors, path: Path) -> None:
    """Write a safetensors file; `OutputError` when the disk is full or the place is not writable."""
    purpose = "converting the original weights"
    library = require("safetensors.torch", extra="wan", purpose=purpose)
    damage = require("safetensors", extra="wan", purpose=purpose).SafetensorError
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        library.save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, {"format": "pt"})
    except (OSError, damage) as error:
        raise OutputError(
            "{path} cannot be written ({error}): free some space or choose another folder", path=path, error=error
        ) from error


def _as_float32(key: str, tensor: Any) -> Any:
    # A batch norm's counter is an integer; a repack in half precision has made it a float.
    return tensor.long() if key.endswith("num_batches_tracked") else tensor.float()
