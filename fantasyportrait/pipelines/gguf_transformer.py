"""Loads a quantized transformer from a GGUF file, after checking every key and shape."""

from pathlib import Path

import torch
from diffusers import GGUFQuantizationConfig
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from diffusers.models.model_loading_utils import load_gguf_checkpoint
from safetensors.torch import load_file

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.core.tensor_check import check_tensors
from fantasyportrait.models.shapes import transformer_shapes
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel

MOTION_ATTENTION = "motion_attention.safetensors"


def load_gguf_transformer(gguf: Path, folder: Path, precision: torch.dtype) -> FantasyPortraitTransformer3DModel:
    """The transformer with the file's weights, the folder's config and motion attention, and compute dtype `precision`.

    Raises `WeightsError` that names missing, unexpected and misshapen tensors.
    """
    try:
        tensors = load_gguf_checkpoint(str(gguf))
    except ValueError as error:
        raise WeightsError(
            "{gguf} cannot be used ({error}): fetch another quantization", gguf=gguf, error=error
        ) from error
    # A copy, since the conversion empties the dictionary.
    tensors = convert_wan_transformer_to_diffusers(dict(tensors))
    # Before the model is built: tensors assigned afterwards would stay on the meta device.
    tensors.update({key: value.to(precision) for key, value in load_file(folder / MOTION_ATTENTION).items()})
    # The shape of a quantized tensor is not that of its bytes.
    found = {key: tuple(getattr(tensor, "quant_shape", tensor.shape)) for key, tensor in tensors.items()}
    check_tensors(gguf, found, transformer_shapes(FantasyPortraitTransformer3DModel.load_config(folder)))
    return FantasyPortraitTransformer3DModel.from_single_file(
        tensors,
        quantization_config=GGUFQuantizationConfig(compute_dtype=precision),
        config=str(folder),
        torch_dtype=precision,
    )
