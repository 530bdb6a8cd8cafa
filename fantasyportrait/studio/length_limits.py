"""Checks the length of a video that is as long as its clips, before it is rendered."""

from collections.abc import Sequence
from fractions import Fraction

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.driving.driving_clips import reported_duration_s
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.studio.engine_values import WAN


def check_reported_length(inputs: InputReader, request: AnimationRequest, longest_s: float) -> None:
    """Raise `RequestError` where the reported lengths of the clips make the video longer than `longest_s`.

    It tracks no clip. Raises `MediaError` for a clip that cannot be read.
    """
    stated = [reported_duration_s(clip, _rate(request), inputs.decoder) for clip in request.clips]
    _refuse(request, [length_s for length_s in stated if length_s is not None], longest_s, "reports a length of")


def check_tracked_length(inputs: InputReader, request: AnimationRequest, longest_s: float, cancel: CancelToken) -> None:
    """The same by the clips' tracks, as reported lengths may be wrong; the run reads them from the cache.

    Raises the errors of tracking, and `Cancelled`.
    """
    rate = _rate(request)
    moving = [clip for clip in request.clips if not inputs.decoder.probe(clip.path).still]
    tracks = [inputs.tracks(clip.path, rate, clip.start_s, clip.end_s, cancel=cancel) for clip in moving]
    ends_s = [clip.delay_s + float(len(people[0]) / rate) for clip, people in zip(moving, tracks, strict=True)]
    _refuse(request, ends_s, longest_s, "lasts")


def _rate(request: AnimationRequest) -> Fraction:
    """The frame rate to count with; it does not change how long a clip is."""
    return request.rate if isinstance(request.rate, Fraction) else Fraction(25)


def _refuse(request: AnimationRequest, lengths_s: Sequence[float], longest_s: float, lasts: str) -> None:
    if not lengths_s:
        return
    length_s = min(lengths_s) if request.duration == "shortest" else max(lengths_s)
    if length_s > longest_s:
        engine = "Wan" if request.engine == WAN else "the preview"
        raise RequestError(
            "the {which} clip {lasts} {length:g} s, and {engine} makes at most {longest:g} "
            "s: choose Seconds as the length, or a shorter clip",
            which=request.duration,
            lasts=lasts,
            length=round(length_s, 1),
            engine=engine,
            longest=longest_s,
        )
