"""A decoder that also reads motion files: their properties, and their frames as line drawings of the face."""

from collections.abc import Callable, Generator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.limits import Limits
from fantasyportrait.faces.mesh import CanonicalFace
from fantasyportrait.images.images import Photo
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.clips import MAX_RATE_DENOMINATOR, check_span
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.media.remux import Container
from fantasyportrait.motion.landmark_drawing import draw_face
from fantasyportrait.motion.motion_files import is_motion_file, read_motion_file
from fantasyportrait.schema.face import Track

Pixels = NDArray[np.uint8]


class MotionFileDecoder:
    """A decoder that reads motion files itself; every other file is read by the wrapped `decoder`.

    Motion files hold text that is checked value by value, so they need no child process. `canonical` returns the mean
    face, of which curves are drawn.
    """

    def __init__(self, decoder: Decoder, canonical: Callable[[], CanonicalFace]) -> None:
        self._decoder, self._canonical = decoder, canonical

    @property
    def limits(self) -> Limits:
        """See `Decoder`."""
        return self._decoder.limits

    def photo(self, path: Path) -> Photo:
        """See `Decoder`."""
        return self._decoder.photo(path)

    def probe(self, path: Path) -> ClipInfo:
        """See `Decoder`; a motion of one row is a still picture."""
        if not is_motion_file(path):
            return self._decoder.probe(path)
        motion = read_motion_file(path, self.limits)
        still = len(motion) == 1
        length_s = 0.0 if still else float(motion.length_s)
        return ClipInfo(path, *motion.size, motion.rate, length_s, False, motion.messages, still)

    def frames(
        self,
        path: Path,
        rate: Fraction = Fraction(25),
        start_s: float = 0.0,
        end_s: float | None = None,
        max_side: int | None = None,
        damage: list[str] | None = None,
    ) -> Generator[tuple[float, Pixels], None, None]:
        """See `Decoder`; the frames of a motion file are line drawings of the face."""
        if not is_motion_file(path):
            yield from self._decoder.frames(path, rate, start_s, end_s, max_side, damage)
            return
        check_span(path, start_s, end_s)
        track = read_motion_file(path, self.limits).track(
            self._canonical(), rate, start_s, end_s, self.limits.track_rows
        )
        yield from ((float(row), pixels) for row, pixels in enumerate(_drawn(track, max_side)))

    def native_frames(
        self,
        path: Path,
        after: Fraction | None = None,
        max_rate: Fraction | None = None,
        max_side: int | None = None,
        damage: list[str] | None = None,
    ) -> Generator[tuple[Fraction, Fraction, Pixels], None, None]:
        """See `Decoder`; the frames of a motion file are line drawings of the face, at its mean rate."""
        if not is_motion_file(path):
            yield from self._decoder.native_frames(path, after, max_rate, max_side, damage)
            return
        motion = read_motion_file(path, self.limits)
        rate = motion.rate if max_rate is None else min(motion.rate, max_rate)
        track = motion.track(self._canonical(), rate, 0.0, None, self.limits.track_rows)
        for row, pixels in enumerate(_drawn(track, max_side)):
            if after is None or row / rate > after:
                yield row / rate, (row + 1) / rate, pixels

    def native_rate(self, path: Path) -> tuple[Fraction, bool] | None:
        """See `Decoder`."""
        if not is_motion_file(path):
            return self._decoder.native_rate(path)
        motion = read_motion_file(path, self.limits)
        return None if len(motion) == 1 else (motion.rate.limit_denominator(MAX_RATE_DENOMINATOR), True)

    def sound_length_s(self, path: Path) -> Fraction:
        """See `Decoder`; a motion file has no sound."""
        return Fraction(0) if is_motion_file(path) else self._decoder.sound_length_s(path)

    def sound(self, path: Path, start_s: Fraction = Fraction(0)) -> Generator[NDArray[np.float32], None, None]:
        """See `Decoder`; a motion file has no sound."""
        if not is_motion_file(path):
            yield from self._decoder.sound(path, start_s)

    def metadata(self, path: Path) -> dict[str, str]:
        """See `Decoder`."""
        return self._decoder.metadata(path)

    def remux(self, path: Path) -> Generator[tuple[Container, bytes], None, None]:
        """See `Decoder`; it refuses a motion file, which is no recording."""
        yield from self._decoder.remux(path)


def _drawn(track: Track, max_side: int | None) -> Generator[Pixels, None, None]:
    """Line drawings of the rows, with sides of at most `max_side` pixels."""
    width, height = track.size
    scale = min(1.0, (max_side or max(width, height)) / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    yield from (draw_face(points * np.float32(scale), size) for points in track.landmarks)
