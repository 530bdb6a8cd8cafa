"""The side-by-side video: driving clips, source, result, each as a stream of frames."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.media.clips import read_clip
from fantasyportrait.media.compose import Panel
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.media.images import load_photo
from fantasyportrait.media.timeline import Fill, Timeline, fill_rows
from fantasyportrait.service.cast import BuiltinSource, ClipSource
from fantasyportrait.service.driving import ClipKey, DrivingClip, clip_key
from fantasyportrait.service.engines import Scene
from fantasyportrait.service.sketch import sketch

Frame = NDArray[np.uint8]

PANEL_SIDE = 640
MOST_DRIVERS = 4
CHUNK = 50


def panels(
    scene: Scene,
    clips: Sequence[DrivingClip],
    decoder: Decoder,
    canonical: CanonicalFace,
    video: Path,
    on_frame: Callable[[int], None],
) -> list[Panel]:
    """A panel for each of the first clips and built-in motions, one for the source and one for the result in `video`.

    `decoder` reads the clips; the result is our own file. `on_frame` is called with the number of every frame; what it
    raises ends the work.
    """
    by_face = {clip.face: clip for clip in clips}
    drivers: dict[ClipKey | str, tuple[str, Iterator[Frame], list[int]]] = {}
    for part in scene.parts:
        source = None if part.role is None else part.role.source
        if isinstance(source, BuiltinSource):
            drawn = sketch(source.name, scene.timeline, canonical)
            drivers.setdefault(source.name, (source.name, drawn, []))[2].append(part.face.id)
        elif isinstance(source, ClipSource):
            frames = _clip_frames(by_face[part.face.id], decoder, scene.timeline, scene.request.fill)
            drivers.setdefault(clip_key(source), (source.path.name, frames, []))[2].append(part.face.id)
    driving = [
        Panel(f"{', '.join(map(str, faces))}: {name}", frames, column="driving")
        for name, frames, faces in list(drivers.values())[:MOST_DRIVERS]
    ]
    result = _counted(_result_frames(video, scene.timeline), on_frame)
    return [*driving, Panel("source", still=scene.pixels, column="source"), Panel("result", result)]


def _clip_frames(clip: DrivingClip, decoder: Decoder, timeline: Timeline, fill: Fill) -> Iterator[Frame]:
    """The clip's frames on the result's timeline, read forwards or in short reversed pieces, never held as a whole."""
    rows = fill_rows(len(clip.track), timeline.frames, fill)
    first = 0
    while first < len(rows):
        last = first + 1
        step = int(rows[last] - rows[first]) if last < len(rows) else 1
        longest = CHUNK if step < 0 else len(rows)
        while last < len(rows) and rows[last] - rows[last - 1] == step and last - first < longest:
            last += 1
        yield from _piece(clip, decoder, timeline, rows[first:last], step)
        first = last


def _piece(
    clip: DrivingClip, decoder: Decoder, timeline: Timeline, rows: NDArray[np.int64], step: int
) -> Iterator[Frame]:
    """Frames of consecutive rows: ascending (step 1), descending (-1) or one held row (0)."""
    low, high = int(rows.min()), int(rows.max())
    start_s = clip.source.start_s + float(low / timeline.rate)
    with closing(decoder.frames(clip.source.path, timeline.rate, start_s, clip.source.end_s, PANEL_SIDE)) as timed:
        source = (pixels for _, pixels in timed)
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
