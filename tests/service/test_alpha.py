"""Transparent photos: alpha in, alpha out, and the formats that have none."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fantasyportrait.images.images import load_photo, on_white
from fantasyportrait.media.alpha_video import read_rgba
from fantasyportrait.media.clips import read_clip
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.schema.cast import BuiltinSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from tests.conftest import Inputs

CAST = (Role(1, BuiltinSource("shake")),)


@pytest.fixture(scope="module")
def animator(models_dir: Path) -> Animator:
    return Animator(models_dir)


@pytest.fixture(scope="module")
def cutout(animator: Animator, inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The person of the photo, cut out along the head mask, with straight colours under the soft edge."""
    photo, faces = animator.inputs.faces(inputs.photo)
    (face,) = animator.inputs.masked(photo.pixels, faces)
    alpha = face.mask.copy()
    alpha[int(face.box[3]) :] = 255
    path = tmp_path_factory.mktemp("alpha") / "cutout.png"
    Image.fromarray(np.dstack([photo.pixels, alpha])).save(path)
    return path


def request(photo: Path, **changes: object) -> AnimationRequest:
    """One second of a head that shakes."""
    return AnimationRequest(photo, CAST, **{"duration": 1.0, "side_by_side": False, **changes})  # type: ignore[arg-type]


def frames_of(path: Path) -> NDArray[np.uint8]:
    """RGBA frames of a result."""
    if path.is_dir():
        return np.stack([np.asarray(Image.open(picture)) for picture in sorted(path.iterdir())])
    return np.stack(list(read_rgba(path)))


@pytest.mark.parametrize("name", ["out.webm", "frames"])
def test_alpha_follows_the_moving_head(animator: Animator, cutout: Path, tmp_path: Path, name: str) -> None:
    result = animator.animate(request(cutout), tmp_path / name)
    assert not any("transparent" in message for message in result.messages)
    frames = frames_of(result.video)
    assert frames.shape[0] == 25 and frames.shape[3] == 4
    alpha = frames[..., 3].astype(int)
    given = np.asarray(Image.open(cutout))[..., 3].astype(int)
    moved = np.abs(alpha - given).max(axis=0) > 60
    assert moved.sum() > 200, "the outline moves"
    corner = alpha[:, :20, :20]
    assert corner.max() <= 2 and alpha[:, -10:].min() >= 250


def test_edge_has_no_halo(animator: Animator, cutout: Path, tmp_path: Path) -> None:
    """On a background of the hair's darkness no pixel of the edge becomes light, as white under it would make it."""
    frames = frames_of(animator.animate(request(cutout), tmp_path / "frames").video)
    opaque = load_photo(cutout)
    assert opaque.alpha is not None
    rgba = frames[12].astype(float)
    top = slice(0, frames.shape[1] // 3)
    alpha = rgba[top, :, 3:] / 255
    dark = rgba[top, :, :3] * alpha
    edge = (alpha[..., 0] > 0.1) & (alpha[..., 0] < 0.9)
    inside = alpha[..., 0] == 1
    assert edge.sum() > 50
    straight = rgba[top, :, :3].mean(axis=2)
    assert straight[edge].mean() < straight[inside].max() and dark.mean(axis=2)[edge].max() < 200


@pytest.mark.parametrize("name", ["out.mp4", "out.gif"])
def test_other_formats_lay_it_on_white_and_say_so_once(
    animator: Animator, cutout: Path, tmp_path: Path, name: str
) -> None:
    result = animator.animate(request(cutout, duration=0.2), tmp_path / name)
    said = [message for message in result.messages if "transparent" in message]
    assert said == ["transparent parts were laid on white: .webm and PNG frames keep them transparent"]
    frame = next(read_clip(result.video))
    assert frame[:20, :20].min() > 245


def test_side_by_side_shows_transparent_result_on_white(animator: Animator, cutout: Path, tmp_path: Path) -> None:
    result = animator.animate(request(cutout, duration=0.2, side_by_side=True), tmp_path / "out.webm")
    assert result.side_by_side is not None
    frame = next(read_clip(result.side_by_side))
    # The result is the last panel; its upper right corner is transparent.
    assert frame[30:40, -20:-10].min() > 240


def test_portrait_in_memory_keeps_alpha(animator: Animator, cutout: Path, tmp_path: Path) -> None:
    with Image.open(cutout) as image:
        made = animator.animate(AnimationRequest(image, CAST, duration=0.2, side_by_side=False), tmp_path / "a.webm")
    saved = np.asarray(Image.open(tmp_path / "a.webm.portrait.png"))
    assert saved.shape[2] == 4
    again = animator.animate(request(tmp_path / "a.webm.portrait.png", duration=0.2), tmp_path / "b.webm")
    np.testing.assert_array_equal(frames_of(made.video)[..., 3], frames_of(again.video)[..., 3])


def test_photo_on_its_side_turns_with_its_alpha(animator: Animator, cutout: Path, tmp_path: Path) -> None:
    Image.open(cutout).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "side.png")
    upright, turned = (animator.inputs.faces(path)[0] for path in (cutout, tmp_path / "side.png"))
    assert turned.alpha is not None
    np.testing.assert_array_equal(turned.alpha, upright.alpha)


def test_opaque_alpha_channel_gives_opaque_frames(animator: Animator, inputs: Inputs, tmp_path: Path) -> None:
    Image.open(inputs.photo).convert("RGBA").save(tmp_path / "opaque.png")
    result = animator.animate(request(tmp_path / "opaque.png", duration=0.1), tmp_path / "frames")
    assert np.asarray(Image.open(next(result.video.iterdir()))).shape[2] == 3


def test_sandbox_gives_same_alpha(cutout: Path) -> None:
    from fantasyportrait.core.limits import PRIVATE
    from fantasyportrait.sandbox.decoder_factory import make_decoder

    decoder: Decoder | None = make_decoder(PRIVATE, True)
    assert decoder is not None
    ours, theirs = load_photo(cutout), decoder.photo(cutout)
    assert ours.alpha is not None and theirs.alpha is not None
    np.testing.assert_array_equal(ours.alpha, theirs.alpha)
    np.testing.assert_array_equal(ours.pixels, theirs.pixels)


def test_frame_on_white_is_opaque() -> None:
    frame = np.zeros((2, 2, 4), np.uint8)
    frame[0, 0] = 10, 20, 30, 255
    assert on_white(frame).tolist() == [[[10, 20, 30], [255] * 3], [[255] * 3, [255] * 3]]
