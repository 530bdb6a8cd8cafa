"""Limits on the size of a picture or a clip's frame, checked before decoding."""

from pathlib import Path

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import Limits


def check_pixels(path: Path, size: tuple[int, int], limits: Limits, advice: str = "scale it down") -> None:
    """Raise MediaError for a picture whose `size` (width, height) is over the limits."""
    width, height = size
    if width * height > limits.pixels:
        raise MediaError(
            f"{path} is {width} x {height}, too large to be read safely: at most {limits.pixels / 1e6:.0f} million "
            f"pixels; {advice}"
        )
    if max(size) > limits.longest_side:
        raise MediaError(
            f"{path} is {width} x {height}: the longest side may be {limits.longest_side} pixels; {advice}"
        )


def check_frame_count(path: Path, count: int, limits: Limits) -> None:
    """Raise MediaError for an animation of too many pictures."""
    if count > limits.animation_frames:
        raise MediaError(
            f"{path} is an animation of more than {limits.animation_frames} pictures: convert it to MP4, or make it "
            "shorter"
        )
