"""How `faces` tells photos from clips: by content first, then by suffix."""

import io
from pathlib import Path

import pytest
from PIL import Image

from fantasyportrait.service.listing import is_clip
from tests.factories_media import grey, make_clip


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), "red").save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("name", ["a", "a.mp4", "a.png"])
def test_listing_detects_photo_by_content(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(picture(kind))
    assert not is_clip(tmp_path / name)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "nut", "ts"])
def test_listing_detects_video_without_suffix(tmp_path: Path, suffix: str) -> None:
    path = make_clip(tmp_path / f"a.{suffix}", [grey(9)] * 3)
    assert is_clip(path) and is_clip(path.rename(tmp_path / "no_suffix"))


@pytest.mark.parametrize(
    ("name", "clip"), [("a.jpg", False), ("a.gif", False), ("a.ivf", True), ("a.mov", True), ("a", True)]
)
def test_listing_uses_suffix_for_unknown_content(tmp_path: Path, name: str, clip: bool) -> None:
    (tmp_path / name).write_bytes(b"nothing that is known " * 20)
    assert is_clip(tmp_path / name) == clip and is_clip(tmp_path / "absent.mp4")
