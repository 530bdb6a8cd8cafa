"""The protocol of an engine: a scene goes in, frames come out."""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.digests import HashedFile
from fantasyportrait.core.errors import RequestError
from fantasyportrait.engines.progress import Progress
from fantasyportrait.faces.mesh import CanonicalFace, read_canonical_face
from fantasyportrait.schema.cast import ClipSource, DrivingSource, Role, delay_frames
from fantasyportrait.schema.events import MessageCallback, StageName
from fantasyportrait.schema.face import MaskedFace, Track
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.timeline import Timeline, fill_indices
from fantasyportrait.weights.store import model_path

Frame = NDArray[np.uint8]
# Longer videos repeat a built-in motion, which has no seam, so that memory does not grow with the length.
MAX_LOOP_S = 30


@dataclass(frozen=True, eq=False)
class Scene:
    """The input of an engine.

    Attributes:
        pixels: uint8 (H, W, 3) RGB, the portrait at the result's size.
        faces: every face of the portrait, in the pixels' coordinates.
        tracks: the chosen person's track for each face that a clip drives, by the id of the face.
        timeline: of the result.
        request: its cast and options.
        clips: the driving clips by their paths, with their sha256.
        alpha: uint8 (H, W) of the portrait where the frames keep it; None for opaque frames.
    """

    pixels: Frame
    faces: tuple[MaskedFace, ...]
    tracks: Mapping[int, Track]
    timeline: Timeline
    request: AnimationRequest
    clips: Mapping[Path, HashedFile] = field(default_factory=dict)
    alpha: NDArray[np.uint8] | None = None

    def role(self, face: int) -> Role | None:
        """The role of the face with this id; None for a face that stays still."""
        return next((role for role in self.request.cast if role.face == face), None)

    def track(self, face: int) -> Track:
        """The track of a face that a clip drives; `RequestError` where there is none."""
        if face not in self.tracks:
            raise RequestError("face {face} has a clip but no track: run the driving stage first", face=face)
        return self.tracks[face]


@dataclass(frozen=True)
class EngineCallbacks:
    """How an engine reports: a message, the start of a stage with its number of steps, a preview image."""

    message: MessageCallback
    stage: Callable[[StageName, int], Progress]
    preview_image: Callable[[Frame], None]


class Engine(Protocol):
    """Turns a scene into frames."""

    @property
    def name(self) -> str:
        """The name of the engine in a request."""
        ...

    @property
    def keeps_alpha(self) -> bool:
        """Whether it makes transparent frames of a scene with `alpha`."""
        ...

    def check(self, request: AnimationRequest) -> None:
        """Raise the error for a missing package or model file, before any slow work."""
        ...

    def frame_size(self, width: int, height: int, max_side: int | None) -> tuple[int, int]:
        """(width, height) of the frames for a photo of that size."""
        ...

    def render(self, scene: Scene, cancel: CancelToken, callbacks: EngineCallbacks) -> Generator[Frame, None, None]:
        """Yield `scene.timeline.frames` frames of the scene's size, uint8 RGB (H, W, 3), RGBA (H, W, 4) with `alpha`.

        Raises `Cancelled`.
        """
        ...


def canonical_face(models_dir: Path | None = None) -> CanonicalFace:
    """The mean face that motions are measured on; `WeightsError` where its file cannot be fetched."""
    return read_canonical_face(model_path("face_geometry", folder=models_dir))


def motion_frame_indices(source: DrivingSource, length: int, scene: Scene) -> NDArray[np.int64]:
    """Which of the `length` rows of a motion each frame of the scene plays, int64 (frames,).

    A clip begins after its delay and is filled by its own mode or the request's; built-in motions loop.
    """
    if not isinstance(source, ClipSource):
        return fill_indices(length, scene.timeline.frames, "loop")
    delay = delay_frames(source, scene.timeline.rate)
    return fill_indices(length, scene.timeline.frames, scene.request.fill_of(source), delay)


def loop_length(timeline: Timeline) -> int:
    """Frames of one loop of a built-in motion: those of the video, or an equal part of a long one."""
    loops = math.ceil(timeline.duration_s / MAX_LOOP_S)
    return math.ceil(timeline.frames / loops)
