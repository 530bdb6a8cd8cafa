"""The motion of a driving clip as a file: the track of one person in JSON, or ARKit curves in CSV."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import OutputError, RequestError
from fantasyportrait.driving.driving_clips import DrivingClip, check_clip_range, choose_person, clip_messages
from fantasyportrait.faces.clip_orientation import rotation_messages
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.frame_rates import nearest_standard
from fantasyportrait.motion.motion_files import check_motion_suffix, write_motion_file, written_rate
from fantasyportrait.schema.cast import ClipSource
from fantasyportrait.schema.converters import StrPath, as_path
from fantasyportrait.schema.timeline import MAX_RATE, MIN_RATE
from fantasyportrait.service.input_reader import InputReader

STILL_RATE = Fraction(25)


@dataclass(frozen=True)
class MotionExport:
    """A motion that was written: its file, person, rows, rows a second, and messages about the clip."""

    path: Path
    person: int
    frames: int
    rate: Fraction
    messages: tuple[str, ...]


def check_motion_output(clip: Path, output: Path) -> None:
    """Raise `RequestError` or `OutputError` where a motion cannot be written to `output`, before any slow work."""
    check_motion_suffix(output)
    if output.resolve() == clip.resolve():
        raise RequestError("the motion would overwrite {clip} itself: choose another --output", clip=clip)
    if not output.parent.is_dir():
        raise OutputError(
            "the output's folder {parent} does not exist: make it, or choose another", parent=output.parent
        )
    if output.is_dir():
        raise OutputError("the output {output} is a folder: choose the name of a file", output=output)


def export_motion(
    inputs: InputReader,
    source: ClipSource,
    output: StrPath,
    *,
    rate: Fraction | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: CancelToken | None = None,
) -> MotionExport:
    """Track the person of a clip, a picture or a motion file, and write the motion; the delay does not count.

    The suffix of `output`, .json or .csv, chooses the format. `rate` is in rows a second, by default that of the clip;
    in CSV it is a whole number. `progress` gets (rows done, rows expected). Raises what `InputReader.tracks` raises,
    `RequestError` and `OutputError`.
    """
    path = as_path(output, "output")
    check_motion_output(source.path, path)
    info = inputs.decoder.probe(source.path)
    check_clip_range(source, info)
    wanted = rate or _own_rate(inputs, info)
    used = written_rate(path, wanted)
    tracks = inputs.tracks(source.path, used, source.start_s, source.end_s, progress=progress, cancel=cancel)
    track = choose_person(source, tracks)
    clip = DrivingClip(1, source, info, track)
    messages = clip_messages(clip, used, inputs.decoder.limits.track_rows)
    messages += rotation_messages(source.path, inputs.decoder.rotation_of(source.path))
    if used != wanted:
        messages.append(
            f"timecodes count whole frames: {path.name} has {used} frames a second, not {float(wanted):.5g}"
        )
    write_motion_file(path, track, used, inputs.face_models.canonical_face())
    return MotionExport(path, track.person, len(track), used, tuple(dict.fromkeys(messages)))


def _own_rate(inputs: InputReader, info: ClipInfo) -> Fraction:
    """The clip's own frames a second, a standard one where they vary."""
    measured = inputs.decoder.native_rate(info.path)
    if measured is None:
        return STILL_RATE
    own, steady = measured
    return min(max(own if steady else nearest_standard(own), Fraction(MIN_RATE)), Fraction(MAX_RATE))
