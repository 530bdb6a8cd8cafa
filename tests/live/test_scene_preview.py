"""The scene preview: a frame and the loop of the whole scene, outlines, the part that is shown."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, RequestError
from fantasyportrait.faces.annotate import face_colour
from fantasyportrait.images.images import load_photo, resize
from fantasyportrait.live.scene_preview import LOOP_FRAMES, outline_strength, scene_frame, scene_loop
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.input_reader import InputReader
from tests.conftest import Inputs


@pytest.fixture(scope="module")
def animator(models_dir: Path) -> Animator:
    return Animator(models_dir)


@pytest.fixture(scope="module")
def plain(two_person: Path) -> NDArray[np.uint8]:
    return resize(load_photo(two_person).pixels, (480, 270), fast=True)


def _request(photo: Path, *cast: str | Role) -> AnimationRequest:
    return AnimationRequest(photo, cast)


def _moved(frames: NDArray[np.uint8]) -> tuple[int, int]:
    """How far the left and the right half of the picture change over time."""
    change = np.abs(frames.astype(int) - frames[0]).max(axis=(0, 3))
    return int(change[:, :240].max()), int(change[:, 240:].max())


def test_loop_shows_each_face_acting_its_own_clip(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    cast = (Role(1, ClipSource(inputs.talking)), Role(2, ClipSource(inputs.nodding_pair, person=1)))
    output = tmp_path / "loop.mp4"
    scene_loop(animator, AnimationRequest(inputs.pair, cast, sound="face:1", duration=0.2), output)
    info = probe_clip(output)
    assert (info.width, info.height, info.rate, info.duration_s, info.has_sound) == (480, 270, Fraction(25), 1.0, False)
    frames = np.stack(list(read_clip(output)))
    assert len(frames) == LOOP_FRAMES
    assert min(_moved(frames[13:])) > 40
    assert list(tmp_path.iterdir()) == [output]
    data = output.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first, so that it plays while it loads"
    with av.open(str(output)) as container:
        texts = " ".join([*container.metadata.values(), *container.streams.video[0].metadata.values()])
    assert str(inputs.pair.parent) not in texts and inputs.talking.name not in texts


def test_frame_without_time_is_the_first_of_the_loop(animator: Animator, two_person: Path, tmp_path: Path) -> None:
    request = _request(two_person, "1=motion:nod", "2=motion:talk")
    scene_loop(animator, request, tmp_path / "loop.mp4")
    loop = np.stack(list(read_clip(tmp_path / "loop.mp4"))).astype(int)
    frame = scene_frame(animator, request)
    away = np.abs(loop - frame).mean(axis=(1, 2, 3))
    assert int(away.argmin()) == 0 and away[0] < 4


def test_outlines_have_the_colours_of_the_faces_and_leave(animator: Animator, two_person: Path) -> None:
    request = _request(two_person, "1=motion:nod")
    bare, outlined = (scene_frame(animator, request, 0.0, outlines=outlines) for outlines in (False, True))
    for face, half in ((1, np.s_[:, :240]), (2, np.s_[:, 240:])):
        colour = np.array(face_colour(face))

        def close(picture: NDArray[np.uint8], colour: NDArray[np.int64] = colour, half: object = half) -> int:
            return int((np.abs(picture[half].astype(int) - colour).max(axis=2) < 25).sum())  # type: ignore[index]

        assert close(outlined) > close(bare) + 100
    assert [outline_strength(frame) for frame in (0, 5)] == [1, 1]
    strengths = [outline_strength(frame) for frame in range(LOOP_FRAMES)]
    assert strengths == sorted(strengths, reverse=True) and not any(strengths[13:])


def test_faces_without_a_driver_and_free_ones_stay_still(
    animator: Animator, two_person: Path, plain: NDArray[np.uint8], tmp_path: Path
) -> None:
    request = _request(two_person, "1=motion:shake", Role(2, FreeSource()))
    scene_loop(animator, request, tmp_path / "loop.mp4")
    left, right = _moved(np.stack(list(read_clip(tmp_path / "loop.mp4")))[13:])
    assert left > 40 > 20 > right
    frame = scene_frame(animator, request, 0.5, outlines=False)
    assert np.array_equal(frame[:, 240:], plain[:, 240:])


def test_loop_ends_where_it_begins(animator: Animator, two_person: Path) -> None:
    """The step from its last frame to its first is no larger than its other steps."""
    from fantasyportrait.live.scene_preview import _Preview

    for motion in ("nod", "shake", "laugh"):
        loop = _Preview.of(animator, _request(two_person, f"1=motion:{motion}"), CancelToken()).loop()
        frames = [loop.frame(number, 0.0).astype(int) for number in range(LOOP_FRAMES)]
        steps = [np.abs(frame - frames[number - 1]).mean() for number, frame in enumerate(frames)]
        assert steps[0] <= 1.5 * max(steps[1:])
        assert max(steps) > 0.1, "the loop shows a part in which something moves"


def test_frame_is_that_of_the_result_at_its_time(animator: Animator, two_person: Path, tmp_path: Path) -> None:
    request = replace(_request(two_person, "1=motion:yawn"), max_side=480, side_by_side=False)
    video = animator.animate(request, tmp_path / "video.mp4").video
    result = list(read_clip(video))
    near, far = (
        np.abs(scene_frame(animator, request, 2.0, outlines=False).astype(int) - result[at]).mean() for at in (50, 0)
    )
    assert near < 3 and near < far


def test_delayed_clip_moves_in_the_loop(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    request = _request(inputs.photo, Role(1, ClipSource(inputs.talking, delay_s=6.0)))
    scene_loop(animator, request, tmp_path / "loop.mp4")
    frames = np.stack(list(read_clip(tmp_path / "loop.mp4")))[13:]
    assert np.abs(frames.astype(int) - frames[0]).max() > 40


def test_photo_is_analysed_once(models_dir: Path, two_person: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    animator = Animator(models_dir)
    animator.small_portraits.add(*animator.inputs.faces(two_person))

    def refused(*args: object) -> None:
        raise AssertionError("the photo was analysed again")

    monkeypatch.setattr(InputReader, "faces", refused)
    first = scene_frame(animator, _request(two_person, "1=motion:nod"))
    assert not np.array_equal(first, scene_frame(animator, _request(two_person, "2=motion:nod")))


def test_face_that_the_photo_lacks_is_refused(animator: Animator, two_person: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="the photo shows 2 faces but the cast names face 3"):
        scene_loop(animator, _request(two_person, Role(3, BuiltinSource("nod"))), tmp_path / "loop.mp4")
    assert not list(tmp_path.iterdir())


def test_cancelled_loop_writes_nothing(animator: Animator, two_person: Path, tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        scene_loop(animator, _request(two_person, "1=motion:nod"), tmp_path / "loop.mp4", cancel)
    assert not list(tmp_path.iterdir())
