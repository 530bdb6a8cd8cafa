"""An address, a folder, a request or a video in place of a photo is refused in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.errors import MediaError
from fantasyportrait.images.images import load_photo
from fantasyportrait.images.input_checks import check_file
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.media.sound import sound_length_s
from fantasyportrait.schema.cast import BuiltinSource, Role
from fantasyportrait.schema.request import AnimationRequest
from tests.factories_media import counting, make_clip

READERS: list[Callable[[Path], Any]] = [load_photo, probe_clip, lambda path: next(read_clip(path)), sound_length_s]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/a.mp4", "https://example.org/face.jpg", "rtsp://camera/1", "HTTPS://EXAMPLE.ORG/A",
        "https://www.youtube.com/watch?v=abc", "youtu.be/abc", "www.example.org/a.mp4", "youtube.com/watch?v=abc",
        "s3://bucket/a.mp4", "file:///a.mp4",
    ],
)  # fmt: skip
def test_an_address_is_not_downloaded(address: str, read: Callable[[Path], Any]) -> None:
    with pytest.raises(MediaError, match="nothing is downloaded") as caught:
        read(Path(address))
    assert "on this machine" in str(caught.value)
    if "://" in address and not address.startswith("file"):
        assert address in str(caught.value)


@pytest.mark.parametrize("read", READERS)
def test_a_folder_and_a_request_are_named(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    with pytest.raises(MediaError, match="is a folder"):
        read(tmp_path)
    saved = tmp_path / "out.request.json"
    AnimationRequest(tmp_path / "a.png", (Role(1, BuiltinSource("smile")),)).save(saved)
    renamed = tmp_path / "out.mp4"
    renamed.write_bytes(saved.read_bytes())
    for path in (saved, renamed):
        with pytest.raises(MediaError, match="saved request.*--request"):
            read(path)


def test_files_with_odd_names_are_files(tmp_path: Path) -> None:
    for name in ("www.a.mp4", "a: b.mp4", "{", "http"):
        (tmp_path / name).write_bytes(b"{}")
        check_file(tmp_path / name, "clip")
    check_file(Path("C:/clips/a.mp4"), "clip")
    check_file(Path("a" * 5000), "clip")
    check_file(tmp_path / "missing.mp4", "clip")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_a_video_for_a_photo_is_named(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / f"a.{suffix}", [counting(i) for i in range(5)])
    with pytest.raises(MediaError, match="is a video, not a photo"):
        load_photo(clip)
