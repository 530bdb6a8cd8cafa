"""Orientation of driving clips: find the rotation that makes faces upright, and a decoder that applies it."""

import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.limits import Limits
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.landmarks import Landmarks
from fantasyportrait.faces.orientation import ROTATION_NAMES, Rotation, are_upright, best_orientation, rotated
from fantasyportrait.images.images import Photo
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.media.remux import Container
from fantasyportrait.schema.face import Track

Pixels = NDArray[np.uint8]

_SIDE = 960
# Frames, spread over the clip, that decide its orientation.
_SAMPLED_FRAMES = 5
# Rotations of so many clips are kept, far more than a request has: the memory of a long-running app stays bounded.
_MAX_CLIPS = 256


class UprightDecoder:
    """A decoder that rotates the frames of clips whose rotation was set; otherwise it is the wrapped `decoder`.

    So everything that looks at a clip (its tracks, its motion codes, the side by side) sees it the same way round. A
    file that takes another's place is another clip. The clips used last are remembered.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._rotations: OrderedDict[tuple[object, ...], Rotation] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def limits(self) -> Limits:
        """See `Decoder`."""
        return self._decoder.limits

    def rotation_of(self, path: Path) -> Rotation:
        """Return the degrees by which the clip's frames are rotated clockwise."""
        file = _identity(path)
        with self._lock:
            if file not in self._rotations:
                return 0
            self._rotations.move_to_end(file)
            return self._rotations[file]

    def set_rotation(self, path: Path, rotation: Rotation) -> None:
        """Set the clockwise rotation of the clip."""
        file = _identity(path)
        with self._lock:
            self._rotations[file] = rotation
            self._rotations.move_to_end(file)
            while len(self._rotations) > _MAX_CLIPS:
                self._rotations.popitem(last=False)

    def photo(self, path: Path) -> Photo:
        """See `Decoder`."""
        return self._decoder.photo(path)

    def probe(self, path: Path) -> ClipInfo:
        """See `Decoder`; the size is that of the turned frames."""
        info = self._decoder.probe(path)
        return replace(info, width=info.height, height=info.width) if self.rotation_of(path) in (90, 270) else info

    def frames(
        self,
        path: Path,
        rate: Fraction = Fraction(25),
        start_s: float = 0.0,
        end_s: float | None = None,
        max_side: int | None = None,
        damage: list[str] | None = None,
    ) -> Generator[tuple[float, Pixels], None, None]:
        """See `Decoder`."""
        rotation = self.rotation_of(path)
        source = before = None
        with closing(self._decoder.frames(path, rate, start_s, end_s, max_side, damage)) as frames:
            for native_time, pixels in frames:
                if pixels is not source or before is None:  # a frame that shows twice stays the same array
                    source, before = pixels, rotated(pixels, rotation)
                yield native_time, before

    def native_frames(
        self,
        path: Path,
        after: Fraction | None = None,
        most: Fraction | None = None,
        max_side: int | None = None,
        damage: list[str] | None = None,
    ) -> Generator[tuple[Fraction, Fraction, Pixels], None, None]:
        """See `Decoder`."""
        rotation = self.rotation_of(path)
        with closing(self._decoder.native_frames(path, after, most, max_side, damage)) as frames:
            for begin, end, pixels in frames:
                yield begin, end, rotated(pixels, rotation)

    def native_rate(self, path: Path) -> tuple[Fraction, bool] | None:
        """See `Decoder`."""
        return self._decoder.native_rate(path)

    def sound_length_s(self, path: Path) -> Fraction:
        """See `Decoder`."""
        return self._decoder.sound_length_s(path)

    def sound(self, path: Path, start_s: Fraction = Fraction(0)) -> Generator[NDArray[np.float32], None, None]:
        """See `Decoder`."""
        return self._decoder.sound(path, start_s)

    def metadata(self, path: Path) -> dict[str, str]:
        """See `Decoder`."""
        return self._decoder.metadata(path)

    def remux(self, path: Path) -> Generator[tuple[Container, bytes], None, None]:
        """See `Decoder`; the rotation is not applied."""
        return self._decoder.remux(path)


def _identity(path: Path) -> tuple[object, ...]:
    """Return file status values that change when the file is replaced."""
    try:
        about = path.stat()
    except OSError:  # reading it says so
        return (path,)
    return path, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def rotation_messages(path: Path, rotation: Rotation) -> list[str]:
    """Return a message about a rotated clip."""
    return (
        [
            Sentence(
                "{path} was turned by {turn}, so that its faces stand upright",
                path=path.name,
                turn=ROTATION_NAMES[rotation],
            )
        ]
        if rotation
        else []
    )


def clip_rotation(path: Path, tracks: Sequence[Track], decoder: Decoder, models: FaceModels) -> Rotation:
    """Return the rotation of a clip whose `tracks` (none where no face was found) were made without one.

    A clip in which people stand upright is not read again. Of another one a few frames are looked at each way round.
    """
    known = [face for track in tracks for face in _some_rows(track)]
    if are_upright(known):
        return 0
    length_s = decoder.probe(path).duration_s
    rate = Fraction(_SAMPLED_FRAMES) / max(Fraction(length_s), Fraction(1, 5))
    with closing(decoder.frames(path, rate, max_side=_SIDE)) as frames:
        pictures = [pixels for (_, pixels), _ in zip(frames, range(_SAMPLED_FRAMES), strict=False)]
    analyser = FaceAnalyser(models)
    return best_orientation(pictures, lambda pixels: analyser.read(pixels).faces)


def _some_rows(track: Track) -> list[Landmarks]:
    """Return evenly spread rows in which the person was detected."""
    seen = np.flatnonzero(track.valid)
    rows = seen[np.linspace(0, len(seen) - 1, min(_SAMPLED_FRAMES, len(seen))).astype(int)]
    return [Landmarks(track.landmarks[row], 1.0) for row in rows]
