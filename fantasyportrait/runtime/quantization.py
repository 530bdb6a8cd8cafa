"""Quantization of the transformer's matrices, with diffusers' quantizers."""

from typing import Any

import torch
from diffusers import BitsAndBytesConfig, ModelMixin, TorchAoConfig

from fantasyportrait.core.optional import require
from fantasyportrait.runtime.profiles import Profile

# Motion projections, and the layers at the transformer's input and output, stay unquantized: they are small, and errors
# in them are visible.
MODULES_TO_NOT_CONVERT = ("to_k_motion", "to_v_motion", "proj_out", "condition_embedder")


def pretrained_kwargs(profile: Profile, precision: torch.dtype, device: torch.device) -> dict[str, Any]:
    """Arguments of `from_pretrained` for a transformer with this profile and the compute dtype `precision`.

    Raises `DependencyError` if the quantizer's package is not installed.
    """
    arguments: dict[str, Any] = {"torch_dtype": precision}
    if profile.package is not None:
        require(profile.package, extra=profile.extra, purpose=f"the profile {profile.name}")
    if profile.weights == "int8":
        quantization = require("torchao.quantization", extra=profile.extra, purpose=f"the profile {profile.name}")
        arguments["quantization_config"] = TorchAoConfig(
            quantization.Int8WeightOnlyConfig(version=2), modules_to_not_convert=list(MODULES_TO_NOT_CONVERT)
        )
    if profile.weights == "nf4":
        arguments["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=precision,
            llm_int8_skip_modules=list(MODULES_TO_NOT_CONVERT),
        )
        # bitsandbytes quantizes on the GPU, shard by shard.
        arguments["device_map"] = {"": device}
    return arguments


def enable_fp8_storage(transformer: ModelMixin, precision: torch.dtype) -> None:
    """Store the blocks' matrices in float8_e4m3fn; each is cast to `precision` while its layer runs."""
    transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=precision)
