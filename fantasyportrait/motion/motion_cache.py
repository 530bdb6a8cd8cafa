"""Motion codes kept on disk by the clip's content and the nets' weights: the same person is never encoded twice."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.digests import HashedFile
from fantasyportrait.core.disk_cache import CACHE_EXPIRY_S, DiskCache, content_key
from fantasyportrait.faces.clip_tracking import MAX_SIDE, TRACKER_VERSION
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.motion.extract import extract_motion
from fantasyportrait.motion.motion_nets import MotionNets
from fantasyportrait.schema.face import Track
from fantasyportrait.schema.motion_code import MotionCode
from fantasyportrait.schema.timeline import span_end_s

_FEATURES = "features.npy"
_VALID = "valid.npy"


@dataclass(frozen=True)
class ClipSpan:
    """Part of a clip on a timeline: the arguments with which it was tracked (`faces.clip_tracking.track_clip`)."""

    file: HashedFile
    rate: Fraction = Fraction(25)
    start_s: float = 0.0
    end_s: float | None = None


def cached_motion(
    clip: ClipSpan,
    track: Track,
    nets: MotionNets,
    *,
    cache_dir: Path,
    decoder: Decoder | None = None,
    expiry_s: float = CACHE_EXPIRY_S,
    mirror: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> MotionCode:
    """What `extract_motion` makes of a person of the clip, read from `cache_dir` where it was made before.

    A damaged entry is made again; where the cache cannot be written the code is returned uncached. The 64 entries used
    last are kept, unless they were not used for `expiry_s` seconds. Frames are read by `decoder`, in this process where
    it is None. Raises what `extract_motion` and `media.clips.read_resampled` raise, and `MediaError` for a clip that
    was changed since it was hashed.
    """
    cache = DiskCache(cache_dir / "motion_codes", expiry_s=expiry_s)
    end_s = clip.end_s if clip.end_s is None else float(clip.end_s)
    span = f"{clip.rate} {float(clip.start_s)} {end_s}"
    key = content_key(clip.file.sha256, f"{TRACKER_VERSION} {span} {track.person} {mirror} {nets.key}")
    code = cache.load(key, partial(_read, len(track)))
    if code is None:
        decoder = decoder or LocalDecoder()
        read_to_s = span_end_s(clip.start_s, len(track), clip.rate)
        with closing(decoder.frames(clip.file.path, clip.rate, clip.start_s, read_to_s, MAX_SIDE)) as read:
            frames = islice(read, len(track))
            code = extract_motion(frames, track, nets, mirror=mirror, progress=progress, cancel=cancel)
        clip.file.check_unchanged()
        cache.store(key, partial(_write, code))
    elif progress is not None:
        progress(len(code), len(code))
    return code


def _read(rows: int, entry: Path) -> MotionCode:
    """The entry's code; ValueError and the like where it is damaged or has not so many rows."""
    features, valid = (np.load(entry / name, allow_pickle=False) for name in (_FEATURES, _VALID))
    code = MotionCode.from_features(features, valid)
    if len(code) != rows:
        raise ValueError(f"{len(code)} rows, expected {rows}")
    return code


def _write(code: MotionCode, entry: Path) -> None:
    np.save(entry / _FEATURES, code.features, allow_pickle=False)
    np.save(entry / _VALID, code.valid, allow_pickle=False)
