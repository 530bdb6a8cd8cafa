"""Readings of clips kept on disk by the clip's content: no part of a clip is looked at twice, at whatever rate.

`tracks/KEY-0000/`, `tracks/KEY-0001/` ... are the clip's segments in order, see `faces.segment_files`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.shelf import KEPT_S, Shelf, content_key
from fantasyportrait.faces.face import Track
from fantasyportrait.faces.readings import Segment
from fantasyportrait.faces.segment_files import read_segment, write_segment
from fantasyportrait.faces.tracker import TRACKER_VERSION, track_clip
from fantasyportrait.media.decoder import Decoder, LocalDecoder

_MOST_SEGMENTS = 4096


@dataclass(frozen=True)
class ShelvedSegments:
    """The segments of one clip on a shelf, each an entry whose name begins with `key`."""

    shelf: Shelf
    key: str

    def load(self, place: int, first: int) -> Segment | None:
        """The segment at `place`, None unless it is there, sound, and begins with frame `first`."""
        return self.shelf.load(self._name(place), partial(read_segment, first=first))

    def save(self, place: int, segment: Segment) -> None:
        """Keep a segment; where the shelf cannot be written, it is not kept."""
        self.shelf.store(self._name(place), partial(write_segment, segment))

    def _name(self, place: int) -> str:
        return f"{self.key}-{place:04}"


def cached_tracks(
    path: Path,
    rate: Fraction = Fraction(25),
    start_s: float = 0.0,
    end_s: float | None = None,
    *,
    cache_dir: Path,
    models_dir: Path | None = None,
    decoder: Decoder | None = None,
    expiry_s: float = KEPT_S,
    progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Track, ...]:
    """What `track_clip` returns; what was read of the same clip before, for any part and rate, is not read again.

    Readings that were not used for `expiry_s` seconds go, and those used longest ago when there are more than 512 MB.
    A damaged entry is made again; where nothing can be written the tracks are returned all the same. Raises what
    `track_clip` raises.
    """
    decoder = decoder or LocalDecoder()
    shelf = Shelf(cache_dir / "tracks", _MOST_SEGMENTS, expiry_s=expiry_s)
    key = content_key(path, f"{TRACKER_VERSION} {decoder.limits.people}")
    return track_clip(
        path,
        rate,
        start_s,
        end_s,
        models_dir=models_dir,
        decoder=decoder,
        store=ShelvedSegments(shelf, key),
        progress=progress,
        cancel=cancel,
    )
