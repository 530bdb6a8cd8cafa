"""Animated PNG, WebP and AVIF: the pictures in order, each with its duration."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE, Limits
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.images.animation_durations import frame_durations
from fantasyportrait.images.images import as_media_error, check_size, is_heic, read_bytes, upright_srgb
from fantasyportrait.images.large_jpegs import OpenedImage
from fantasyportrait.images.photo_header import check_header
from fantasyportrait.images.size_checks import check_frame_count

Pixels = NDArray[np.uint8]
_FORMATS = ("PNG", "WEBP", "AVIF")


@dataclass(frozen=True)
class Animation:
    """An animation in `path`: `times_s` are the durations of its pictures; the first one is number `first` of the
    file."""

    path: Path
    first: int
    times_s: tuple[Fraction, ...]
    limits: Limits
    data: bytes = field(repr=False)

    @property
    def begins_s(self) -> list[Fraction]:
        """Begin of each picture in seconds."""
        return list(accumulate(self.times_s[:-1], initial=Fraction(0)))

    @property
    def length_s(self) -> Fraction:
        """Seconds of all pictures together."""
        return sum(self.times_s, Fraction(0))

    def frames(self, damage: list[str]) -> Iterator[tuple[Fraction, Fraction, Pixels]]:
        """(begin, end, pixels) of each picture in seconds, uint8 (H, W, 3) upright sRGB on white.

        Where a later picture is damaged the animation ends, and `damage` says so. Raises MediaError where not even the
        first one can be read.
        """
        with as_media_error(self.path, self.limits):
            image = Image.open(io.BytesIO(self.data), formats=_formats(self.limits))
        with image:
            for number, (begin, length_s) in enumerate(zip(self.begins_s, self.times_s, strict=True)):
                try:
                    with as_media_error(self.path, self.limits):
                        image.seek(self.first + number)
                        image.load()
                        pixels = upright_srgb(image, [])
                except MediaError:
                    if not number:
                        raise
                    damage.append(
                        Sentence("{path} is damaged or cut off: what cannot be decoded was left out", path=self.path)
                    )
                    return
                yield begin, begin + length_s, pixels


def read_animation(path: Path, limits: Limits = PRIVATE) -> Animation | None:
    """Return the animation in a picture's file, None for a still picture. Nothing is decoded.

    Raises MediaError where the file is over a limit, or no picture that can be read.
    """
    data = read_bytes(path, limits)
    if is_heic(path, data) or not (data.startswith((b"\x89PNG", b"RIFF")) or data[4:8] == b"ftyp"):
        return None
    check_header(path, data, limits)
    with as_media_error(path, limits), Image.open(io.BytesIO(data), formats=_formats(limits)) as image:
        check_size(path, OpenedImage(image, image.size), limits)
        count = getattr(image, "n_frames", 1)
        if count < 2:
            return None
        check_frame_count(path, count, limits)
        # A PNG may begin with a fallback picture for programs without animation.
        first = 1 if getattr(image, "default_image", False) else 0
    return Animation(path, first, tuple(frame_durations(data, count - first)), limits, data)


def _formats(limits: Limits) -> list[str]:
    return [name for name in limits.formats if name in _FORMATS]
