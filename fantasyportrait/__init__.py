"""FantasyPortrait: a photo, a driving clip for each face, and out comes a video.

    import fantasyportrait as fp

    fp.animate("photo.png", ["1=clip.mp4", "2=motion:smile"], "out.mp4")

Importing this loads nothing heavy: every name is loaded on its first use.
"""

import importlib
import os
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fantasyportrait.core.cancel import CancelToken
    from fantasyportrait.core.errors import (
        Cancelled,
        DependencyError,
        FaceError,
        FantasyPortraitError,
        MediaError,
        OutputError,
        RequestError,
        WeightsError,
    )
    from fantasyportrait.core.paths import example_photo
    from fantasyportrait.media.request_files import load_request
    from fantasyportrait.models.motion_adapter import MotionAdapter
    from fantasyportrait.models.motion_encoder import MotionEncoder
    from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
    from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
    from fantasyportrait.schema import events
    from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource, Role
    from fantasyportrait.schema.events import Result
    from fantasyportrait.schema.face import Face
    from fantasyportrait.schema.face_edits import AddedFace, FaceEdits
    from fantasyportrait.schema.regions import Regions
    from fantasyportrait.schema.request import AnimationRequest
    from fantasyportrait.schema.sampling import Sampling
    from fantasyportrait.service.animator import Animator
    from fantasyportrait.service.api import animate, faces
    from fantasyportrait.service.input_reader import InputReader
    from fantasyportrait.service.motion_export import export_motion

__version__ = "0.2.0.dev0"

__all__ = [
    "AddedFace",
    "AnimationRequest",
    "Animator",
    "BuiltinSource",
    "CancelToken",
    "Cancelled",
    "ClipSource",
    "DependencyError",
    "Face",
    "FaceEdits",
    "FaceError",
    "FantasyPortraitError",
    "FantasyPortraitPipeline",
    "FantasyPortraitTransformer3DModel",
    "FreeSource",
    "InputReader",
    "MediaError",
    "MotionAdapter",
    "MotionEncoder",
    "OutputError",
    "Regions",
    "RequestError",
    "Result",
    "Role",
    "Sampling",
    "WeightsError",
    "animate",
    "events",
    "example_photo",
    "export_motion",
    "faces",
    "load_request",
]

# onnxruntime, which diffusers imports too, has telemetry, which is disabled before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_MODULES = MappingProxyType(
    {
        "core.cancel": ("CancelToken",),
        "core.errors": (
            *("Cancelled", "DependencyError", "FaceError", "FantasyPortraitError", "MediaError", "OutputError"),
            *("RequestError", "WeightsError"),
        ),
        "schema.face": ("Face",),
        "schema.face_edits": ("AddedFace", "FaceEdits"),
        "models.motion_adapter": ("MotionAdapter",),
        "models.motion_encoder": ("MotionEncoder",),
        "models.transformer": ("FantasyPortraitTransformer3DModel",),
        "pipelines.portrait_pipeline": ("FantasyPortraitPipeline",),
        "service.animator": ("Animator",),
        "service.api": ("animate",),
        "service.input_reader": ("InputReader",),
        "service.motion_export": ("export_motion",),
        "schema.cast": ("BuiltinSource", "ClipSource", "FreeSource", "Role"),
        "schema.events": ("Result",),
        "core.paths": ("example_photo",),
        "media.request_files": ("load_request",),
        "schema.regions": ("Regions",),
        "schema.request": ("AnimationRequest",),
        "schema.sampling": ("Sampling",),
    }
)
"""Where each public name lives, but for `events`, a module, and `faces`, which is a package as well."""


class _FacesPackage(ModuleType):
    """The package `fantasyportrait.faces`, which can be called: `faces(photo)` is `service.api.faces`.

    The package would take the function's place in this module when something of it is imported.
    """

    def __call__(self, *arguments: object, **options: object) -> object:
        return importlib.import_module("fantasyportrait.service.api").faces(*arguments, **options)


if not TYPE_CHECKING:
    importlib.import_module("fantasyportrait.faces").__class__ = _FacesPackage

    def __getattr__(name: str) -> object:
        """Load one of the public names on its first use."""
        if name == "events":
            return importlib.import_module("fantasyportrait.schema.events")
        for module, names in _MODULES.items():
            if name in names:
                return getattr(importlib.import_module(f"fantasyportrait.{module}"), name)
        raise AttributeError(f"module 'fantasyportrait' has no attribute {name!r}")

    def __dir__() -> list[str]:
        """The public names, loaded or not."""
        return sorted({*globals(), *__all__})
