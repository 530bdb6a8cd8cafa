"""The `Decoder` protocol, which reads photos, clips and sound, and the decoder of this process."""

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.images.images import Photo, load_photo
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.clips import Pixels, native_rate, probe_clip, read_native_frames, read_resampled
from fantasyportrait.media.metadata import read_metadata
from fantasyportrait.media.remux import Container, remux
from fantasyportrait.media.sound import Block, read_sound, sound_length_s


class Decoder(Protocol):
    """Reads untrusted files within its limits. Threads may share it.

    Every method raises `MediaError` for a file that cannot be read or is over a limit. A generator that is closed
    early closes its file at once.
    """

    @property
    def limits(self) -> Limits:
        """The limits above which a file is refused."""
        ...

    def photo(self, path: Path) -> Photo:
        """The photo as `images.images.load_photo` reads it."""
        ...

    def probe(self, path: Path) -> ClipInfo:
        """Return the clip's properties, after decoding at least one frame."""
        ...

    def frames(
        self,
        path: Path,
        rate: Fraction = Fraction(25),
        start_s: float = 0.0,
        end_s: float | None = None,
        max_side: int | None = None,
        damage: list[str] | None = None,
    ) -> Generator[tuple[float, Pixels], None, None]:
        """(own time, RGB frame) for each row of the clip, as `media.clips.read_resampled` reads it.

        A frame that shows on several rows is the same array each time.
        """
        ...

    def native_frames(
        self,
        path: Path,
        after: Fraction | None = None,
        max_rate: Fraction | None = None,
        max_side: int | None = None,
        damage: list[str] | None = None,
    ) -> Generator[tuple[Fraction, Fraction, Pixels], None, None]:
        """(begin, end, RGB frame) in the clip's own times, as `media.clips.read_native_frames` reads it."""
        ...

    def native_rate(self, path: Path) -> tuple[Fraction, bool] | None:
        """(frames a second, whether that is constant), None for a still picture, as `media.clips.native_rate`."""
        ...

    def sound_length_s(self, path: Path) -> Fraction:
        """Seconds of sound, 0 without a sound track, as `media.sound.sound_length_s` counts them."""
        ...

    def sound(self, path: Path, start_s: Fraction = Fraction(0)) -> Generator[Block, None, None]:
        """Sound from `start_s` on, float32 (n, 2) at 48 kHz in blocks of any size, as `media.sound.read_sound`."""
        ...

    def metadata(self, path: Path) -> dict[str, str]:
        """The texts of a video or a PNG picture by lower-case key, as `media.metadata.read_metadata` reads them."""
        ...

    def remux(self, path: Path) -> Generator[tuple[Container, bytes], None, None]:
        """(kind, bytes) of each piece of a recording in a new container, as `media.remux.remux` makes it."""
        ...


@dataclass(frozen=True)
class LocalDecoder:
    """Decodes in this process: for files of the user's own."""

    limits: Limits = PRIVATE

    def photo(self, path: Path) -> Photo:
        """See `Decoder`."""
        return load_photo(path, self.limits)

    def probe(self, path: Path) -> ClipInfo:
        """See `Decoder`."""
        return probe_clip(path, self.limits)

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
        return read_resampled(path, rate, start_s, end_s, max_side, damage, self.limits)

    def native_frames(
        self,
        path: Path,
        after: Fraction | None = None,
        max_rate: Fraction | None = None,
        max_side: int | None = None,
        damage: list[str] | None = None,
    ) -> Generator[tuple[Fraction, Fraction, Pixels], None, None]:
        """See `Decoder`."""
        return read_native_frames(path, after, max_rate, max_side, damage, self.limits)

    def native_rate(self, path: Path) -> tuple[Fraction, bool] | None:
        """See `Decoder`."""
        return native_rate(path, self.limits)

    def sound_length_s(self, path: Path) -> Fraction:
        """See `Decoder`."""
        return sound_length_s(path, self.limits)

    def sound(self, path: Path, start_s: Fraction = Fraction(0)) -> Generator[Block, None, None]:
        """See `Decoder`."""
        return read_sound(path, start_s, self.limits)

    def metadata(self, path: Path) -> dict[str, str]:
        """See `Decoder`."""
        return read_metadata(path, self.limits)

    def remux(self, path: Path) -> Generator[tuple[Container, bytes], None, None]:
        """See `Decoder`."""
        return remux(path, self.limits)
