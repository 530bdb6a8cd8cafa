"""Live scenes on real faces: the camera's face drives one face, the others repeat their motions."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.core.errors import MediaError, RequestError
from fantasyportrait.images.camera_frames import decode_camera_frame, encode_jpeg
from fantasyportrait.live.live_scene import LiveFrame, LiveScene
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.preview.engine import render
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, FreeSource, Role
from fantasyportrait.schema.driven_face import DrivenFace
from fantasyportrait.schema.face_motion import FaceMotion
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from tests.conftest import Inputs

RATE = 20.0
SIDE = 384


@pytest.fixture(scope="module")
def animator(models_dir: Path) -> Animator:
    return Animator(models_dir)


@pytest.fixture(scope="module")
def camera(inputs: Inputs) -> list[NDArray[np.uint8]]:
    """A person before a camera who is calm for a moment and then talks."""
    frames = list(read_clip(inputs.talking))
    return [frames[0]] * 22 + frames


@pytest.fixture
def scene(animator: Animator, inputs: Inputs) -> Iterator[LiveScene]:
    cast = (Role(1, BuiltinSource("nod")), Role(2, None))
    scene = LiveScene(animator, AnimationRequest(inputs.pair, cast), SIDE)
    yield scene
    scene.close()


def _played(scene: LiveScene, camera: list[NDArray[np.uint8]], live: int, start_s: float = 0.0) -> list[LiveFrame]:
    return [scene.step(frame, start_s + number / RATE, live) for number, frame in enumerate(camera)]


def _half(frame: LiveFrame, side: int) -> NDArray[np.int64]:
    middle = frame.pixels.shape[1] // 2
    return frame.pixels[:, (side - 1) * middle : side * middle].astype(int)


def test_live_face_follows_camera_and_others_repeat(scene: LiveScene, camera: list[NDArray[np.uint8]]) -> None:
    assert scene.faces == (1, 2) and scene.size == (384, 216)
    frames = _played(scene, camera, live=2)
    assert all(frame.pixels.shape == (216, 384, 3) and frame.pixels.dtype == np.uint8 for frame in frames)
    assert all(frame.seen and frame.recorded_s is None for frame in frames)
    calibrated = [frame.calibrated for frame in frames]
    first = calibrated.index(True)
    assert calibrated == sorted(calibrated) and 20 <= first <= 21
    # A face that its role keeps still shows the photo's pixels until the neutral face is known, and then moves.
    still = _half(frames[0], 2)
    assert all((_half(frame, 2) == still).all() for frame in frames[:first])
    assert max(np.abs(_half(frame, 2) - still).max() for frame in frames[first:]) > 40
    assert max(np.abs(_half(frame, 1) - _half(frames[0], 1)).max() for frame in frames) > 40


def test_live_frame_has_pixels_of_the_preview_engine(scene: LiveScene, camera: list[NDArray[np.uint8]]) -> None:
    frame = _played(scene, camera, live=2)[-1]
    loops, motion = scene._loops, scene._motion.motion
    assert isinstance(motion, FaceMotion) and len(motion) == 1
    nodding, other = loops.driven
    row = loops.rows((len(camera) - 1) / RATE)[1]
    driven = [replace(nodding, rows=np.array([row])), DrivenFace(other.face, motion)]
    (expected,) = render(loops.pixels, driven, 1, loops.canonical)
    np.testing.assert_array_equal(frame.pixels, expected)


def test_repeated_face_returns_to_the_same_pixels(scene: LiveScene) -> None:
    early, late = (scene.step(None, at_s, 2) for at_s in (1.0, 9.0))
    assert not early.seen
    np.testing.assert_array_equal(early.pixels, late.pixels)


def test_live_face_holds_its_pose_while_no_face_is_seen(scene: LiveScene, camera: list[NDArray[np.uint8]]) -> None:
    last = _played(scene, camera, live=2)[-1]
    dark = np.zeros_like(camera[0])
    for lost in (dark, None):
        frame = scene.step(lost, 20.0, 2)
        assert not frame.seen and frame.calibrated
        assert (_half(frame, 2) == _half(last, 2)).all()
    assert scene.step(camera[-1], 20.1, 2).seen


def test_another_face_can_become_live(scene: LiveScene, camera: list[NDArray[np.uint8]]) -> None:
    _played(scene, camera, live=2)
    frames = _played(scene, camera[-10:], live=1, start_s=10.0)
    assert all(frame.calibrated for frame in frames)
    photo = scene._loops.pixels
    # The face that was live is still again; a soft edge may differ by rounding.
    assert all((frame.pixels[:, 192:] == photo[:, 192:]).all() for frame in frames)
    assert max(np.abs(_half(frame, 1) - photo[:, :192]).max() for frame in frames) > 40


def test_recalibrated_scene_repeats_until_neutral_is_known(scene: LiveScene, camera: list[NDArray[np.uint8]]) -> None:
    _played(scene, camera, live=2)
    scene.recalibrate()
    frames = _played(scene, camera, live=2, start_s=10.0)
    assert not frames[0].calibrated and (_half(frames[0], 2) == scene._loops.pixels[:, 192:]).all()
    assert frames[-1].calibrated


def test_mirrored_camera_moves_the_other_way(
    animator: Animator, inputs: Inputs, camera: list[NDArray[np.uint8]]
) -> None:
    request = AnimationRequest(inputs.photo, "1=still")
    plain, mirrored = (LiveScene(animator, request, SIDE, mirror=mirror) for mirror in (False, True))
    flipped = [np.ascontiguousarray(frame[:, ::-1]) for frame in camera]
    np.testing.assert_array_equal(
        _played(plain, flipped, live=1)[-1].pixels, _played(mirrored, camera, live=1)[-1].pixels
    )


def test_faces_of_cast_play_clips_and_idle_without_role(animator: Animator, inputs: Inputs) -> None:
    cast = (Role(1, ClipSource(inputs.talking, delay_s=3.0)),)
    scene = LiveScene(animator, AnimationRequest(inputs.pair, cast, fill="pingpong"), SIDE)
    talking, idle = scene._loops.driven
    assert talking.motion is not None and talking.motion.mouths is not None
    assert talking.frame_rows.tolist() == [*range(25), *range(23, 0, -1)]
    assert idle.motion is not None and len(idle.motion) == 100
    free = LiveScene(animator, AnimationRequest(inputs.pair, (Role(1, None), Role(2, FreeSource()))), SIDE)
    still, idle = free._loops.driven
    assert still.motion is None and idle.motion is not None


def test_browser_jpeg_gives_jpeg_of_the_same_frame(
    animator: Animator, inputs: Inputs, camera: list[NDArray[np.uint8]]
) -> None:
    request = AnimationRequest(inputs.photo, "1=motion:nod")
    by_bytes, by_pixels = (LiveScene(animator, request, SIDE) for _ in range(2))
    jpeg = encode_jpeg(camera[0])
    answer = by_bytes.step_jpeg(jpeg, 0.5, 1)
    assert answer.frame.seen and answer.jpeg.startswith(b"\xff\xd8")
    expected = by_pixels.step(decode_camera_frame(jpeg), 0.5, 1)
    np.testing.assert_array_equal(answer.frame.pixels, expected.pixels)
    assert by_bytes.step_jpeg(None, 0.6, 1).frame.seen is False
    with pytest.raises(MediaError, match="the camera's picture cannot be read"):
        by_bytes.step_jpeg(b"no picture", 0.7, 1)


@pytest.mark.parametrize(
    ("at_s", "face", "words"),
    [(0.0, 3, "the photo has face 1, 2"), (float("nan"), 1, "is nan"), (-1.0, 1, "is -1"), (float("inf"), 1, "is inf")],
)
def test_step_refuses_unknown_face_and_time(scene: LiveScene, at_s: float, face: int, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        scene.step(None, at_s, face)


def test_cast_of_a_missing_face_is_refused(animator: Animator, inputs: Inputs) -> None:
    with pytest.raises(RequestError, match="the cast names face 7, but the photo shows 2"):
        LiveScene(animator, AnimationRequest(inputs.pair, "7=motion:nod"), SIDE)


def test_recording_holds_frames_for_their_time(scene: LiveScene, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="nothing is being recorded"):
        scene.stop_recording()
    scene.start_recording(tmp_path / "take.mp4")
    with pytest.raises(RequestError, match="already"):
        scene.start_recording(tmp_path / "other.mp4")
    lengths = [scene.step(None, at_s, 2).recorded_s for at_s in (3.0, 3.1, 3.4, 4.0)]
    assert lengths == [0.0, 0.08, 0.4, 1.0]
    assert scene.stop_recording() == tmp_path / "take.mp4"
    info = probe_clip(tmp_path / "take.mp4")
    assert (info.width, info.height, info.rate) == (384, 216, 25)
    assert len(list(read_clip(tmp_path / "take.mp4"))) == 26
    scene.start_recording(tmp_path / "unfinished.mp4")
    scene.step(None, 5.0, 2)
    scene.close()
    assert [path.name for path in tmp_path.iterdir()] == ["take.mp4"]
