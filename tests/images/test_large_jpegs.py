"""JPEGs over the limit are read at a reduced size; other formats over it are refused."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE, PUBLIC, Limits
from fantasyportrait.images.images import load_photo
from fantasyportrait.images.large_jpegs import open_image
from tests.factories_media import quadrants

PICTURE = quadrants(320, 240)


def jpeg(path: Path, **options: object) -> Path:
    Image.fromarray(PICTURE).save(path, "JPEG", quality=95, **options)
    return path


def limited(**changes: int) -> Limits:
    return replace(PRIVATE, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("limits", "size"), [
    (limited(pixels=320 * 240), (320, 240)),
    (limited(pixels=320 * 240 - 1), (160, 120)),
    (limited(pixels=160 * 120 - 1), (80, 60)),
    (limited(pixels=80 * 60 - 1), (40, 30)),
    (limited(longest_side=300), (160, 120)),
])  # fmt: skip
def test_large_jpeg_uses_largest_allowed_scale(tmp_path: Path, limits: Limits, size: tuple[int, int]) -> None:
    photo = load_photo(jpeg(tmp_path / "large.jpg"), limits)
    assert photo.pixels.shape == (size[1], size[0], 3)
    expected = np.asarray(Image.fromarray(PICTURE).resize(size))
    assert np.abs(photo.pixels.astype(int) - expected).mean() < 6
    said = [
        message for message in photo.messages if f"large.jpg (320 x 240) was read at {size[0]} x {size[1]}" in message
    ]
    assert len(said) == (size != (320, 240))


def test_large_jpeg_follows_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = load_photo(jpeg(tmp_path / "a.jpg", exif=exif.tobytes()), limited(pixels=30_000))
    assert photo.pixels.shape == (160, 120, 3)
    assert photo.pixels[5, -5, 0] > 180, "the red corner went to the right"


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_large_jpegs_of_other_colours_are_reduced_too(tmp_path: Path, mode: str) -> None:
    Image.fromarray(PICTURE).convert(mode).save(tmp_path / "a.jpg", quality=95)
    assert load_photo(tmp_path / "a.jpg", limited(pixels=30_000)).pixels.shape == (120, 160, 3)


def test_jpeg_too_large_at_every_scale_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"320 x 240, too large .* scale it down$"):
        load_photo(jpeg(tmp_path / "a.jpg"), limited(pixels=40 * 30 - 1))


@pytest.mark.parametrize("suffix", ["png", "webp", "gif"])
def test_other_large_formats_are_refused_with_advice(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(PICTURE).save(tmp_path / f"a.{suffix}")
    with pytest.raises(MediaError, match="save it as a JPEG"):
        load_photo(tmp_path / f"a.{suffix}", limited(pixels=30_000))


@pytest.mark.parametrize(("sampling", "held"), [("4:4:4", 6), ("4:2:0", 3)])
def test_progressive_jpeg_limit_counts_coefficients(tmp_path: Path, sampling: str, held: int) -> None:
    path = jpeg(tmp_path / "a.jpg", progressive=True, subsampling=sampling)
    needed = 320 * 240 * held + 160 * 120 * 4
    assert load_photo(path, limited(pixels=30_000, decoded_bytes=needed)).pixels.shape == (120, 160, 3)
    with pytest.raises(MediaError, match="when it is decoded"):
        load_photo(path, limited(pixels=30_000, decoded_bytes=needed - 1))
    ordinary = jpeg(tmp_path / "b.jpg", subsampling=sampling)
    assert load_photo(ordinary, limited(pixels=30_000, decoded_bytes=160 * 120 * 4)).messages


def test_multi_picture_phone_photo_uses_first(tmp_path: Path) -> None:
    """Phones append a depth or gain map to the photo, in a format called MPO."""
    other = Image.fromarray(PICTURE[::-1].copy())
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[other], quality=95)
    photo = load_photo(tmp_path / "a.jpg", limited(pixels=30_000))
    assert photo.pixels.shape == (120, 160, 3) and photo.pixels[5, 5, 0] > 180


@given(st.integers(16, 400), st.integers(16, 400), st.integers(16, 90_000), st.integers(16, 400))
def test_opened_jpeg_is_within_limits(width: int, height: int, pixels: int, side: int) -> None:
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "JPEG")
    limits = limited(pixels=pixels, longest_side=side)
    opened = open_image(buffer.getvalue(), ["JPEG"], limits)
    across, down = opened.image.size
    assert opened.full == (width, height)
    if -(-width // 8) * -(-height // 8) <= pixels and -(-max(width, height) // 8) <= side:
        assert across * down <= pixels and max(across, down) <= side


@pytest.mark.slow
@pytest.mark.parametrize("limits", [PRIVATE, PUBLIC])
def test_two_hundred_megapixels_are_read(tmp_path: Path, limits: Limits) -> None:
    Image.new("L", (16_320, 12_240), 90).save(tmp_path / "phone.jpg")
    photo = load_photo(tmp_path / "phone.jpg", limits)
    assert photo.pixels.shape == (3060, 4080, 3)
    assert "phone.jpg (16320 x 12240) was read at 4080 x 3060" in photo.messages[0]


def test_the_48_megapixel_case_is_read(cases_dir: Path) -> None:
    photo = load_photo(cases_dir / "06_48mp.jpg")
    assert photo.pixels.shape == (3024, 4032, 3) and "was read at 4032 x 3024" in photo.messages[0]
