"""The side-by-side video: driving clips, source, result, each as a stream of frames."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.media.clips import read_clip
from fantasyportrait.media.compose import Panel
from fantasyportrait.media.images import load_photo
from fantasyportrait.media.timeline import Fill, Timeline, fill_rows
from fantasyportrait.service.driving import ClipKey, DrivingClip, clip_key
from fantasyportrait.service.engines import Scene

Frame = NDArray[np.uint8]

PANEL_SIDE = 640
MOST_CLIPS = 4
CHUNK = 50


def panels(scene: Scene, clips: Sequence[DrivingClip], video: Path, on_frame: Callable[[int], None]) -> list[Panel]:
    """One panel for each of the first driving clips, one for the source and one for the result in `video`.

    `on_frame` is called with the number of every frame; what it raises ends the work.
    """
    shown: dict[ClipKey, list[DrivingClip]] = {}
    for clip in clips:
        shown.setdefault(clip_key(clip.source), []).append(clip)
    driving = [
        Panel(_label(same), _clip_frames(same[0], scene.timeline, scene.request.fill), column="driving")
        for same in list(shown.values())[:MOST_CLIPS]
    ]
    result = _counted(_result_frames(video, scene.timeline), on_frame)
    return [*driving, Panel("source", still=scene.pixels, column="source"), Panel("result", result)]


def _label(clips: Sequence[DrivingClip]) -> str:
    """The clip's name and the faces that it drives."""
    return f"{', '.join(str(clip.face) for clip in clips)}: {clips[0].source.path.name}"


def _clip_frames(clip: DrivingClip, timeline: Timeline, fill: Fill) -> Iterator[Frame]:
    """The clip's frames on the result's timeline, read forwards or in short reversed pieces, never held as a whole."""
    rows = fill_rows(len(clip.track), timeline.frames, fill)
    first = 0
    while first < len(rows):
        last = first + 1
        step = int(rows[last] - rows[first]) if last < len(rows) else 1
        longest = CHUNK if step < 0 else len(rows)
        while last < len(rows) and rows[last] - rows[last - 1] == step and last - first < longest:
            last += 1
        yield from _piece(clip, timeline, rows[first:last], step)
        first = last


def _piece(clip: DrivingClip, timeline: Timeline, rows: NDArray[np.int64], step: int) -> Iterator[Frame]:
    """Frames of consecutive rows: ascending (step 1), descending (-1) or one held row (0)."""
    low, high = int(rows.min()), int(rows.max())
    start_s = clip.source.start_s + float(low / timeline.rate)
    source = read_clip(clip.source.path, timeline.rate, start_s, clip.source.end_s, PANEL_SIDE)
    if step == 1:
        yield from _held(source, len(rows))
    elif step == -1:
        yield from reversed(list(_held(source, high - low + 1)))
    else:
        frame = next(source)
        yield from (frame for _ in rows)


def _result_frames(video: Path, timeline: Timeline) -> Iterator[Frame]:
    if video.is_dir():
        return (load_photo(path).pixels for path in sorted(video.iterdir()))
    return read_clip(video, timeline.rate, max_side=PANEL_SIDE)


def _held(frames: Iterator[Frame], count: int) -> Iterator[Frame]:
    """Exactly `count` frames: cut, or the last one held."""
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
