"""driving clip -> a track for every person in it."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import FaceError
from fantasyportrait.core.geometry import box_iou
from fantasyportrait.faces.face import Track
from fantasyportrait.faces.identity import assign
from fantasyportrait.faces.landmarks import Crop
from fantasyportrait.faces.models import FaceModels
from fantasyportrait.faces.mouths import mouth_patch
from fantasyportrait.faces.people import Person, Row, Sighting
from fantasyportrait.faces.rows import tracks_of
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.media.timeline import frame_count

# To be raised with every change that moves a landmark: cached tracks of older versions are then no longer used.
TRACKER_VERSION = 2
TimedPixels = tuple[float, NDArray[np.uint8]]

MAX_SIDE = 960
_PRESENT = 0.5
# Frames between two searches for new people: quick (5 ms) and thorough (80 ms, finds small and turned faces).
_SEARCH_EVERY = 8
_SEARCH_WELL_EVERY = 250
_SMALLEST = 16
_CUT = 24.0


def track_clip(
    path: Path,
    rate: Fraction = Fraction(25),
    start_s: float = 0.0,
    end_s: float | None = None,
    *,
    models_dir: Path | None = None,
    decoder: Decoder | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Track, ...]:
    """Follow every person of a clip; a row for each frame of the clip's timeline at `rate`, numbered left to right.

    Frames are read one by one by `decoder` (in this process where it is None), scaled to at most 960 px; landmarks are
    pixels of those (`Track.size`). `progress` gets (frames done, frames expected). Raises FaceError for a clip without
    a face, Cancelled, and what the decoder raises.
    """
    decoder = decoder or LocalDecoder()
    info = decoder.probe(path)
    length_s = max(0.0, min(info.duration_s, end_s if end_s is not None else info.duration_s) - start_s)
    expected = frame_count(Fraction(length_s), rate)
    watch = _Watch(FaceModels(models_dir), float(rate))
    read = decoder.frames(path, rate, start_s, end_s, MAX_SIDE)
    with closing(read), closing(_read_ahead(read)) as frames:
        for own_time, pixels in frames:
            if cancel is not None:
                cancel.check()
            watch.take(pixels, own_time)
            if progress is not None:
                progress(watch.frames, max(expected, watch.frames))
    tracks = tracks_of(watch.people, watch.frames, watch.size, float(rate))
    if not tracks:
        raise FaceError(
            f"no face was found in the clip {path}: use one where a face is seen from the front or half side, "
            "well lit and not small, or choose another part of it"
        )
    return tracks


class _Watch:
    """Looks at one frame after another and keeps the people seen."""

    def __init__(self, models: FaceModels, rate: float) -> None:
        self.people: list[Person] = []
        self.frames = 0
        self.size = (0, 0)
        self._rate = rate
        self._net = models.landmark_net()
        self._quick = models.frame_detector()
        self._thorough = models.photo_detector()
        self._last: NDArray[np.uint8] | None = None
        self._thumbnail: NDArray[np.float32] | None = None

    def take(self, pixels: NDArray[np.uint8], own_time: float) -> None:
        """Look at the next RGB frame (H, W, 3), taken at `own_time` in rows."""
        frame, self.frames = self.frames, self.frames + 1
        if pixels is self._last:  # a frame that shows twice is the same array
            for person in self.people:
                person.repeat(frame)
            return
        self._last = pixels
        self.size = (pixels.shape[1], pixels.shape[0])
        cut = self._is_cut(pixels)
        seen = [] if cut else self._follow(frame, pixels)
        if cut or frame % _SEARCH_EVERY == 0 or not seen or len(seen) < len(self.people):
            well = cut or frame % _SEARCH_WELL_EVERY == 0
            seen += self._search(pixels, seen, well)
        self._match(frame, own_time, pixels, seen, cut)

    def _follow(self, frame: int, pixels: NDArray[np.uint8]) -> list[Sighting]:
        """Those seen in the last frame, read around the place where each should be now."""
        found: list[tuple[float, Sighting]] = []
        for person in self.people:
            sighting = self._read(pixels, person.crop(), passes=1) if person.live(frame) else None
            if sighting is not None:
                found.append((person.cost(frame, sighting, self._rate, cut=False), sighting))
        # Two people on one face: whoever it fits better keeps it.
        found.sort(key=lambda pair: pair[0])
        return _apart([sighting for _, sighting in found], 0.6)

    def _search(self, pixels: NDArray[np.uint8], known: list[Sighting], well: bool) -> list[Sighting]:
        """Faces that nobody followed: somebody new, or somebody back."""
        detector = self._thorough if well else self._quick
        fresh: list[Sighting] = []
        for detection in detector.detect(pixels):
            if all(box_iou(detection.box, sighting.box) < 0.3 for sighting in known):
                sighting = self._read(pixels, Crop.of_detection(detection), passes=3)
                if sighting is not None:
                    fresh.append(sighting)
        return _apart(known + fresh, 0.4)[len(known) :]

    def _read(self, pixels: NDArray[np.uint8], crop: Crop, passes: int) -> Sighting | None:
        """The face in the crop, looked at again around what was found; None where there is none."""
        for _ in range(passes):
            reading = self._net.read(pixels, crop)
            if reading.presence < _PRESENT / 10:
                return None
            crop = Crop.of_landmarks(reading.points)
        if reading.presence < _PRESENT:
            return None
        sighting = Sighting.of(pixels, reading.points)
        inside = (sighting.centre >= 0).all() and (sighting.centre < self.size).all()
        return sighting if inside and sighting.side >= _SMALLEST else None

    def _match(self, frame: int, own_time: float, pixels: NDArray[np.uint8], seen: list[Sighting], cut: bool) -> None:
        """Give each face seen to the person it fits; one that fits nobody is somebody new."""
        costs = np.array(
            [[person.cost(frame, sighting, self._rate, cut) for sighting in seen] for person in self.people]
        ).reshape(len(self.people), len(seen))
        owners = {column: self.people[row] for row, column in assign(costs)}
        for index, sighting in enumerate(seen):
            person = owners.get(index)
            if person is None:
                person = Person.first_seen(sighting)
                self.people.append(person)
            alone = all(box_iou(sighting.box, other.box) < 0.05 for other in seen if other is not sighting)
            scores, mouth = self._net.blendshapes(sighting.points), mouth_patch(pixels, sighting.points)
            row = Row(own_time, sighting.points, scores, mouth)
            person.see(frame, sighting, row, learn=alone)

    def _is_cut(self, pixels: NDArray[np.uint8]) -> bool:
        """True where nearly the whole picture changed since the last frame: another shot, or a flash."""
        small = cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        last, self._thumbnail = self._thumbnail, small
        return last is not None and float(np.abs(small - last).mean()) > _CUT


def _apart(sightings: list[Sighting], overlap: float) -> list[Sighting]:
    """The sightings in their order, without those that lie on an earlier one."""
    kept: list[Sighting] = []
    for sighting in sightings:
        if all(box_iou(sighting.box, other.box) <= overlap for other in kept):
            kept.append(sighting)
    return kept


def _read_ahead(frames: Iterator[TimedPixels], depth: int = 2) -> Generator[TimedPixels, None, None]:
    """The same frames, decoded on another thread while the nets look at the ones before."""
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, frames, None) for _ in range(depth))
        while (timed := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, frames, None))
            yield timed
