"""Presenter mode: a scene whose faces play their motions in a loop, one of them driven live by a camera."""

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import OutputError, RequestError
from fantasyportrait.faces.live_tracker import LiveTracker
from fantasyportrait.images.camera_frames import decode_camera_frame, encode_jpeg
from fantasyportrait.live.loops import live_loops
from fantasyportrait.live.recording import LiveRecording
from fantasyportrait.motion.live_motion import LiveMotion
from fantasyportrait.preview.engine import SceneRenderer
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face_motion import FaceMotion
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator

LIVE_SIDE = 480
# Memory for drawn rows of the faces that repeat their motions.
_KEPT_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One frame of a live scene.

    Attributes:
        pixels: uint8 (H, W, 3) RGB.
        seen: whether the camera shows a face; else the live face holds its last pose.
        calibrated: whether the neutral face is known; until then the live face repeats its own motion.
        recorded_s: length of the recording so far, None where nothing is recorded.
        track_ms: time for finding the face and its landmarks.
        motion_ms: time for smoothing them and handing them to the renderer.
        render_ms: time for drawing every face.
        record_ms: time for encoding the recording.
    """

    pixels: NDArray[np.uint8]
    seen: bool
    calibrated: bool
    recorded_s: float | None
    track_ms: float
    motion_ms: float
    render_ms: float
    record_ms: float


@dataclass(frozen=True, eq=False)
class LiveJpeg:
    """A frame of a live scene as a JPEG, with the times for decoding the camera's picture and encoding this one."""

    jpeg: bytes
    frame: LiveFrame
    decode_ms: float
    encode_ms: float


class LiveScene:
    """A scene that is drawn a frame at a time. Not thread-safe: `LiveScenes` guards each with a lock.

    Every face repeats what the cast of `request` gives it (a face without a role idles); the longer side of the photo
    has at most `side` pixels. The face that `step` names follows the camera instead, relative to the neutral face of
    the camera's first second, with the strength and the regions of its role. `mirror` swaps the camera's left and
    right, as a mirror does. `clock` returns the seconds that the times of a frame are taken with. Raises what
    `Animator.animate` raises for unreadable inputs, and `Cancelled`.

    Attributes:
        request: what the scene was made from.
    """

    def __init__(
        self,
        animator: Animator,
        request: AnimationRequest,
        side: int = LIVE_SIDE,
        *,
        mirror: bool = False,
        cancel: CancelToken | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.request = request
        self._clock = clock
        self._loops = live_loops(animator, request, side, cancel or CancelToken())
        self._renderer = SceneRenderer(self._loops.pixels, self._loops.driven, self._loops.canonical, _KEPT_BYTES)
        self._tracker = LiveTracker(animator.inputs.face_models)
        self._motion = LiveMotion(self._loops.canonical, request.smoothing)
        self._roles = {role.face: role for role in request.cast}
        self._mirror = mirror
        self._driving: tuple[int, FaceMotion | None] = (0, None)
        self._at_s = 0.0
        self._recording: LiveRecording | None = None

    @property
    def faces(self) -> tuple[int, ...]:
        """The ids of the faces, any of which may be live."""
        return tuple(each.face.id for each in self._loops.driven)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames."""
        height, width = self._loops.pixels.shape[:2]
        return width, height

    def step(self, camera: NDArray[np.uint8] | None, at_s: float, live_face: int) -> LiveFrame:
        """The frame at `at_s` seconds, in which `live_face` follows the camera's frame, RGB uint8 (H, W, 3).

        Without a camera's frame (None) the live face holds its last pose. Times may stand still but not go back.
        Raises `RequestError` for an unknown face or a time that is not finite; `OutputError` ends a recording.
        """
        live = next((each for each in self._loops.driven if each.face.id == live_face), None)
        if live is None:
            known = ", ".join(map(str, self.faces))
            raise RequestError(
                "the live face is {live_face!r}, but the photo has face {known}: choose one of them",
                live_face=live_face,
                known=known,
            )
        if not math.isfinite(at_s) or at_s < 0:
            raise RequestError(
                "the time of a live frame is {at_s!r}: give seconds since the start of the scene", at_s=at_s
            )
        self._at_s = max(self._at_s, at_s)
        marks = [self._clock()]
        if camera is not None and self._mirror:
            camera = np.ascontiguousarray(camera[:, ::-1])
        reading = None if camera is None else self._tracker.update(camera)
        marks.append(self._clock())
        if reading is not None:
            self._motion.update(reading, self._at_s)
        self._drive(live)
        marks.append(self._clock())
        pixels = self._renderer.draw(self._loops.rows(self._at_s) | self._live_row(live_face))
        marks.append(self._clock())
        recorded_s = self._record(pixels)
        marks.append(self._clock())
        spent = [1000 * (end - start) for start, end in itertools.pairwise(marks)]
        return LiveFrame(pixels, reading is not None, self._motion.calibrated, recorded_s, *spent)

    def step_jpeg(self, camera: bytes | None, at_s: float, live_face: int) -> LiveJpeg:
        """As `step`, for a JPEG or WebP from a browser; `MediaError` where it cannot be read or is too large."""
        start = self._clock()
        pixels = None if camera is None else decode_camera_frame(camera)
        decoded = self._clock()
        frame = self.step(pixels, at_s, live_face)
        drawn = self._clock()
        jpeg = encode_jpeg(frame.pixels)
        return LiveJpeg(jpeg, frame, 1000 * (decoded - start), 1000 * (self._clock() - drawn))

    def recalibrate(self) -> None:
        """Take another neutral face in the next second."""
        self._motion.recalibrate()

    def start_recording(self, path: Path) -> None:
        """Record from the next frame on, for at most 60 s, to an .mp4, .webm or .gif that appears when it is finished.

        Raises `RequestError` while a recording runs, `OutputError` where `path` cannot be written.
        """
        if self._recording is not None and not self._recording.finished:
            raise RequestError("this scene is being recorded already: stop that recording first")
        self._recording = LiveRecording(path, self.size)

    def stop_recording(self) -> Path:
        """Finish the recording, also one that reached its longest length, and return its path.

        Raises `RequestError` where none was started, `OutputError` where it cannot be written or has no frame.
        """
        if self._recording is None:
            raise RequestError("nothing is being recorded: start a recording first")
        recording, self._recording = self._recording, None
        return recording.finish()

    def close(self) -> None:
        """Stop and remove an unfinished recording."""
        if self._recording is not None:
            self._recording.cancel()
            self._recording = None

    def _drive(self, live: DrivenFace[FaceMotion]) -> None:
        """Hand the camera's motion to the live face."""
        motion, role = self._motion.motion, self._roles.get(live.face.id)
        driving = live.face.id, motion
        if driving[0] == self._driving[0] and motion is self._driving[1]:
            return  # the last pose is held
        self._driving = driving
        if motion is None:
            self._renderer.override(None)
        elif role is None:
            self._renderer.override(DrivenFace(live.face, motion))
        else:
            self._renderer.override(DrivenFace(live.face, motion, role.strength, role.regions))

    def _live_row(self, live_face: int) -> dict[int, int]:
        return {} if self._motion.motion is None else {live_face: 0}

    def _record(self, pixels: NDArray[np.uint8]) -> float | None:
        """Add the frame to the recording, and return its length."""
        if self._recording is None:
            return None
        try:
            self._recording.add(pixels, self._at_s)
        except OutputError:
            self.close()
            raise
        return self._recording.length_s
