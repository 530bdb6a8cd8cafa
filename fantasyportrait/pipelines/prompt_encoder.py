"""Prompt embeddings by UMT5, run layer by layer from its shards and cached on the disk by a hash of the prompt.

The text encoder has 5.7 billion parameters. Most videos have the empty prompt, which is encoded once and then cached.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.wan.pipeline_wan_i2v import prompt_clean
from diffusers.utils.torch_utils import get_module_execution_device
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5EncoderModel

from fantasyportrait.core.disk_cache import DiskCache
from fantasyportrait.core.errors import WeightsError
from fantasyportrait.runtime.library_logging import quiet_libraries

# The end-of-sequence token of every T5 tokenizer, which is all of an empty text.
EOS_TOKEN_ID = 1
MAX_SEQUENCE_LENGTH = 512
_FILE = "rows.npy"


@dataclass(frozen=True)
class PromptEncoder:
    """Encodes prompts with the models in the folders `text_encoder` and `tokenizer`, cached in the folder `cache`."""

    text_encoder: Path
    tokenizer: Path
    cache: Path

    def __call__(self, prompt: str) -> torch.Tensor:
        """Hidden states float32 (tokens, text_dim) of a prompt, at most 512 tokens; computed in bfloat16.

        Raises `WeightsError` if the text encoder's weights are missing or damaged.
        """
        cache = DiskCache(self.cache / "prompts")
        key = hashlib.sha256(f"{self._digest()}\n{prompt.strip()}".encode()).hexdigest()
        kept = cache.load(key, _read)
        if kept is not None:
            return kept
        rows = self._compute(prompt.strip())
        cache.store(key, partial(_write, rows))
        return rows

    def _compute(self, prompt: str) -> torch.Tensor:
        try:
            with quiet_libraries():
                return self._states(prompt)
        except Exception as error:  # each library raises errors of its own for a damaged file
            raise WeightsError(
                "the text encoder in {text_encoder} or its tokenizer cannot be read ({error}): fetch the base "
                "model again",
                text_encoder=self.text_encoder,
                error=error,
            ) from error

    def _states(self, prompt: str) -> torch.Tensor:
        tokens = [EOS_TOKEN_ID]
        if prompt:
            tokenizer = AutoTokenizer.from_pretrained(self.tokenizer, local_files_only=True, trust_remote_code=False)
            tokens = tokenizer(prompt_clean(prompt), truncation=True, max_length=MAX_SEQUENCE_LENGTH).input_ids
        with tempfile.TemporaryDirectory() as unused:
            # With "disk", each layer is read from its safetensors file when it runs, and freed afterwards.
            model = UMT5EncoderModel.from_pretrained(
                self.text_encoder,
                device_map={"": "disk"},
                offload_folder=unused,
                dtype=torch.bfloat16,
                local_files_only=True,
            )
            with torch.no_grad():
                # Without padding, which would be masked anyway.
                states = model(torch.tensor([tokens])).last_hidden_state
        return states[0].float().contiguous()

    def _digest(self) -> str:
        """SHA-256 of config, index and tokenizer, and of the shards' paths, sizes and times; hashing the shards would
        take minutes."""
        shards = sorted(self.text_encoder.glob("*.safetensors"))
        if not shards or not (self.text_encoder / "config.json").is_file():
            raise WeightsError(
                "the text encoder's weights are not in {text_encoder}, and even the empty prompt needs them "
                "once: fetch the base model whole",
                text_encoder=self.text_encoder,
            )
        digest = hashlib.sha256()
        for shard in shards:
            state = shard.stat()
            digest.update(f"{shard.resolve()} {state.st_size} {state.st_mtime_ns}\n".encode())
        small = [*self.text_encoder.glob("*.json"), *(path for path in self.tokenizer.glob("*") if path.is_file())]
        for path in sorted(small):
            digest.update(path.read_bytes())
        return digest.hexdigest()


def text_states(text_encoder: UMT5EncoderModel, tokenizer: PreTrainedTokenizerBase, prompt: str) -> torch.Tensor:
    """UMT5's hidden states (tokens, text_dim) of a prompt, at most 512 tokens, padded and masked as in diffusers."""
    inputs = tokenizer(
        [prompt_clean(prompt)],
        padding="max_length",
        max_length=MAX_SEQUENCE_LENGTH,
        truncation=True,
        return_attention_mask=True,
        return_tensors="pt",
    )
    device = get_module_execution_device(text_encoder)
    states = text_encoder(inputs.input_ids.to(device), inputs.attention_mask.to(device)).last_hidden_state
    return states[0, : int(inputs.attention_mask.sum())]


def _read(entry: Path) -> torch.Tensor:
    return torch.from_numpy(np.load(entry / _FILE, allow_pickle=False))


def _write(rows: torch.Tensor, entry: Path) -> None:
    np.save(entry / _FILE, rows.numpy(), allow_pickle=False)
