"""Check of the free disk space before a run."""

import shutil
from pathlib import Path

from fantasyportrait.core.errors import OutputError

# Bytes per pixel of a frame, above the measured ones (0.002 to 0.009 for MP4 and WebM, 0.01 to 0.1 for GIF, 0.4 to 1.4
# for PNG), as other photos may move more.
BYTES_PER_PIXEL = {".mp4": 0.02, ".webm": 0.02, ".gif": 0.15, "": 2.0}
SOUND_BYTES_PER_S = 25_000
SIDE_BY_SIDE_PIXELS = 1920 * 384
RESERVE_BYTES = 1_000_000


def estimate_result_bytes(suffix: str, size: tuple[int, int], frames: int, length_s: float, side_by_side: bool) -> int:
    """Upper estimate of the bytes of all files of a result, from the video's `suffix` and `size` (width, height)."""
    rate = BYTES_PER_PIXEL[suffix.lower()]
    beside = BYTES_PER_PIXEL[".mp4"] * SIDE_BY_SIDE_PIXELS + SOUND_BYTES_PER_S * length_s / frames
    per_frame = rate * size[0] * size[1] + SOUND_BYTES_PER_S * length_s / frames + (beside if side_by_side else 0)
    return round(per_frame * frames) + RESERVE_BYTES


def check_disk_space(folder: Path, needed: int, what: str) -> None:
    """Raise `OutputError` where the disk of `folder` has less than `needed` bytes free for `what`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            "{what} needs about {needed} in {folder}, where {free} are free: free some space, "
            "or choose a shorter or smaller video or another place",
            what=what,
            needed=_megabytes(needed),
            folder=folder,
            free=_megabytes(free),
        )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count >= 10_000_000 else f"{count / 1e6:.1f} MB"
