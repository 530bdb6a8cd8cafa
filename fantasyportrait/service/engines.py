"""The door to the engines: a scene goes in, frames come out."""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.faces.face import MaskedFace, Track
from fantasyportrait.faces.mesh import CanonicalFace, mirrored_blendshapes, mirrored_points, read_canonical_face
from fantasyportrait.media.images import even_size
from fantasyportrait.media.timeline import Timeline, fill_rows
from fantasyportrait.motion.builtin import builtin_motion
from fantasyportrait.motion.face_motion import FaceMotion, Regions
from fantasyportrait.motion.from_track import motion_of
from fantasyportrait.preview.engine import Part, render
from fantasyportrait.service.cast import BuiltinSource, ClipSource, FreeSource, Role
from fantasyportrait.service.driving import delay_frames
from fantasyportrait.service.events import StageName
from fantasyportrait.service.progress import Progress
from fantasyportrait.service.request import AnimationRequest
from fantasyportrait.weights.store import model_path

Frame = NDArray[np.uint8]
# Longer videos repeat a built-in motion, which has no seam, so that memory does not grow with the length.
LONGEST_TURN_S = 30
PREVIEW_SIDE = 1280


@dataclass(frozen=True)
class ScenePart:
    """One face of the scene with its role (None: still) and, where a clip drives it, the chosen person's track."""

    face: MaskedFace
    role: Role | None = None
    track: Track | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """What an engine needs.

    Attributes:
        pixels: uint8 (H, W, 3) RGB, the portrait at the result's size.
        parts: one for every face of the portrait, in the pixels' coordinates.
        timeline: of the result.
        request: for the options; its cast is already in `parts`.
    """

    pixels: Frame
    parts: tuple[ScenePart, ...]
    timeline: Timeline
    request: AnimationRequest


@dataclass(frozen=True)
class Watch:
    """How an engine tells what it does: a note for the user, a remark for now alone, a stage of so many steps, a look
    at the result so far."""

    note: Callable[[str], None]
    remark: Callable[[str], None]
    stage: Callable[[StageName, int], Progress]
    look: Callable[[Frame], None]


class Engine(Protocol):
    """Turns a scene into frames."""

    @property
    def name(self) -> str:
        """What a request calls it."""
        ...

    def check(self, request: AnimationRequest) -> None:
        """Raise now what is missing for the request (packages, weights), before anything slow is done."""
        ...

    def frame_size(self, width: int, height: int, max_side: int | None) -> tuple[int, int]:
        """(width, height) of the frames for a photo of that size."""
        ...

    def render(self, scene: Scene, cancel: CancelToken, watch: Watch) -> Generator[Frame, None, None]:
        """Yield `scene.timeline.frames` frames uint8 (H, W, 3) RGB of the scene's size; raises `Cancelled`."""
        ...


class PreviewEngine:
    """The CPU engine."""

    name = "preview"

    def __init__(self, models_dir: Path | None = None) -> None:
        self._models_dir = models_dir

    def check(self, request: AnimationRequest) -> None:
        """Nothing is missing: small models are fetched when they are used."""

    def frame_size(self, width: int, height: int, max_side: int | None) -> tuple[int, int]:
        """The photo's own size, reduced where a side is longer than `max_side` (default 1280), both sides even."""
        return even_size(width, height, max_side or PREVIEW_SIDE)

    def render(self, scene: Scene, cancel: CancelToken, watch: Watch) -> Generator[Frame, None, None]:
        """Yield the scene's frames, one at a time."""
        canonical = canonical_face(self._models_dir)
        parts = [_preview_part(part, scene, canonical) for part in scene.parts]
        yield from render(scene.pixels, parts, scene.timeline.frames, canonical, cancel)


def canonical_face(models_dir: Path | None = None) -> CanonicalFace:
    """The mean face that motions are measured on; `WeightsError` where its file cannot be had."""
    return read_canonical_face(model_path("face_geometry", folder=models_dir))


def _preview_part(part: ScenePart, scene: Scene, canonical: CanonicalFace) -> Part:
    motion = _motion(part, scene, canonical)
    role = part.role
    if role is None or motion is None:
        return Part(part.face, None)
    rows = part_rows(part, len(motion), scene)
    regions = Regions(role.head, role.eyes, role.emotion, role.mouth)
    # A built-in motion has no pose of its own to take over.
    absolute = bool(scene.request.absolute) and part.track is not None
    return Part(part.face, motion, role.strength, regions, absolute, rows)


def _motion(part: ScenePart, scene: Scene, canonical: CanonicalFace) -> FaceMotion | None:
    """The part's motion: a clip's whole length, or one turn of a built-in motion."""
    if part.role is None or part.role.source is None or isinstance(part.role.source, FreeSource):
        return None
    if isinstance(part.role.source, BuiltinSource):
        motion = builtin_motion(part.role.source.name, turn_length(scene.timeline), scene.timeline.rate, canonical)
        return _mirrored(motion, canonical) if part.role.mirror else motion
    if part.track is None:
        raise RequestError(f"face {part.face.id} has a clip but no track: run the driving stage first")
    reference = part.face if scene.request.absolute else None
    return motion_of(
        part.track, canonical, smoothing=scene.request.smoothing, mirror=part.role.mirror, reference=reference
    )


def part_rows(part: ScenePart, length: int, scene: Scene) -> NDArray[np.int64]:
    """Which of the `length` rows of the part's motion each frame of the scene plays, int64 (frames,).

    A clip begins after its delay and is filled as the request says; built-in motions loop.
    """
    source = None if part.role is None else part.role.source
    if not isinstance(source, ClipSource):
        return fill_rows(length, scene.timeline.frames, "loop")
    return fill_rows(length, scene.timeline.frames, scene.request.fill, delay_frames(source, scene.timeline.rate))


def turn_length(timeline: Timeline) -> int:
    """Frames of a built-in motion's turn: the video's, or an equal part of it where that is long."""
    turns = math.ceil(timeline.duration_s / LONGEST_TURN_S)
    return math.ceil(timeline.frames / turns)


def _mirrored(motion: FaceMotion, canonical: CanonicalFace) -> FaceMotion:
    """A built-in motion with left and right swapped; its face is centred on x = 0."""
    return FaceMotion(
        mirrored_points(motion.neutral, 1, canonical.mirror),
        mirrored_blendshapes(motion.neutral_blendshapes),
        mirrored_points(motion.landmarks, 1, canonical.mirror),
        mirrored_blendshapes(motion.blendshapes),
    )
