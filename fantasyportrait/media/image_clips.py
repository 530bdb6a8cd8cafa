"""Pictures as driving clips: a still one is a single frame; an animated one has its frames' own durations.

The kind of a file follows from its first bytes, never from its name.
"""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.images.animations import read_animation
from fantasyportrait.images.images import load_photo, read_bytes, resize
from fantasyportrait.images.input_checks import IMAGE_BRANDS, first_bytes
from fantasyportrait.images.input_file import open_file
from fantasyportrait.images.photo_header import is_animated_gif
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.frame_rates import measured_rate

Pixels = NDArray[np.uint8]

STILL_RATE = Fraction(25)
_STILL_S = Fraction(1, 1000)  # shorter than a frame at any rate: so it is one row
_JPEG, _PNG, _TIFF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NEXT_JPEG = b"\xff\xd9\xff\xd8\xff"
_MULTI_PICTURE = b"MPF\0"
_PIECE_BYTES = 1 << 20


def is_image(path: Path, limits: Limits = PRIVATE) -> bool:
    """Whether the file is a picture that Pillow reads: a still one of any kind, or an animated WebP, PNG or AVIF.

    Animated GIFs and Motion JPEG are read as videos. False for a file that cannot be opened.
    """
    head = first_bytes(path)
    if head.startswith(_JPEG):
        return _MULTI_PICTURE in head or not _has_second_image(path)
    if head.startswith((b"GIF87a", b"GIF89a")):
        with suppress(MediaError):  # a GIF that is too large for a photo is read as a video too
            return not is_animated_gif(read_bytes(path, limits))
        return False
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    is_bmp = head[:2] == b"BM" and head[6:10] == bytes(4)
    return head.startswith((_PNG, *_TIFF)) or is_webp or is_bmp or _has_image_brand(head)


def image_clip_info(path: Path, limits: Limits = PRIVATE) -> ClipInfo:
    """The picture as a clip; its first frame is decoded. Raises MediaError where it cannot be read."""
    animation = read_animation(path, limits)
    if animation is None:
        photo = load_photo(path, limits)
        height, width = photo.pixels.shape[:2]
        messages = tuple(
            message if path.name in message else Sentence("{name}: {text}", name=path.name, text=message)
            for message in photo.messages
        )
        return ClipInfo(path, width, height, STILL_RATE, 0.0, has_sound=False, messages=messages, still=True)
    _, _, pixels = next(animation.frames([]))
    height, width = pixels.shape[:2]
    rate = len(animation.times_s) / animation.length_s
    return ClipInfo(path, width, height, rate, float(animation.length_s), has_sound=False)


def image_rate(path: Path, limits: Limits = PRIVATE) -> tuple[Fraction, bool] | None:
    """(frames a second, whether that is constant) of an animation, None for a still picture; nothing is decoded."""
    animation = read_animation(path, limits)
    return None if animation is None else measured_rate(animation.begins_s)


def image_frames(
    path: Path, max_side: int | None, damage: list[str], limits: Limits = PRIVATE
) -> Iterator[tuple[Fraction, Fraction, Pixels]]:
    """(begin, end, pixels) of the frames in seconds; uint8 (H, W, 3) upright sRGB with sides up to `max_side`.

    A still picture is one frame, which ends after a millisecond. Raises MediaError where it cannot be read.
    """
    animation = read_animation(path, limits)
    if animation is None:
        yield Fraction(0), _STILL_S, _reduced(load_photo(path, limits).pixels, max_side)
        return
    for begin, end, pixels in animation.frames(damage):
        yield begin, end, _reduced(pixels, max_side)


def _reduced(pixels: Pixels, max_side: int | None) -> Pixels:
    height, width = pixels.shape[:2]
    scale = min(1.0, (max_side or max(width, height)) / max(width, height))
    return resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))


def _has_image_brand(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in IMAGE_BRANDS


def _has_second_image(path: Path) -> bool:
    """Whether one JPEG follows another: a raw Motion JPEG video."""
    before = b""
    with suppress(OSError), open_file(path) as file:
        while piece := file.read(_PIECE_BYTES):
            if _NEXT_JPEG in before + piece:
                return True
            before = piece[1 - len(_NEXT_JPEG) :]
    return False
