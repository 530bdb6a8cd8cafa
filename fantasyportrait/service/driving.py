"""The driving stage: every clip of the cast tracked once, one person chosen for each role."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from fantasyportrait.core.errors import FaceError
from fantasyportrait.faces.face import Track
from fantasyportrait.faces.report import crowd_warning, report
from fantasyportrait.media.clips import ClipInfo
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.media.timeline import Timeline, frame_count
from fantasyportrait.schema.limits import PRIVATE
from fantasyportrait.service.cast import ClipSource

DEFAULT_DURATION_S = 4
MISSING_S = Fraction(1, 2)

ClipKey = tuple[str, float, float | None]


@dataclass(frozen=True, eq=False)
class DrivingClip:
    """A clip of the cast as one face uses it: `track` is the chosen person's."""

    face: int
    source: ClipSource
    info: ClipInfo
    track: Track


def clip_key(source: ClipSource) -> ClipKey:
    """The same for two sources that show the same frames, whoever is chosen in them."""
    return str(source.path), source.start_s, source.end_s


def choose_person(source: ClipSource, tracks: Sequence[Track]) -> Track:
    """The person that the source names, or the one with the largest face while it is seen."""
    if not tracks:
        raise FaceError(f"no face was found in {source.path}: choose a clip that shows one")
    if source.person is None:
        return max(tracks, key=_seen_area)
    for track in tracks:
        if track.person == source.person:
            return track
    known = ", ".join(str(track.person) for track in tracks)
    raise FaceError(
        f"{source.path} shows person {known}, but the cast names person {source.person}: choose one that it shows"
    )


def expected_frames(source: ClipSource, info: ClipInfo, rate: Fraction) -> int:
    """How many frames of the clip should be used, by what it says of its length."""
    end_s = info.duration_s if source.end_s is None else min(source.end_s, info.duration_s)
    return frame_count(max(end_s - source.start_s, 0.0), rate)


def stated_length_s(source: ClipSource, rate: Fraction, decoder: Decoder) -> float:
    """Seconds of the used part of the clip at `rate`, by what the clip says of itself; `MediaError` if unreadable."""
    return float(expected_frames(source, decoder.probe(source.path), rate) / rate)


def clip_notes(clip: DrivingClip, rate: Fraction, most_rows: int = PRIVATE.track_rows) -> list[str]:
    """What the user should know about the clip and the chosen person, each with the clip's name.

    `most_rows`: how many rows a track may have.
    """
    name = clip.source.path.name
    notes = [*clip.info.notes]
    notes += [f"{name}, person {clip.track.person}: {text}" for text in report(clip.track, rate).warnings]
    expected = expected_frames(clip.source, clip.info, rate)
    if expected - len(clip.track) > MISSING_S * rate:
        held_s, stated_s = float(len(clip.track) / rate), float(expected / rate)
        if len(clip.track) >= most_rows:
            notes.append(
                f"{name} is used for {held_s:.1f} s of {stated_s:.1f} s, as a motion may have {most_rows} frames: "
                "choose another part with start and end"
            )
        else:
            notes.append(f"{name} is cut off: {held_s:.1f} s of {stated_s:.1f} s could be read and are used")
    crowd = crowd_warning(clip.track)
    if crowd:
        notes.append(f"{name}: {crowd}")
    return notes


def timeline_for(
    duration: float | Literal["longest", "shortest"], rate: Fraction, clips: Sequence[DrivingClip]
) -> Timeline:
    """The result's timeline: a given length, or that of the longest or shortest clip; 4 s where there is no clip."""
    if not isinstance(duration, str):
        return Timeline(rate, frame_count(duration, rate))
    lengths = [len(clip.track) for clip in clips] or [frame_count(DEFAULT_DURATION_S, rate)]
    return Timeline(rate, max(lengths) if duration == "longest" else min(lengths))


def _seen_area(track: Track) -> float:
    """Mean area of the face's box in pixels, frames where it is lost counting as zero."""
    sides = track.boxes[:, 2:] - track.boxes[:, :2]
    return float(np.where(track.valid, sides.prod(axis=1), 0).mean())
