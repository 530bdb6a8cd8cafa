"""Pictures as clips: a still is one frame, an animation keeps its own times; the content decides, not the name."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.images.images import load_photo
from fantasyportrait.media.clips import native_rate, probe_clip, read_clip, read_resampled
from fantasyportrait.media.image_clips import is_image
from tests.factories_media import ClipSpec, counting, make_clip, number_of, quadrants

STILLS = [
    ("png", {}),
    ("jpg", {"quality": 95}),
    ("webp", {"quality": 95}),
    ("avif", {"quality": 95}),
    ("gif", {}),
    ("bmp", {}),
    ("tiff", {}),
]


def animation(path: Path, durations_ms: Sequence[int], **options: Any) -> Path:
    pictures = [Image.fromarray(counting(number)) for number in range(len(durations_ms))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=list(durations_ms), **options)
    return path


@pytest.mark.parametrize(("suffix", "options"), STILLS)
def test_a_still_picture_of_any_format_is_one_frame(tmp_path: Path, suffix: str, options: dict[str, int]) -> None:
    path = tmp_path / f"face.{suffix}"
    Image.fromarray(quadrants(200, 100)).save(path, **options)
    renamed = tmp_path / "face.mp4"
    renamed.write_bytes(path.read_bytes())
    for name in (path, renamed):
        info = probe_clip(name)
        assert (info.width, info.height, info.duration_s, info.has_sound, info.still) == (200, 100, 0, False, True)
        assert native_rate(name) is None
        (timed,) = read_resampled(name, Fraction(25), max_side=100)
        assert timed[0] == 0 and timed[1].shape == (50, 100, 3)


def test_a_picture_that_drives_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(quadrants(64, 48)).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert (probe_clip(tmp_path / "turned.jpg").width, probe_clip(tmp_path / "turned.jpg").height) == (48, 64)
    (frame,) = read_clip(tmp_path / "turned.jpg")
    assert np.array_equal(frame, load_photo(tmp_path / "turned.jpg").pixels)


@pytest.mark.parametrize("suffix", ["webp", "png", "gif", "avif"])
def test_an_animation_keeps_the_times_of_its_frames(tmp_path: Path, suffix: str) -> None:
    options = {"webp": {"lossless": True}, "avif": {"quality": 100}}.get(suffix, {})
    path = animation(tmp_path / f"moving.{suffix}", [100, 200, 40, 300], **options)
    info = probe_clip(path)
    assert not info.still and info.duration_s == pytest.approx(0.64, abs=0.01)
    shown = [number_of(frame) for frame in read_clip(path, Fraction(50))]
    assert shown == [0] * 5 + [1] * 10 + [2] * 2 + [3] * 15
    part = [number_of(frame) for frame in read_clip(path, Fraction(50), 0.1, 0.34)]
    assert part == [1] * 10 + [2] * 2
    with pytest.raises(MediaError, match="beyond its end"):
        next(read_clip(path, Fraction(50), 5.0))


def test_the_rate_of_an_even_animation_is_exact(tmp_path: Path) -> None:
    assert native_rate(animation(tmp_path / "even.webp", [40] * 10)) == (Fraction(25), True)
    assert native_rate(animation(tmp_path / "odd.webp", [66] * 10)) == (Fraction(1000, 66), True)
    uneven = native_rate(animation(tmp_path / "uneven.webp", [40, 200, 70, 100, 20, 90]))
    assert uneven is not None and not uneven[1]


def test_missing_duration_uses_browser_default(tmp_path: Path) -> None:
    assert probe_clip(animation(tmp_path / "none.webp", [0] * 4, lossless=True)).duration_s == pytest.approx(0.4)


def test_png_fallback_picture_is_excluded(tmp_path: Path) -> None:
    path = animation(tmp_path / "default.png", [40] * 5, default_image=True)
    assert [number_of(frame) for frame in read_clip(path)] == [1, 2, 3, 4]


def test_an_animation_that_is_cut_off_says_so(tmp_path: Path) -> None:
    noise = [np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8) for i in range(6)]
    pictures = [Image.fromarray(frame) for frame in noise]
    pictures[0].save(tmp_path / "cut.png", save_all=True, append_images=pictures[1:], duration=40)
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) * 2 // 3])
    damage: list[str] = []
    assert 1 <= len(list(read_clip(tmp_path / "cut.png", damage=damage))) < 6
    assert "damaged or cut off" in damage[0] and "cut.png" in damage[0]


def test_an_animation_of_too_many_frames_is_refused(tmp_path: Path) -> None:
    path = animation(tmp_path / "long.webp", [40] * 4)
    with pytest.raises(MediaError, match=r"long\.webp is an animation of more than 3 pictures"):
        probe_clip(path, replace(PRIVATE, animation_frames=3))
    assert probe_clip(path, replace(PRIVATE, animation_frames=4)).duration_s == 0.16


def test_motion_jpeg_is_a_video_phone_photo_is_not(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "raw.mjpeg", [counting(i) for i in range(5)], ClipSpec("mjpeg", "yuvj420p", options=()))
    assert not is_image(clip) and len(list(read_clip(clip))) == 5
    pictures = [Image.fromarray(quadrants()), Image.fromarray(quadrants(32, 24))]
    pictures[0].save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=pictures[1:])
    assert is_image(tmp_path / "phone.jpg") and probe_clip(tmp_path / "phone.jpg").still


def test_what_is_broken_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    (tmp_path / "broken.webp").write_bytes(b"RIFF\0\0\0\0WEBPVP8 ")
    for name in ("broken.png", "broken.webp"):
        with pytest.raises(MediaError, match=name):
            probe_clip(tmp_path / name)
