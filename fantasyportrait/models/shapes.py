"""Names and shapes of a network's tensors, built on the meta device, to check original files against."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.models.modeling_utils import ModelMixin

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.motion_encoder import MotionEncoder
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel

Shapes = dict[str, tuple[int, ...]]
Config = Mapping[str, Any]


def adapter_shapes(config: Config) -> Shapes:
    """Shapes of the motion adapter with this config; an empty one gives the original."""
    return _shapes(MotionAdapter, config)


def encoder_shapes(config: Config) -> Shapes:
    """Shapes of the motion encoder with this config; an empty one gives the original."""
    return _shapes(MotionEncoder, config)


def transformer_shapes(config: Config) -> Shapes:
    """Shapes of the transformer with this config, motion attention included."""
    return _shapes(FantasyPortraitTransformer3DModel, config)


def full_config(model: type[ModelMixin], config: Config) -> dict[str, Any]:
    """The config completed with the defaults, as in `config.json`."""
    with torch.device("meta"):
        built = model.from_config(dict(config))
    kept = {key: value for key, value in built.config.items() if not key.startswith("_")}
    return {"_class_name": model.__name__, **kept}


def _shapes(model: type[ModelMixin], config: Config) -> Shapes:
    with torch.device("meta"):
        built = model.from_config(dict(config))
    return {key: tuple(tensor.shape) for key, tensor in built.state_dict().items()}
