"""The panels of the side-by-side video: driving clips, source and result, each a stream of frames."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.driving.driving_clips import ClipKey, DrivingClip, clip_key
from fantasyportrait.engines.base import Scene
from fantasyportrait.faces.annotate import draw_boxes, face_colour
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.images.images import load_photo, on_white, resize
from fantasyportrait.media.alpha_video import read_rgba
from fantasyportrait.media.clips import read_clip
from fantasyportrait.media.compose import Panel
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.motion.landmark_drawing import draw_landmarks
from fantasyportrait.schema.cast import BuiltinSource, delay_frames
from fantasyportrait.schema.timeline import FillMode, fill_indices, span_end_s

Frame = NDArray[np.uint8]

PANEL_SIDE = 640
SMALL_SIDE = 360
CHUNK = 50


@dataclass(frozen=True)
class _Reading:
    """How the clips are read: the decoder, and the longest side of a frame in pixels."""

    decoder: Decoder
    side: int


def panels(
    scene: Scene,
    clips: Sequence[DrivingClip],
    decoder: Decoder,
    canonical: CanonicalFace,
    video: Path,
    on_frame: Callable[[int], None],
) -> list[Panel]:
    """A panel for each clip and built-in motion, one for the source and one for the result in `video`.

    The badges of a driver are the numbers of the faces that it drives, in the colours of their boxes in the source.
    `decoder` reads the clips; the result was written by this program and needs none. `on_frame` is called with the
    number of every frame and may raise to stop.
    """
    driven: dict[tuple[ClipKey, float, FillMode], list[DrivingClip]] = {}
    for clip in clips:
        key = clip_key(clip.source), clip.source.delay_s, scene.request.fill_of(clip.source)
        driven.setdefault(key, []).append(clip)
    acted: dict[str, list[int]] = {}
    for face in scene.faces:
        role = scene.role(face.id)
        if role is not None and isinstance(role.source, BuiltinSource):
            acted.setdefault(role.source.name, []).append(face.id)
    reading = _Reading(decoder, PANEL_SIDE if len(driven) + len(acted) == 1 else SMALL_SIDE)
    drivers = {min(clip.face for clip in group): _clip_panel(group, scene, reading) for group in driven.values()}
    drivers |= {
        faces[0]: _driver(name, faces, draw_landmarks(name, scene.timeline, canonical)) for name, faces in acted.items()
    }
    result = _counted(_result_frames(video, scene), on_frame)
    return [
        *(drivers[number] for number in sorted(drivers)),
        Panel("source", still=_numbered(scene), column="source"),
        Panel("result", result),
    ]


def _driver(name: str, faces: Sequence[int], frames: Iterator[Frame]) -> Panel:
    badges = tuple((str(face), face_colour(face)) for face in faces)
    return Panel(name, frames, column="driving", badges=badges)


def _clip_panel(group: Sequence[DrivingClip], scene: Scene, reading: _Reading) -> Panel:
    """The panel of a clip. Where the person is chosen, or several drive, boxes show which person drives which face."""
    clip, timeline = group[0], scene.timeline
    delay = delay_frames(clip.source, timeline.rate)
    rows = fill_indices(len(clip.track), timeline.frames, scene.request.fill_of(clip.source), delay)
    frames = _clip_frames(clip, timeline.rate, rows, reading)
    if len({member.track.person for member in group}) > 1 or clip.source.person is not None:
        frames = _boxed(frames, rows, group)
    return _driver(_label(clip), [member.face for member in group], frames)


def _label(clip: DrivingClip) -> str:
    delay = f" (+{clip.source.delay_s:g} s)" if clip.source.delay_s and not clip.info.still else ""
    return f"{clip.source.path.name}{delay}"


def _boxed(frames: Iterator[Frame], rows: NDArray[np.int64], group: Sequence[DrivingClip]) -> Iterator[Frame]:
    """The frames with a box around each visible driving person, numbered as the face that the person drives."""
    for frame, row in zip(frames, rows, strict=False):
        seen = [clip for clip in group if clip.track.valid[row]]
        scale = frame.shape[1] / group[0].track.size[0]
        yield draw_boxes(frame, [(clip.face, clip.track.boxes[row] * np.float32(scale)) for clip in seen])


def _numbered(scene: Scene) -> Frame:
    """The source at about its size in the panel, with the numbers of its faces."""
    height, width = scene.pixels.shape[:2]
    scale = min(1.0, SMALL_SIDE / height)
    small = resize(scene.pixels, (max(1, round(width * scale)), max(1, round(height * scale))))
    return draw_boxes(small, [(face.id, face.box * np.float32(scale)) for face in scene.faces])


def _clip_frames(clip: DrivingClip, rate: Fraction, rows: NDArray[np.int64], reading: _Reading) -> Iterator[Frame]:
    """The clip's frames at these rows, read forwards or in short reversed pieces to limit memory."""
    first = 0
    while first < len(rows):
        last = first + 1
        step = int(rows[last] - rows[first]) if last < len(rows) else 1
        longest = CHUNK if step < 0 else len(rows)
        while last < len(rows) and rows[last] - rows[last - 1] == step and last - first < longest:
            last += 1
        yield from _piece(clip, rate, rows[first:last], step, reading)
        first = last


def _piece(clip: DrivingClip, rate: Fraction, rows: NDArray[np.int64], step: int, reading: _Reading) -> Iterator[Frame]:
    """Frames of consecutive rows: ascending (step 1), descending (-1) or one held row (0)."""
    low, high = int(rows.min()), int(rows.max())
    source = clip.source
    start_s, end_s = span_end_s(source.start_s, low, rate), span_end_s(source.start_s, high + 1, rate)
    with closing(reading.decoder.frames(source.path, rate, start_s, end_s, reading.side)) as timed:
        frames = (pixels for _, pixels in timed)
        if step == 1:
            yield from _held(frames, len(rows))
        elif step == -1:
            yield from reversed(list(_held(frames, high - low + 1)))
        else:
            frame = next(frames)
            yield from (frame for _ in rows)


def _result_frames(video: Path, scene: Scene) -> Iterator[Frame]:
    """The frames of the result, transparent parts on white."""
    if video.is_dir():
        return (load_photo(path).pixels for path in sorted(video.iterdir()))
    if scene.alpha is not None:
        return (on_white(frame) for frame in read_rgba(video))
    return read_clip(video, scene.timeline.rate, max_side=PANEL_SIDE)


def _held(frames: Iterator[Frame], count: int) -> Iterator[Frame]:
    """Exactly `count` frames: cut off, or the last one repeated."""
    last: Frame | None = None
    for _ in range(count):
        last = next(frames, last)
        if last is None:
            return
        yield last


def _counted(frames: Iterator[Frame], on_frame: Callable[[int], None]) -> Iterator[Frame]:
    for number, frame in enumerate(frames, 1):
        on_frame(number)
        yield frame
