"""The disk cache of clip analysis, by the clip's content: no part of a clip is analysed twice, at any frame rate.

`tracks/KEY-0000/`, `tracks/KEY-0001/` ... are the clip's segments in order, see `faces.segment_io`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.digests import HashedFile
from fantasyportrait.core.disk_cache import CACHE_EXPIRY_S, DiskCache, content_key
from fantasyportrait.faces.clip_tracking import TRACKER_VERSION, track_clip
from fantasyportrait.faces.face_models import FaceModels
from fantasyportrait.faces.segment_io import read_segment, write_segment
from fantasyportrait.faces.segments import Segment
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.schema.face import Track

_MOST_SEGMENTS = 4096


@dataclass(frozen=True)
class CachedSegments:
    """The segments of one clip in the cache, each an entry whose name begins with `key`."""

    cache: DiskCache
    key: str
    clip: HashedFile

    def load(self, index: int, first: int) -> Segment | None:
        """The segment at `index`, None unless it is there, sound, and begins with frame `first`."""
        return self.cache.load(self._name(index), partial(read_segment, first=first))

    def save(self, index: int, segment: Segment) -> None:
        """Keep a segment; where the cache cannot be written, it is not kept.

        Raises `MediaError` where the clip was changed since it was hashed.
        """
        self.clip.check_unchanged()
        self.cache.store(self._name(index), partial(write_segment, segment))

    def _name(self, index: int) -> str:
        return f"{self.key}-{index:04}"


def cached_tracks(
    clip: HashedFile,
    rate: Fraction = Fraction(25),
    start_s: float = 0.0,
    end_s: float | None = None,
    *,
    cache_dir: Path,
    models: FaceModels | None = None,
    decoder: Decoder | None = None,
    expiry_s: float = CACHE_EXPIRY_S,
    progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Track, ...]:
    """Return what `track_clip` returns, without analysing again what was analysed before, for any part and rate.

    Entries are evicted when not used for `expiry_s` seconds, and least recently used first above 512 MB. A damaged
    entry is made again; where the cache cannot be written the tracks are returned uncached. Raises what
    `track_clip` raises, and `MediaError` for a clip that changes while it is read.
    """
    decoder = decoder or LocalDecoder()
    cache = DiskCache(cache_dir / "tracks", _MOST_SEGMENTS, expiry_s=expiry_s)
    key = content_key(clip.sha256, f"{TRACKER_VERSION} {decoder.limits.people}")
    return track_clip(
        clip.path,
        rate,
        start_s,
        end_s,
        models=models,
        decoder=decoder,
        store=CachedSegments(cache, key, clip),
        progress=progress,
        cancel=cancel,
    )
