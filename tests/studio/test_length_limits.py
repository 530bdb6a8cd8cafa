"""A video as long as its clips is refused if it is too long, before slow work where possible."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.images.images import save_image
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.studio.length_limits import check_reported_length, check_tracked_length
from tests.factories_media import grey, make_clip

RATE = 25  # as make_clip writes, and as a request is made


class Tracker:
    """A fake tracker that finds one person in every clip and records the clips."""

    decoder = LocalDecoder()

    def __init__(self, frames: int) -> None:
        self.clips: list[Path] = []
        self._track = range(frames)

    def tracks(self, clip: Path, *_: object, **__: object) -> Sequence[Sequence[int]]:
        """The frames of the one person."""
        self.clips.append(clip)
        return (self._track,)


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """Clips without a face by their length in seconds."""
    folder = tmp_path_factory.mktemp("lengths")
    made = {seconds: folder / f"{seconds}.mp4" for seconds in (0.4, 1.2)}
    for seconds, path in made.items():
        make_clip(path, [grey(0)] * round(seconds * RATE))
    return made


def check(tracker: Any, clips: Sequence[Path], duration: Any = "longest", **span: float) -> None:
    """Check a request that is driven by the clips, as a run with Wan does; at most 1 s is allowed."""
    cast = tuple(Role(face, ClipSource(clip, **span)) for face, clip in enumerate(clips, 1))
    request = AnimationRequest(Path("p.png"), cast or (Role(1, BuiltinSource("nod")),), engine="wan", duration=duration)
    check_reported_length(tracker, request, 1.0)
    check_tracked_length(tracker, request, 1.0, CancelToken())


def test_length_limit_refuses_long_clip_before_tracking(lengths: dict[float, Path]) -> None:
    tracker = Tracker(10)
    with pytest.raises(RequestError, match="the longest clip reports a length of 1.2 s, and Wan makes at most 1 s"):
        check(tracker, list(lengths.values()))
    assert not tracker.clips


def test_length_limit_refuses_clip_longer_than_its_header(lengths: dict[float, Path]) -> None:
    with pytest.raises(RequestError, match="the longest clip lasts 2 s"):
        check(Tracker(50), [lengths[0.4]])


def test_length_limit_accepts_short_clips(lengths: dict[float, Path]) -> None:
    tracker = Tracker(10)
    check(tracker, list(lengths.values()), "shortest")
    assert tracker.clips == list(lengths.values())
    check(tracker, [lengths[1.2]], end_s=0.8)
    check(tracker, [])


def test_length_limit_counts_delays(lengths: dict[float, Path], tmp_path: Path) -> None:
    save_image(tmp_path / "face.png", grey(0))
    for duration in ("longest", "shortest"):
        with pytest.raises(RequestError, match=f"the {duration} clip reports a length of 1.2 s"):
            check(Tracker(1), [tmp_path / "face.png", lengths[1.2]], duration)
    with pytest.raises(RequestError, match=r"reports a length of 1.2 s"):
        check(Tracker(10), [lengths[0.4]], delay_s=0.8)
    tracker = Tracker(10)
    check(tracker, [tmp_path / "face.png", lengths[0.4]], delay_s=0.5)
    assert tracker.clips == [lengths[0.4]]
