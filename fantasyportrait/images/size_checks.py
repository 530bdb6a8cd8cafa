"""Limits on the size of a picture or a clip's frame, checked before decoding."""

from pathlib import Path

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import Limits


def check_pixels(path: Path, size: tuple[int, int], limits: Limits, advice: str = "scale it down") -> None:
    """Raise MediaError for a picture whose `size` (width, height) is over the limits."""
    width, height = size
    if width * height > limits.pixels:
        raise MediaError(
            "{path} is {width} x {height}, too large to be read safely: at most {most:.0f} million pixels; {advice}",
            path=path,
            width=width,
            height=height,
            most=limits.pixels / 1e6,
            advice=advice,
        )
    if max(size) > limits.longest_side:
        raise MediaError(
            "{path} is {width} x {height}: the longest side may be {most} pixels; {advice}",
            path=path,
            width=width,
            height=height,
            most=limits.longest_side,
            advice=advice,
        )


def check_frame_count(path: Path, count: int, limits: Limits) -> None:
    """Raise MediaError for an animation of too many pictures."""
    if count > limits.animation_frames:
        raise MediaError(
            "{path} is an animation of more than {animation_frames} pictures: convert it to MP4, or make it shorter",
            path=path,
            animation_frames=limits.animation_frames,
        )
