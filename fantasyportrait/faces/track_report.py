"""Warnings about a track before it drives a face: gaps, and a face that is small or turned away."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.sentences import Sentence
from fantasyportrait.schema.face import Track

_TURNED_DEGREES = 40
_TILTED_DEGREES = 35
_AWAY_SHARE = 0.25
_SMALL_PX = 80
_LOST_S = 1.0
_LOST_SHARE = 0.2
_SHORT_S = 0.5
# The line from forehead to chin of a face that looks into the camera leans by so much.
_CHIN_LEANS_DEGREES = 3.3


@dataclass(frozen=True)
class TrackReport:
    """Quality of a track.

    Attributes:
        frames: rows of the track.
        missing: rows without a face, which were filled.
        longest_gap_s: longest run of such rows, in seconds.
        warnings: sentences for the user; none for a good track.
    """

    frames: int
    missing: int
    longest_gap_s: float
    warnings: tuple[str, ...]


def report_track(track: Track, rate: Fraction | None, file_size: tuple[int, int] | None = None) -> TrackReport:
    """Report on a track whose rows are 1 / `rate` seconds apart; `rate` is None for that of a still picture.

    Sizes in the warnings are pixels of the file, whose frames have `file_size` in either orientation: clips are tracked
    at a smaller size. Without it they are pixels of the track.
    """
    scale = 1.0 if file_size is None else max(file_size) / max(track.size)
    if rate is None:
        return TrackReport(1, 0, 0.0, tuple(_about_view(track, scale)))
    frames, missing = len(track), int((~track.valid).sum())
    longest_gap_s = float(_longest_run(~track.valid) / rate)
    first_s = float(int(np.argmax(track.valid)) / rate) if missing < frames else float(frames / rate)
    warnings: list[str] = []
    if frames / rate < _SHORT_S:
        warnings.append(
            Sentence(
                "the clip is short ({seconds:.2f} s): use one of at least {least} s",
                seconds=float(frames / rate),
                least=_SHORT_S,
            )
        )
    if longest_gap_s > _LOST_S or missing > _LOST_SHARE * frames:
        warnings.append(
            Sentence(
                "the face is lost in {missing} of {frames} frames, at the longest for {gap:.1f} s: "
                "the motion there is made up between the frames around it",
                missing=missing,
                frames=frames,
                gap=longest_gap_s,
            )
        )
    if first_s > 0:
        warnings.append(
            Sentence(
                "the face is first seen after {seconds:.2f} s: until then it keeps its first pose", seconds=first_s
            )
        )
    if missing < frames:
        warnings += _about_view(track, scale)
    return TrackReport(frames, missing, longest_gap_s, tuple(warnings))


def crowd_warning(track: Track) -> str | None:
    """Return a warning if more people are in the clip than have a track; it is the same for each of its tracks."""
    if not track.left_out:
        return None
    who = "1 more person is" if track.left_out == 1 else Sentence("{count} more people are", count=track.left_out)
    return Sentence(
        "{who} seen than can drive: of all, the largest were chosen; cut the clip to those you need", who=who
    )


def frontal_sizes(track: Track) -> NDArray[np.float64]:
    """How clearly each row shows the face: its side in pixels, times how frontal it is (0 to 1); float64 (T,).

    Rows without a face are 0.
    """
    pitch, yaw = np.radians(_rough_pose(track.landmarks))
    sides = (track.boxes[:, 2:] - track.boxes[:, :2]).max(axis=1)
    return np.where(track.valid, sides * np.cos(pitch) * np.cos(yaw), 0.0)


def _about_view(track: Track, scale: float) -> list[str]:
    """Warnings about where the driver looks and how large the face is."""
    warnings: list[str] = []
    seen = track.landmarks[track.valid]
    pitch, yaw = _rough_pose(seen)
    away = float(np.mean((np.abs(yaw) > _TURNED_DEGREES) | (np.abs(pitch) > _TILTED_DEGREES)))
    if away > _AWAY_SHARE:
        warnings.append(
            Sentence(
                "the driver is turned away in {away:.0%} of the frames: a clip seen from the front moves a face better",
                away=away,
            )
        )
    sides = track.boxes[track.valid, 2:] - track.boxes[track.valid, :2]
    side = float(np.median(sides.max(axis=1)))
    if side < _SMALL_PX:
        least = f"{_SMALL_PX * scale:.0f} px or more"
        warnings.append(
            Sentence(
                "the driver's face is only {side:.0f} px large: use a closer clip ({least})",
                side=side * scale,
                least=least,
            )
        )
    return warnings


def _rough_pose(landmarks: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(pitch, yaw) in degrees of landmarks (T, 478, 3), within about 3 of a rigid fit, from two lines of the face."""
    across = (landmarks[:, 454] - landmarks[:, 234]).astype(np.float64)
    down = (landmarks[:, 152] - landmarks[:, 10]).astype(np.float64)
    yaw = -_depth_angle(across)
    return _depth_angle(down) - _CHIN_LEANS_DEGREES, yaw


def _depth_angle(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle in degrees between lines (T, 3) and the image plane, positive where they lead away from the camera."""
    return np.degrees(np.arctan2(lines[:, 2], np.hypot(lines[:, 0], lines[:, 1])))


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """Length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
