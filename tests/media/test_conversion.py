"""A finished video in other formats."""

from pathlib import Path

import pytest

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, RequestError
from fantasyportrait.media.clips import read_clip
from fantasyportrait.media.conversion import convert_video
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.media.metadata import read_metadata
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from tests.factories_media import counting, make_clip

DECODER = LocalDecoder()


@pytest.mark.parametrize("suffix", [".webm", ".gif"])
def test_converted_video_has_frames_of_video(tmp_path: Path, suffix: str) -> None:
    video = make_clip(tmp_path / "a.mp4", [counting(number) for number in range(12)])
    steps: list[tuple[int, int]] = []
    convert_video(DECODER, video, tmp_path / f"b{suffix}", on_frame=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (12, 12)
    assert len(list(read_clip(tmp_path / f"b{suffix}", 25))) == 12


def test_cancelled_conversion_leaves_nothing(tmp_path: Path) -> None:
    video, token = make_clip(tmp_path / "a.mp4", [counting(number) for number in range(12)]), CancelToken()
    for name in ("b.webm", "b.zip"):
        with pytest.raises(Cancelled):
            convert_video(DECODER, video, tmp_path / name, cancel=token, on_frame=lambda done, total: token.cancel())
        assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"\.webm, \.gif or \.zip"):
        convert_video(DECODER, tmp_path / "a.mp4", tmp_path / "b.avi")


def test_side_by_side_made_afterwards_is_that_of_run(two_person: Path, models_dir: Path, tmp_path: Path) -> None:
    animator = Animator()
    request = AnimationRequest(two_person, ["1=motion:talk", "2=motion:nod"], duration=0.2, max_side=320)
    made = animator.animate(request, tmp_path / "a.mp4")
    assert made.side_by_side is not None
    before = made.side_by_side.read_bytes()
    made.side_by_side.unlink()
    path = animator.side_by_side(request, made.video)
    assert path == made.side_by_side and path.read_bytes() == before
    assert read_metadata(made.video)["description"]
