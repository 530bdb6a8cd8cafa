"""Shards of a transformer cast to its compute dtype, so that they can be memory-mapped.

The system reads the pages of a mapped block when it runs, and drops them when memory is short. The base model's shards
are float32, which loading would cast into a copy in memory.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from fantasyportrait.core.atomic_write import atomic_write
from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import OutputError
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.models.diffusers_compat import float32_modules
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.schema.events import Message, MessageCallback

_INDEX = "diffusion_pytorch_model.safetensors.index.json"


def cast_folder(
    folder: Path, precision: torch.dtype, on_message: MessageCallback, cancel: CancelToken | None = None
) -> Path:
    """A folder beside `folder` (an assembled transformer) with the same tensors in `precision`, made once.

    `on_message` gets a message before it is written. One shard at a time is in memory; `cancel` is checked before each.
    Raises `Cancelled`, and `OutputError` where the disk has no room.
    """
    out = _copy(folder, precision)
    if has_cast_weights(folder, precision):
        return out
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1e9
    text = Sentence(
        "the transformer is written once more beside the model, in its compute dtype: at most {size:.0f} GB on disk",
        size=size,
    )
    on_message(Message(text))
    try:
        with atomic_write(out) as made:
            made.mkdir(mode=0o700)
            _fill(folder, made, precision, cancel or CancelToken())
    except (OSError, RuntimeError, SafetensorError) as error:
        if has_cast_weights(folder, precision):
            return out  # another process was faster, with the same result
        raise OutputError(
            "the transformer could not be written to {out} in {precision} ({error}): it needs at most "
            "{size:.0f} GB there; make room, or choose another profile (model-offload, or a GGUF model)",
            out=out,
            precision=precision,
            error=error,
            size=size,
        ) from error
    return out


def has_cast_weights(folder: Path, precision: torch.dtype) -> bool:
    """Whether the cast copy exists, so that `cast_folder` needs no disk space."""
    return (_copy(folder, precision) / _INDEX).is_file()


def _copy(folder: Path, precision: torch.dtype) -> Path:
    return folder.with_name(f"{folder.name}-{str(precision).removeprefix('torch.')}")


def _fill(folder: Path, out: Path, precision: torch.dtype, cancel: CancelToken) -> None:
    shutil.copyfile(folder / "config.json", out / "config.json")
    index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    for shard in sorted(set(index["weight_map"].values())):
        cancel.check()
        with safe_open(folder / shard, framework="pt") as held:
            tensors = {key: held.get_tensor(key) for key in held.keys()}  # noqa: SIM118 - no mapping
            save_file({key: value.to(_precision(key, precision)) for key, value in tensors.items()}, out / shard)
    # Written last: its presence means that the copy is complete.
    (out / _INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _precision(key: str, precision: torch.dtype) -> torch.dtype:
    """The dtype after loading: norms and time embedding stay in float32."""
    whole = float32_modules(FantasyPortraitTransformer3DModel)
    return torch.float32 if whole & set(key.split(".")) else precision
