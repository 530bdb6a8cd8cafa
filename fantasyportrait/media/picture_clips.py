"""Pictures that drive: a still one is a single frame, held; an animated one is a clip with its frames' own durations.

What a file is, its first bytes say, never its name.
"""

import mmap
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import MediaError
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.images import animation_frames, is_animated, load_photo, resize
from fantasyportrait.media.inputs import PICTURE_BRANDS, first_bytes

Pixels = NDArray[np.uint8]

STILL_RATE = Fraction(25)
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_NEXT_JPEG = b"\xff\xd9\xff\xd8\xff"
_MULTI_PICTURE = b"MPF\0"


def is_picture(path: Path) -> bool:
    """Whether the file is a picture that Pillow reads: a still one of any kind, or an animated WebP, PNG or AVIF.

    Animated GIFs and Motion JPEG are read as videos. False for a file that cannot be opened.
    """
    head = first_bytes(path)
    if head.startswith(_JPEG):
        return _MULTI_PICTURE in head or not _holds_another(path)
    if head.startswith((b"GIF87a", b"GIF89a")):
        with suppress(MediaError):  # a damaged GIF too is the video reader's
            return not is_animated(path)
        return False
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith(_PNG) or is_webp or (head[4:8] == b"ftyp" and head[8:12] in PICTURE_BRANDS)


def picture_info(path: Path) -> ClipInfo:
    """The picture as a clip; raises MediaError where it cannot be read."""
    if not is_animated(path):
        height, width = load_photo(path).pixels.shape[:2]
        return ClipInfo(path, width, height, STILL_RATE, 0.0, has_sound=False, still=True)
    length_s, count, shape = Fraction(0), 0, (0, 0)
    for pixels, duration_s in animation_frames(path, []):
        length_s, count, shape = length_s + duration_s, count + 1, (pixels.shape[0], pixels.shape[1])
    height, width = shape
    return ClipInfo(path, width, height, count / length_s, float(length_s), has_sound=False)


def picture_frames(path: Path, max_side: int | None, damage: list[str]) -> Iterator[tuple[Fraction, Fraction, Pixels]]:
    """(begin, end, pixels) of the frames in seconds; uint8 (H, W, 3) upright sRGB with sides up to `max_side`."""
    end = Fraction(0)
    for pixels, duration_s in animation_frames(path, damage):
        begin, end = end, end + duration_s
        yield begin, end, _reduced(pixels, max_side)


def still_frame(path: Path, max_side: int | None) -> Pixels:
    """A still picture, uint8 (H, W, 3) upright sRGB with sides up to `max_side`."""
    return _reduced(load_photo(path).pixels, max_side)


def _reduced(pixels: Pixels, max_side: int | None) -> Pixels:
    height, width = pixels.shape[:2]
    scale = min(1.0, (max_side or max(width, height)) / max(width, height))
    return resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))


def _holds_another(path: Path) -> bool:
    """Whether one JPEG follows another: a raw Motion JPEG video."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(_NEXT_JPEG) >= 0
