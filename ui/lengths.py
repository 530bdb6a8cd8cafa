"""How long a video would be whose length is that of its clips, before minutes are spent on it."""

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.request import AnimationRequest


def check_length(animator: Animator, request: AnimationRequest, longest_s: float, cancel: CancelToken) -> None:
    """Raise `RequestError` where the clips make the video longer than `longest_s` seconds.

    The clips are tracked for that; the run finds the tracks in the cache. Raises what tracking raises, and `Cancelled`.
    """
    tracks = [
        animator.tracks(clip.path, request.rate, clip.start_s, clip.end_s, cancel=cancel) for clip in request.clips
    ]
    lengths_s = [float(len(people[0]) / request.rate) for people in tracks]
    if not lengths_s:
        return
    length_s = min(lengths_s) if request.duration == "shortest" else max(lengths_s)
    if length_s > longest_s:
        raise RequestError(
            f"the {request.duration} clip lasts {length_s:.0f} s, and Wan makes at most {longest_s:g} s: choose "
            "Seconds as the length, or a shorter clip"
        )
