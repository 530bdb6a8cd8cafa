"""How long a video would be whose length is that of its clips, before minutes are spent on it."""

from collections.abc import Sequence

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.driving import stated_length_s
from fantasyportrait.service.request import AnimationRequest


def check_length(animator: Animator, request: AnimationRequest, longest_s: float, cancel: CancelToken) -> None:
    """Raise `RequestError` where the clips make the video longer than `longest_s` seconds.

    First by what the clips say of their length, so that a long one is not tracked; then they are, as what is said may
    be wrong, and the run finds the tracks in the cache. Raises what tracking raises, and `Cancelled`.
    """
    _refuse(request, [stated_length_s(clip, request.rate) for clip in request.clips], longest_s)
    tracks = [
        animator.tracks(clip.path, request.rate, clip.start_s, clip.end_s, cancel=cancel) for clip in request.clips
    ]
    _refuse(request, [float(len(people[0]) / request.rate) for people in tracks], longest_s)


def _refuse(request: AnimationRequest, lengths_s: Sequence[float], longest_s: float) -> None:
    if not lengths_s:
        return
    length_s = min(lengths_s) if request.duration == "shortest" else max(lengths_s)
    if length_s > longest_s:
        raise RequestError(
            f"the {request.duration} clip lasts {round(length_s, 1):g} s, and Wan makes at most {longest_s:g} s: "
            "choose Seconds as the length, or a shorter clip"
        )
