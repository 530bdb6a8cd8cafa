"""What umT5 says of an empty prompt: one row of numbers, computed once without ever loading the 11 GB model whole."""

import hashlib
import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import UMT5EncoderModel

from fantasyportrait.core.errors import WeightsError

# Of every T5 tokenizer: an empty text is this one token.
END_OF_SENTENCE = 1
ROW = "row"


def empty_prompt_row(text_encoder: Path, cache: Path) -> torch.Tensor:
    """The row (1, text_dim), float32, of an empty prompt; from the folder `cache` where it was computed before.

    The weights are read layer by layer from the shards in the folder `text_encoder`, so that one layer is in memory at
    a time. The cache's key is the shards' names, sizes and index. Raises `WeightsError` where they are missing.
    """
    kept = cache / f"empty-prompt-{_digest(text_encoder)}.safetensors"
    if kept.is_file():
        return load_file(kept)[ROW]
    row = _compute(text_encoder)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        half = Path(folder) / "row.safetensors"
        save_file({ROW: row}, half)
        half.replace(kept)
    return row


def _compute(text_encoder: Path) -> torch.Tensor:
    with tempfile.TemporaryDirectory() as unused:
        # On "disk", safetensors stay where they are: each layer is read when its turn comes and dropped again.
        model = UMT5EncoderModel.from_pretrained(
            text_encoder, device_map={"": "disk"}, offload_folder=unused, dtype="auto"
        )
        with torch.no_grad():
            # Padding is masked, so the other 511 places change nothing.
            states = model(torch.tensor([[END_OF_SENTENCE]])).last_hidden_state
    return states[0].float().contiguous()


def _digest(folder: Path) -> str:
    """sha256 over config, index and the shards' names and sizes: reading 11 GB for a key would take a minute."""
    shards = sorted(folder.glob("*.safetensors"))
    if not shards or not (folder / "config.json").is_file():
        raise WeightsError(
            f"the text encoder's weights are not in {folder}: they are needed once, for the empty prompt; fetch the "
            "base model whole, or give a prompt's embeddings"
        )
    facts = [(shard.name, shard.stat().st_size) for shard in shards]
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.json"))]
    return hashlib.sha256(json.dumps([facts, texts]).encode()).hexdigest()[:16]
