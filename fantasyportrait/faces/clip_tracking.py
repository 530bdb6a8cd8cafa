"""Tracking of a driving clip: one track for each person in it."""

import copy
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import FaceError, MediaError
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.face_tracker import FaceTracker
from fantasyportrait.faces.numbering import LOOKAHEAD_S, confirm_after_s
from fantasyportrait.faces.segments import Segment, TrackedFace
from fantasyportrait.faces.track_resampling import TrackSpan, resample_tracks
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.clips import Pixels, check_span
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.schema.face import Track
from fantasyportrait.schema.timeline import frame_count

# Raise it with every change that moves a landmark: cached segments of older versions are not used then.
TRACKER_VERSION = 5
MAX_SIDE = 960
# Frames of clips with a higher rate are skipped: landmarks are interpolated onto the rows in any case.
READINGS_A_SECOND = Fraction(32)
# Frames per segment: how much a crash can lose, and how much is held in memory where there is a store.
_SEGMENT_FRAMES = 256

TimedPixels = tuple[Fraction, Fraction, Pixels]


class SegmentStore(Protocol):
    """Keeps the segments of one clip, in order."""

    def load(self, index: int, first: int) -> Segment | None:
        """Return the segment at `index` (0, 1, 2 ...); None if it is missing, damaged or begins at another frame."""
        ...

    def save(self, index: int, segment: Segment) -> None:
        """Store a segment; a store that cannot be written drops it."""
        ...


def track_clip(
    path: Path,
    rate: Fraction = Fraction(25),
    start_s: float = 0.0,
    end_s: float | None = None,
    *,
    models: FaceModels | None = None,
    decoder: Decoder | None = None,
    store: SegmentStore | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Track, ...]:
    """Follow the people of a clip; a row for each frame of the timeline from `start_s` to `end_s` at `rate`.

    Numbers are those of the whole clip, see `faces.numbering`: for that it is analysed from its beginning, in its own
    frame times, up to a second after `end_s`. With a `store` that continues from what was analysed before, for any part
    and rate; what an interrupted run analysed is kept too.

    Frames are read one by one by `decoder` (in this process where it is None), scaled to at most 960 px; landmarks are
    pixels of those (`Track.size`). Its limits say how many rows a track has at most and how many people are listed.
    `progress` gets (rows done, rows expected). Raises FaceError for a clip without a face, RequestError for a span
    that is none, Cancelled, and what the decoder raises.
    """
    check_span(path, start_s, end_s)
    decoder = decoder or LocalDecoder()
    info = decoder.probe(path)
    span = TrackSpan(
        path, rate, Fraction(start_s), None if end_s is None else Fraction(end_s), decoder.limits.track_rows
    )
    _check_length(path, min(Fraction(info.duration_s), span.last), decoder.limits.clip_length_s)
    until = span.last + Fraction(LOOKAHEAD_S)
    length = max(Fraction(0), min(Fraction(info.duration_s), span.last) - span.start)
    expected = min(frame_count(length, rate), decoder.limits.track_rows)
    needed_s = max(min(float(until), info.duration_s), 1e-3)

    def on_time(time: Fraction) -> None:
        if cancel is not None:
            cancel.check()
        if progress is not None:
            progress(min(expected, round(expected * float(time) / needed_s)), expected)

    analysis = _Analysis(info, models or FaceModels(), decoder, store)
    tracks = resample_tracks(analysis.up_to(until, on_time), span, decoder.limits.people)
    if not tracks:
        raise FaceError(
            "no face was found in the clip {path}: use one where a face is seen from the front or half side, "
            "well lit and not small, or choose another part of it",
            path=path,
        )
    if progress is not None:
        progress(len(tracks[0]), len(tracks[0]))
    return tracks


def _check_length(path: Path, last: Fraction, most_s: float) -> None:
    """Refuse a span that ends too late, by the clip's stated length, before anything is decoded."""
    if last > most_s:
        raise MediaError(
            "{path} would be analysed from its beginning to {last:.0f} s, and at most {most:.0f} s of a clip "
            "are: give an earlier end, or cut it",
            path=path,
            last=float(last),
            most=most_s,
        )


