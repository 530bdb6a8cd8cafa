"""Pictures drive real faces, clips begin after a delay, and the video takes a clip's rate or a sound's length."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fantasyportrait.core.errors import FantasyPortraitError, MediaError, RequestError
from fantasyportrait.faces.mesh import lip_opening
from fantasyportrait.images.images import load_photo, save_image
from fantasyportrait.media.clips import native_rate, probe_clip, read_clip
from fantasyportrait.media.request_files import load_request
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from tests.conftest import REPOSITORY, Inputs
from tests.factories_media import make_sound, tone
from tests.service.factories import one_person

CASES = REPOSITORY.parent / "shared" / "cases"


@pytest.fixture(scope="module")
def animator(models_dir: Path) -> Animator:
    return Animator(models_dir)


@pytest.fixture(scope="module")
def yawning(animator: Animator, two_person: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of a person with an open mouth: a frame of a built-in motion."""
    folder = tmp_path_factory.mktemp("yawning")
    photo = one_person(two_person, folder / "photo.png", height=400)
    request = AnimationRequest(photo, (Role(1, BuiltinSource("yawn")),), duration=4.0, side_by_side=False)
    frames = list(read_clip(animator.animate(request, folder / "yawn.mp4").video))
    opened = lip_opening(animator.inputs.tracks(folder / "yawn.mp4")[0].landmarks[..., :2])
    assert opened.max() > 0.25
    save_image(folder / "face.png", frames[int(opened.argmax())])
    return folder / "face.png"


def _frames(path: Path) -> np.ndarray:
    return np.stack(list(read_clip(path, probe_clip(path).rate)))


def _mouth(animator: Animator, path: Path) -> float:
    """Height over width of the inner lips in a picture."""
    return float(lip_opening(animator.inputs.tracks(path)[0].landmarks[0, :, :2]))


@pytest.mark.parametrize("absolute", [None, True])
def test_picture_driver_holds_its_expression(
    animator: Animator, inputs: Inputs, yawning: Path, tmp_path: Path, absolute: bool | None
) -> None:
    photo = one_person(inputs.pair, tmp_path / "other.png", left=False)
    cast = (Role(1, ClipSource(yawning)),)
    request = AnimationRequest(photo, cast, duration=0.2, absolute=absolute, smoothing=0.5)
    result = animator.animate(request, tmp_path / "out.mp4")
    assert not any("short" in message or "lost" in message for message in result.messages)
    frames = _frames(result.video)
    assert np.abs(frames - frames[0].astype(int)).mean() < 1
    save_image(tmp_path / "frame.png", frames[-1])
    assert _mouth(animator, tmp_path / "frame.png") > _mouth(animator, photo) + 0.05
    assert result.side_by_side is not None and len(_frames(result.side_by_side)) == 5


def test_picture_driver_defaults_to_four_seconds(
    animator: Animator, inputs: Inputs, yawning: Path, tmp_path: Path
) -> None:
    request = AnimationRequest(
        inputs.photo, (Role(1, ClipSource(yawning)),), duration="shortest", rate=Fraction(5), side_by_side=False
    )
    assert animator.animate(request, tmp_path / "out.mp4").duration_s == 4
    with pytest.raises(RequestError, match="is a picture, which has no start and end"):
        animator.animate(
            AnimationRequest(inputs.photo, (Role(1, ClipSource(yawning, start_s=1.0)),)), tmp_path / "b.mp4"
        )
    with pytest.raises(RequestError, match="still pictures"):
        animator.animate(
            AnimationRequest(inputs.photo, (Role(1, ClipSource(yawning)),), rate="clip"), tmp_path / "c.mp4"
        )


def test_animated_webp_drives_like_its_clip(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in _frames(inputs.talking)]
    pictures[0].save(tmp_path / "talk.webp", save_all=True, append_images=pictures[1:], duration=40, quality=90)
    made = {}
    for name in ("talk.webp", str(inputs.talking)):
        request = AnimationRequest(
            inputs.photo, (Role(1, ClipSource(tmp_path / name)),), rate="clip", sound="none", side_by_side=False
        )
        made[name] = _frames(animator.animate(request, tmp_path / "out.mp4").video)
    one, other = made.values()
    assert len(one) == len(other) == 25
    assert np.abs(one.astype(int) - other).mean() < 2


