"""FantasyPortrait: a photo, a driving clip for each face, and out comes a video. Importing this loads nothing heavy."""

import importlib
import os
from types import MappingProxyType

__version__ = "0.2.0.dev0"

# onnxruntime, which diffusers imports too, reports to its maker what it runs unless it was told not to before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# The diffusers classes under the package's own name; loaded when asked for.
_CLASSES = MappingProxyType(
    {
        "FantasyPortraitPipeline": "fantasyportrait.pipelines.portrait_pipeline",
        "FantasyPortraitTransformer3DModel": "fantasyportrait.models.transformer",
        "MotionAdapter": "fantasyportrait.models.motion_adapter",
        "MotionEncoder": "fantasyportrait.models.motion_encoder",
    }
)


def __getattr__(name: str) -> object:
    """Load one of the diffusers classes on first use."""
    if name not in _CLASSES:
        raise AttributeError(f"module 'fantasyportrait' has no attribute {name!r}")
    return getattr(importlib.import_module(_CLASSES[name]), name)