@dataclass(frozen=True)
class _Analysis:
    """Analyses a clip from its beginning, as far as is needed."""

    info: ClipInfo
    models: FaceModels
    decoder: Decoder
    store: SegmentStore | None

    def up_to(self, until: Fraction, on_time: Callable[[Fraction], None]) -> list[Segment]:
        """Return the segments up to the first frame that begins at `until` or later, or to the clip's end.

        `on_time` is called before each frame with the end of the last one; what it raises ends the work, and what was
        done until then is kept.
        """
        segments: list[Segment] = []
        while self.store is not None and not _reaches(segments, until):
            segment = self.store.load(len(segments), segments[-1].state.frames if segments else 0)
            if segment is None:
                break
            segments.append(segment)
        if not _reaches(segments, until):
            segments += self._analyse_rest(segments, until, on_time)
        return segments

    def _analyse_rest(
        self, known: list[Segment], until: Fraction, on_time: Callable[[Fraction], None]
    ) -> list[Segment]:
        """Analyse and yield the segments after those that are stored."""
        state = copy.deepcopy(known[-1].state) if known else None
        after = known[-1].spans[-1][0] if known else None
        tracker = FaceTracker(self.models, self.decoder.limits.people, confirm_after_s(self.info.duration_s), state)
        made: list[Segment] = []
        pending = _PendingSegment(tracker)
        frames = self.decoder.native_frames(self.info.path, after, READINGS_A_SECOND, MAX_SIDE)
        try:
            with closing(frames), closing(_prefetch(frames)) as timed:
                for begin, end, pixels in timed:
                    on_time(begin)
                    if len(pending) == _SEGMENT_FRAMES:
                        made.append(self._kept(pending.segment(), len(known) + len(made)))
                    pending.take(begin, end, pixels)
                    if begin >= until:
                        break
                else:
                    pending.last = True
        finally:
            if pending.whole:
                made.append(self._kept(pending.segment(), len(known) + len(made)))
        return made

    def _kept(self, segment: Segment, index: int) -> Segment:
        """Store the segment and return it memory-mapped from the store; without a store, as it is."""
        if self.store is None:
            return segment
        self.store.save(index, segment)
        kept = self.store.load(index, segment.first)
        # Another process may have stored a segment of another length first.
        return kept if kept is not None and len(kept.spans) == len(segment.spans) else segment


class _PendingSegment:
    """The frames since the last segment.

    `whole`: there are some, and no frame was left in the middle of its reading. `last`: the clip ends with them.
    """

    def __init__(self, tracker: FaceTracker) -> None:
        self.whole = self.last = False
        self._tracker = tracker
        self._size = (0, 0)
        self._clear()

    def __len__(self) -> int:
        return len(self._spans)

    def take(self, begin: Fraction, end: Fraction, pixels: Pixels) -> None:
        """Analyse the next frame."""
        self.whole = False
        self._size = (pixels.shape[1], pixels.shape[0])
        result = self._tracker.update(pixels, float(begin), float(end - begin))
        self._spans.append((begin, end))
        self._left_out.append(result.left_out)
        self._tracked_faces += result.tracked_faces
        self.whole = True

    def segment(self) -> Segment:
        """Return the pending frames as a segment and start the next one."""
        state = copy.deepcopy(self._tracker.state)
        segment = Segment.of(self._size, self._spans, self._left_out, self._tracked_faces, state, self.last)
        self._clear()
        return segment

    def _clear(self) -> None:
        self.whole = False
        self._spans: list[tuple[Fraction, Fraction]] = []
        self._left_out: list[int] = []
        self._tracked_faces: list[TrackedFace] = []


def _reaches(segments: list[Segment], until: Fraction) -> bool:
    return bool(segments) and (segments[-1].last or segments[-1].spans[-1][0] >= until)


def _prefetch(frames: Iterator[TimedPixels], depth: int = 2) -> Generator[TimedPixels, None, None]:
    """Yield the same frames, decoded on another thread while the networks process earlier ones."""
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, frames, None) for _ in range(depth))
        while (timed := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, frames, None))
            yield timed