def test_delayed_clip_holds_first_frame_and_delays_sound(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    """B speaks after A: until then B's face holds its first frame and its sound is silent."""
    late = ClipSource(inputs.talking, delay_s=0.5)
    cast = (Role(1, BuiltinSource("nod")), Role(2, late))
    request = AnimationRequest(inputs.pair, cast, rate=Fraction(20), max_side=512)
    result = animator.animate(request, tmp_path / "out.mp4")
    assert result.duration_s == 1.5
    right = _frames(result.video)[:, :, 256:].astype(int)
    moved = np.abs(np.diff(right, axis=0)).mean(axis=(1, 2, 3))
    assert moved[:9].max() < 0.5 < moved[10:].max()
    again = load_request(result.request)
    assert again.cast[1].source == late or again.clips[0].delay_s == 0.5
    side = _frames(result.side_by_side)  # type: ignore[arg-type]
    assert len(side) == 30


def test_video_takes_sound_length_and_clip_rate(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    song = make_sound(tmp_path / "song.wav", tone(2.0))
    cast = (Role(1, ClipSource(inputs.talking)),)
    request = AnimationRequest(
        inputs.photo, cast, duration="sound", rate="clip", sound=f"file:{song}#start=1.2", side_by_side=False
    )
    result = animator.animate(request, tmp_path / "out.mp4")
    assert result.duration_s == pytest.approx(0.8, abs=0.03) and not any(
        "song" in message for message in result.messages
    )
    assert native_rate(result.video) == (Fraction(25), True)
    assert load_request(result.request).custom_sound == request.custom_sound
    with pytest.raises(RequestError, match="its start is 5 s: choose an earlier start"):
        animator.animate(AnimationRequest(inputs.photo, cast, sound=f"file:{song}#start=5"), tmp_path / "b.mp4")


@pytest.mark.parametrize("place", ["photo", "clip", "sound"])
def test_missing_file_is_named_for_each_input(animator: Animator, inputs: Inputs, tmp_path: Path, place: str) -> None:
    saved = tmp_path / "out.request.json"
    AnimationRequest(inputs.photo, (Role(1, BuiltinSource("smile")),)).save(saved)
    for path, words in (
        (tmp_path, f"is a folder: give the path of one file as the {place}"),
        (Path("https://example.org/a.mp4"), "https://example.org/a.mp4 is an address, and nothing is downloaded"),
        (saved, "--request"),
    ):
        source = ClipSource(path if place == "clip" else inputs.talking)
        request = AnimationRequest(
            path if place == "photo" else inputs.photo,
            (Role(1, source),),
            sound=f"file:{path}" if place == "sound" else "none",
        )
        with pytest.raises(MediaError) as caught:
            animator.animate(request, tmp_path / "out.mp4")
        assert words in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.request.json"]


def test_wrong_media_kind_is_refused(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    cast = (Role(1, ClipSource(inputs.talking)),)
    for request, words in (
        (AnimationRequest(inputs.talking, cast), "is a video, not a photo"),
        (AnimationRequest(inputs.photo, cast, sound=f"file:{inputs.photo}"), "is a picture, which has no sound"),
    ):
        with pytest.raises(FantasyPortraitError, match=words):
            animator.animate(request, tmp_path / "out.mp4")


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
@pytest.mark.parametrize("name", ["07_driver.jpg", "07_driver.webp"])
def test_real_picture_drives_portrait(animator: Animator, inputs: Inputs, tmp_path: Path, name: str) -> None:
    """A laughing man: the portrait's mouth opens."""
    request = AnimationRequest(inputs.photo, (Role(1, ClipSource(CASES / name)),), duration=0.4, side_by_side=False)
    frames = _frames(animator.animate(request, tmp_path / "out.mp4").video)
    photo = load_photo(inputs.photo).pixels
    assert np.abs(frames[-1].astype(int) - photo[: frames.shape[1], : frames.shape[2]]).mean() > 0.5
