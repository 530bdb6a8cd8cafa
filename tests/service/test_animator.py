"""The animator end to end on real faces: events, results, cancelling."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import FaceError, OutputError, RequestError
from fantasyportrait.core.geometry import bounding_box
from fantasyportrait.faces.insightface_detector import LICENCE
from fantasyportrait.faces.mesh import LEFT_EYE, RIGHT_EYE
from fantasyportrait.images.images import load_photo, resize, save_image
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.media.request_files import load_request
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.schema import events
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.regions import Regions
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import RANDOM_SEED_LIMIT, Sampling
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.input_reader import InputReader
from tests.conftest import Inputs
from tests.faces.test_insightface_detector import FaceAnalysis, package

__all__ = ["package"]  # a fixture


@pytest.fixture(scope="module")
def animator(models_dir: Path) -> Animator:
    return Animator(models_dir)


def _request(inputs: Inputs, **options: object) -> AnimationRequest:
    cast = (Role(1, BuiltinSource("nod")),)
    return AnimationRequest(inputs.photo, cast, **{"duration": 0.2, "side_by_side": False, **options})  # type: ignore[arg-type]


def _frames(path: Path) -> np.ndarray:
    return np.stack(list(read_clip(path)))


def test_animate_drives_two_people_by_two_clips(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    cast = (Role(1, ClipSource(inputs.talking, start_s=0.2)), Role(2, ClipSource(inputs.nodding_pair, person=1)))
    request = AnimationRequest(inputs.pair, cast, sound="face:1", max_side=640)
    seen = list(animator.events(request, tmp_path / "out.mp4"))
    stages = ["portrait", "driving", "render", "finish"]
    assert [event.name for event in seen if isinstance(event, events.Stage)] == stages
    for stage in stages:
        steps = [event for event in seen if isinstance(event, events.Step) and event.stage == stage]
        assert [step.done for step in steps] == sorted(step.done for step in steps)
        assert steps[-1].done == steps[-1].total
    looks = [event.image for event in seen if isinstance(event, events.PreviewImage)]
    assert looks
    assert looks[0].shape == (288, 512, 3)
    assert [isinstance(event, events.Done | events.Failed | events.Cancelled) for event in seen].count(True) == 1
    assert isinstance(seen[-1], events.Done)
    result = seen[-1].result
    assert (result.frames, result.duration_s) == (25, 1.0)
    assert "resized to 640 x 360" in result.messages[0]
    info = probe_clip(result.video)
    assert (info.width, info.height, info.has_sound, info.duration_s) == (640, 360, True, 1.0)
    assert result.side_by_side is not None
    assert len(_frames(result.side_by_side)) == 25
    saved = load_request(result.request)
    assert saved.portrait_sha256 == load_photo(inputs.pair).sha256
    assert all(clip.sha256 for clip in saved.clips)
    moved = np.abs(_frames(result.video).astype(int) - _frames(result.video)[0]).max(axis=(0, 3))
    assert moved[:, :320].max() > 60
    assert moved[:, 320:].max() > 60


def test_saved_request_reproduces_frames(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    request = AnimationRequest(inputs.photo, (Role(1, ClipSource(inputs.talking), strength=1.4),), duration=0.4)
    first = animator.animate(request, tmp_path / "a.mp4")
    again = animator.animate(load_request(first.request), tmp_path / "b.mp4")
    assert np.array_equal(_frames(first.video), _frames(again.video))
    assert first.messages == again.messages


def test_in_memory_portrait_is_saved_with_result(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    pixels = load_photo(inputs.photo).pixels
    options: dict[str, Any] = {"duration": 0.2, "side_by_side": False}
    from_array = animator.animate(AnimationRequest(pixels, "1=motion:nod", **options), str(tmp_path / "array.mp4"))
    from_file = animator.animate(AnimationRequest(inputs.photo, "1=motion:nod", **options), tmp_path / "file.mp4")
    saved = load_request(str(from_array.request))
    assert saved.portrait == tmp_path / "array.mp4.portrait.png"
    assert '"array.mp4.portrait.png"' in from_array.request.read_text()
    assert np.array_equal(load_photo(saved.portrait).pixels, pixels)
    again = animator.animate(saved, tmp_path / "again.mp4")
    assert again.messages == from_array.messages == from_file.messages
    assert not (tmp_path / "again.mp4.portrait.png").exists()
    replaced = animator.animate(saved, tmp_path / "array.mp4")
    assert load_request(replaced.request).portrait == saved.portrait
    first = _frames(from_array.video)
    assert all(np.array_equal(_frames(result.video), first) for result in (from_file, again, replaced))


def test_in_memory_portrait_is_removed_after_failed_run(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    request = AnimationRequest(np.full((200, 200, 3), 90, np.uint8), ["1=motion:nod"])
    with pytest.raises(FaceError, match="the picture in memory: no face was found"):
        animator.animate(request, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_random_seed_is_reported_and_saved(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    result = animator.animate(_request(inputs, sampling=Sampling(seed=-1)), tmp_path / "out.mp4")
    seed = load_request(result.request).sampling.seed
    assert 0 <= seed < RANDOM_SEED_LIMIT
    assert f"the seed is {seed}, drawn at random and kept in the saved request" in result.messages
    again = animator.animate(load_request(result.request), tmp_path / "again.mp4")
    assert load_request(again.request).sampling.seed == seed and not any(
        "drawn" in message for message in again.messages
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda it, photo, out: it.animate(photo, out), "request is PosixPath"),
        (lambda it, photo, out: it.animate(AnimationRequest(photo, "1=motion:nod"), None), "output is None"),
        (lambda it, photo, out: it.animate(AnimationRequest(photo, "1=motion:nod"), ""), "output is ''"),
        (lambda it, photo, out: it.inputs.faces(None), "portrait is None"),
        (lambda it, photo, out: it.inputs.faces(photo, detector="centreface"), "did you mean centerface?"),
        (lambda it, photo, out: it.inputs.tracks(7), "clip is 7"),
        (lambda it, photo, out: it.inputs.tracks(photo, "fast"), "rate is 'fast'"),
        (lambda it, photo, out: it.engine("wam"), "no engine 'wam' (did you mean wan?)"),
        (lambda it, photo, out: Animator(models_dir=3), "models_dir is 3"),
    ],
)
def test_animate_names_invalid_argument(
    animator: Animator, inputs: Inputs, tmp_path: Path, call: Callable[[Animator, Path, Path], object], words: str
) -> None:
    with pytest.raises(RequestError) as caught:
        call(animator, inputs.photo, tmp_path / "out.mp4")
    assert words in str(caught.value).replace("WindowsPath", "PosixPath")


def test_uncast_and_still_faces_do_not_move(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    request = AnimationRequest(inputs.pair, (Role(2, None),), duration=0.12, side_by_side=False)
    result = animator.animate(request, tmp_path / "frames")
    photo = load_photo(inputs.pair).pixels
    for path in sorted(result.video.iterdir()):
        assert np.array_equal(load_photo(path).pixels, photo)


def test_clip_of_two_roles_is_tracked_once(
    animator: Animator, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []
    tracks = InputReader.tracks

    def counted(self: InputReader, clip: Path, *more: object, **options: object) -> object:
        calls.append(clip)
        return tracks(self, clip, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(InputReader, "tracks", counted)
    clip = inputs.nodding_pair
    cast = (Role(1, ClipSource(clip, person=2)), Role(2, ClipSource(clip, person=1)))
    animator.animate(AnimationRequest(inputs.pair, cast, duration=0.08, max_side=640), tmp_path / "out.mp4")
    assert calls == [clip]


@pytest.mark.parametrize("fill", ["hold", "pingpong"])
def test_animate_fill_modes_and_absolute_motion(animator: Animator, inputs: Inputs, tmp_path: Path, fill: str) -> None:
    cast = (Role(1, ClipSource(inputs.talking, end_s=0.2), mirror=True),)
    request = AnimationRequest(inputs.photo, cast, duration=0.48, fill=fill, absolute=True)  # type: ignore[arg-type]
    result = animator.animate(request, tmp_path / "out.mp4")
    assert result.frames == 12
    assert any("talking.mp4, person 1" in message for message in result.messages)


def test_mirrored_wink_closes_other_eye(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    photo, (face,) = animator.inputs.faces(inputs.photo)
    eyes = [bounding_box(face.landmarks[eye]).astype(int) for eye in (LEFT_EYE, RIGHT_EYE)]
    winking = []
    for mirror in (False, True):
        role = Role(1, BuiltinSource("wink"), regions=Regions(False, True, False, False), mirror=mirror)
        request = AnimationRequest(inputs.photo, (role,), duration=2, rate=Fraction(10), side_by_side=False)
        frames = animator.animate(request, tmp_path / f"frames{mirror}").video
        changes = np.array([np.abs(load_photo(path).pixels - photo.pixels.astype(int)) for path in frames.iterdir()])
        change = [changes[:, top:bottom, left:right].mean() for left, top, right, bottom in eyes]
        winking.append(change[0] > change[1])
    assert winking == [True, False]


def test_odd_photo_size_becomes_even(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    save_image(tmp_path / "odd.png", resize(load_photo(inputs.photo).pixels, (255, 287)))
    photo, faces = animator.inputs.faces(tmp_path / "odd.png")
    assert photo.pixels.shape == (287, 255, 3) and len(faces) == 1 and photo.messages == ()
    request = AnimationRequest(tmp_path / "odd.png", (Role(1, BuiltinSource("nod")),), duration=0.2, side_by_side=False)
    result = animator.animate(request, tmp_path / "frames")
    shape = load_photo(next(result.video.iterdir())).pixels.shape
    assert shape in ((286, 254, 3), (288, 256, 3))
    assert any("resized" in message for message in result.messages)


def test_small_cast_face_message_names_sufficient_size(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    cast = (Role(1, BuiltinSource("nod")),)
    request = AnimationRequest(inputs.photo, cast, duration=0.2, max_side=90, side_by_side=False)
    result = animator.animate(request, tmp_path / "small")
    (said,) = [message for message in result.messages if "--max-side" in message]
    assert "face 1 is" in said
    side = int(re.search(r"--max-side (\d+)", said)[1])  # type: ignore[index]
    larger = animator.animate(replace(request, max_side=side), tmp_path / "large")
    assert not any("--max-side" in message for message in larger.messages)
    smaller = animator.animate(replace(request, max_side=side - 4), tmp_path / "smaller")
    assert any("--max-side" in message for message in smaller.messages)


def test_small_uncast_face_gives_no_message(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    photo = load_photo(inputs.pair).pixels
    height, width = photo.shape[:2]
    crowd = np.full((height, width, 3), 120, np.uint8)
    crowd[:, : width // 2] = photo[:, : width // 2]
    small = resize(np.ascontiguousarray(photo[:, width // 2 :]), (width // 4, height // 2))
    crowd[: small.shape[0], -small.shape[1] :] = small
    save_image(tmp_path / "crowd.png", crowd)
    _, faces = animator.inputs.faces(tmp_path / "crowd.png")
    large, little = sorted(faces, key=lambda face: -face.side)
    side = round(width * 56 / large.side)
    assert little.side * side / width < 45

    def messages(cast: tuple[Role, ...], name: str) -> str:
        request = AnimationRequest(tmp_path / "crowd.png", cast, duration=0.2, max_side=side, side_by_side=False)
        return " ".join(animator.animate(request, tmp_path / name).messages)

    assert "--max-side" not in messages((Role(large.id, BuiltinSource("nod")), Role(little.id, None)), "one")
    assert f"face {little.id} is" in messages((Role(little.id, BuiltinSource("nod")),), "two")


def test_refused_request_carries_photo_messages(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    """Messages about the photo explain why a face cannot be cast."""
    photo = load_photo(inputs.pair).pixels
    save_image(tmp_path / "turned.png", np.ascontiguousarray(np.rot90(photo)))
    request = AnimationRequest(tmp_path / "turned.png", (Role(7, None),), duration=1)
    with pytest.raises(RequestError, match="the photo shows 2 faces") as refused:
        animator.animate(request, tmp_path / "out.mp4")
    assert any("turned by 90 degrees" in message for message in refused.value.messages)
    (failed,) = [e for e in animator.events(request, tmp_path / "out.mp4") if isinstance(e, events.Failed)]
    assert failed.error.messages == refused.value.messages


def test_photo_without_usable_face_keeps_messages(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    pixels = resize(load_photo(inputs.pair).pixels, (100, 56))
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[0] = 0
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "small.png")
    with pytest.raises(FaceError, match=r"small\.png.*at least 50 px") as refused:
        animator.inputs.faces(tmp_path / "small.png")
    assert refused.value.messages == ("transparent parts were laid on white",)


def test_unknown_face_error_counts_faces(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    request = AnimationRequest(inputs.pair, (Role(1, None), Role(3, None), Role(4, None)), duration=1)
    with pytest.raises(RequestError, match="the photo shows 2 faces but the cast names face 3, 4"):
        animator.animate(request, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_cancel_stops_within_one_frame(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    token = CancelToken()
    seen = []
    for event in animator.events(_request(inputs, duration=600), tmp_path / "out.mp4", token):
        seen.append(event)
        if isinstance(event, events.PreviewImage):
            token.cancel()
    assert isinstance(seen[-1], events.Cancelled)
    assert list(tmp_path.iterdir()) == []


def test_closing_events_stops_animator(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    running = threading.active_count()
    stream = animator.events(_request(inputs, duration=600), tmp_path / "out.mp4")
    assert any(isinstance(event, events.PreviewImage) for event in stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == running
    assert list(tmp_path.iterdir()) == []


def test_full_disk_while_writing_is_reported(
    animator: Animator, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: VideoWriter, frame: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(VideoWriter, "write", full)
    (event,) = [e for e in animator.events(_request(inputs), tmp_path / "out.mp4") if isinstance(e, events.Failed)]
    assert isinstance(event.error, OutputError)
    assert "No space left on device" in str(event.error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["render", "finish"])
def test_unexpected_error_is_raised_and_leaves_no_file(
    animator: Animator, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def broken(*_: object, **__: object) -> Iterator[None]:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(f"fantasyportrait.service.request_runner.RequestRunner._{stage}", broken)
    with pytest.raises(ZeroDivisionError):
        list(animator.events(_request(inputs), tmp_path / "out.mp4"))
    assert list(tmp_path.iterdir()) == []


def test_preview_images_come_about_twice_a_second(inputs: Inputs, animator: Animator, tmp_path: Path) -> None:
    seen: list[events.Event] = []
    on_event: Callable[[events.Event], None] = seen.append
    animator.animate(_request(inputs, duration=1), tmp_path / "out.mp4", on_event=on_event)
    assert sum(isinstance(event, events.PreviewImage) for event in seen) <= 6


def test_insightface_detector_reports_its_licence(
    package: ModuleType, animator: Animator, two_person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message states that the models of this detector are not for commercial use."""
    boxes = np.array([[228, 110, 375, 305], [697, 140, 885, 330]], np.float32)
    found = [SimpleNamespace(bbox=box, det_score=np.float32(0.9), kps=None) for box in boxes]
    monkeypatch.setattr(FaceAnalysis, "get", lambda self, image: found)
    photo, faces = animator.inputs.faces(two_person, detector="insightface")
    assert len(faces) == 2 and LICENCE in photo.messages
    assert LICENCE not in animator.inputs.faces(two_person)[0].messages
