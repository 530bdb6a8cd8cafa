"""Limits that are checked before decoding: each with a file that breaks it and one that keeps it."""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PRIVATE, PUBLIC
from fantasyportrait.images.images import load_photo
from fantasyportrait.media import containers
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.media.sound import read_sound, sound_length_s
from tests.factories_media import ClipSpec, counting, grey, make_clip, make_sound, quadrants, tone
from tests.hostile.seeds import picture


def png(width: int, height: int, *extra: tuple[bytes, bytes], depth: int = 8, colour: int = 0) -> bytes:
    """A PNG without pixel data: its header is enough for the check."""
    head = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    chunks = (head, *extra, (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def many_scans(times: int) -> bytes:
    """A progressive JPEG whose last scan is repeated `times` times."""
    buffer = io.BytesIO()
    Image.fromarray(quadrants()).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


def gif(comment: int, frames: int = 3) -> bytes:
    """An animation whose comment has so many bytes."""
    buffer = io.BytesIO()
    more = [Image.fromarray(picture(number)) for number in range(1, frames)]
    Image.fromarray(picture()).save(buffer, "GIF", save_all=True, append_images=more)
    data = buffer.getvalue()
    blocks = b"".join(bytes([255]) + b"x" * 255 for _ in range(comment // 255))
    begin = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    return data[:begin] + b"\x21\xfe" + blocks + b"\0" + data[begin:]


def avif(exif: bytes) -> bytes:
    """A small AVIF with that EXIF data."""
    buffer = io.BytesIO()
    Image.fromarray(quadrants()).save(buffer, "AVIF", exif=exif)
    return buffer.getvalue()


def webp(exif: bytes) -> bytes:
    """A small WebP with that EXIF data."""
    buffer = io.BytesIO()
    Image.fromarray(quadrants()).save(buffer, "WEBP", exif=exif)
    return buffer.getvalue()


QUADRATIC = b"Exif\0\0" * 170_000


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(1, 39_999_999), "is 1 x 39999999: the longest side may be 12000 pixels"),
        (png(39_999_999, 1, depth=16, colour=6), "longest side"),
        (png(6400, 6400), "40 million pixels"),
        (png(64, 48, (b"eXIf", QUADRATIC)), "carries 996 KiB of metadata"),
        (webp(QUADRATIC[6:]), "carries 996 KiB of metadata"),
        (png(64, 48, *[(b"tIME", b"")] * 60_000), "more than 50000 pieces"),
        (many_scans(80), "more than 64 scans"),
        (b"\xff\xd8" + b"\xff\xfe\0\2" * 60_000, "more than 50000 pieces"),
        (gif(300_000), "carries 294 KiB of metadata"),
    ],
)
def test_photos_refused_by_their_header(
    tmp_path: Path, data: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(Image.Image, "load", load)
    path = tmp_path / "photo.bin"
    path.write_bytes(data)
    with pytest.raises(MediaError, match=words) as refused:
        load_photo(path, PUBLIC)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_avif_with_large_exif_is_refused_before_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.avif").write_bytes(avif(b"II*\0\x08\0\0\0\0\0" + bytes(150_000)))
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(MediaError, match="146 KiB of metadata"):
        load_photo(tmp_path / "a.avif")


def test_photos_within_the_limits_are_read(tmp_path: Path) -> None:
    for name, data in {"a.jpg": many_scans(20), "a.gif": gif(2_000), "a.avif": avif(b"II*\0\x08\0\0\0\0\0")}.items():
        (tmp_path / name).write_bytes(data)
        assert load_photo(tmp_path / name, PUBLIC).pixels.shape == (48, 64, 3)


def test_only_first_picture_of_animation_is_checked(tmp_path: Path) -> None:
    """A GIF that is cut off behind its first picture says that it moves, and is read."""
    data = gif(100, frames=40)
    (tmp_path / "a.gif").write_bytes(data[: len(data) // 8])
    photo = load_photo(tmp_path / "a.gif")
    assert photo.pixels.shape == (48, 64, 3) and "first picture" in photo.messages[0]


def test_decoded_bytes_depend_on_mode(tmp_path: Path) -> None:
    """Three bands of a progressive JPEG are held as coefficients too: 10 bytes a pixel."""
    Image.fromarray(quadrants()).save(tmp_path / "a.jpg", progressive=True, subsampling=0)
    Image.fromarray(quadrants()).save(tmp_path / "b.jpg")
    limits = replace(PRIVATE, decoded_bytes=64 * 48 * 10 - 1)
    with pytest.raises(MediaError, match="when it is decoded"):
        load_photo(tmp_path / "a.jpg", limits)
    assert load_photo(tmp_path / "b.jpg", limits).pixels.any()


def test_files_are_refused_by_their_bytes(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", [grey(1)] * 3)
    with pytest.raises(MediaError, match="a clip or sound may have 0 MiB"):
        probe_clip(path, replace(PUBLIC, clip_file_bytes=500))
    Image.fromarray(quadrants()).save(tmp_path / "a.png")
    with pytest.raises(MediaError, match="too large to be a photo"):
        load_photo(tmp_path / "a.png", replace(PUBLIC, file_bytes=50))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    for act in (load_photo, probe_clip, sound_length_s):
        with pytest.raises(MediaError, match="it is a named pipe, not a regular file"):
            act(tmp_path / "a.png")


def test_frames_are_refused_by_decoder_memory(tmp_path: Path) -> None:
    deep = make_clip(tmp_path / "deep.mkv", [quadrants()] * 3, ClipSpec(pix_fmt="yuv444p10le"))
    plain = make_clip(tmp_path / "plain.mkv", [quadrants()] * 3)
    limits = replace(PUBLIC, decoded_bytes=64 * 48 * 6 * 4 - 1)
    with pytest.raises(MediaError, match=r"64 x 48 in yuv444p10le"):
        probe_clip(deep, limits)
    assert len(list(LocalDecoder(limits).frames(plain))) == 3


@pytest.mark.parametrize(
    ("suffix", "codec"), [("wmv", "wmv2"), ("flv", "flv"), ("mkv", "ffv1"), ("y4m", "wrapped_avframe")]
)
def test_unlisted_codec_is_named(tmp_path: Path, suffix: str, codec: str) -> None:
    path = make_clip(tmp_path / f"a.{suffix}", [quadrants()] * 3, ClipSpec(codec, options=()))
    name = {"wrapped_avframe": "rawvideo"}.get(codec, codec)
    for act in (probe_clip, lambda path: next(read_clip(path))):
        with pytest.raises(MediaError, match=rf"is encoded as {name}, which is not read: convert it to MP4 \(H\.264\)"):
            act(path)


def test_unlisted_codec_opens_no_decoder(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "a.mkv", [quadrants()] * 3, ClipSpec("ffv1", options=(), sound=tone(0.2), sound_codec="ac3")
    )
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as said, containers.open_media(path) as container:
            assert container.streams.video[0].codec_context.pix_fmt is None
    finally:
        av.logging.set_level(None)
    refused = {line.split("(")[1].split(")")[0] for _, _, line in said if "not on whitelist" in line}
    assert refused == {"ffv1", "ac3"}


def test_listed_codecs_exist(tmp_path: Path) -> None:
    """A name that FFmpeg does not know would refuse what the list allows."""
    known = av.codecs_available
    assert {name for name in containers.ALLOWED_CODECS if name not in known} <= {"libopus", "libvpx", "libvpx-vp9"}
    assert sum(name.startswith("pcm_") for name in containers.ALLOWED_CODECS) > 20


def test_unlisted_sound_codec_gives_a_message(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", [quadrants()] * 3, ClipSpec(sound=tone(0.2), sound_codec="ac3"))
    info = probe_clip(path)
    assert not info.has_sound and info.messages == ("the sound of a.mkv is ac3, which is not read: convert it to AAC",)
    make_sound(tmp_path / "a.ac3", tone(0.2), "ac3")
    with pytest.raises(MediaError, match="ac3, which is not read"):
        sound_length_s(tmp_path / "a.ac3")


@pytest.mark.parametrize(
    ("gap_ms", "words"), [(59_000, "shows 12 frames in 649 s, fewer than one in 2 s"), (2_500, "fewer than one")]
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_frames_that_are_far_apart_are_damage(tmp_path: Path, suffix: str, gap_ms: int, words: str) -> None:
    spec = ClipSpec("mpeg4", stamps=[gap_ms * i for i in range(12)], options=())
    path = make_clip(tmp_path / f"gaps.{suffix}", [counting(i) for i in range(12)], spec)
    with pytest.raises(MediaError, match=words):
        probe_clip(path)
    if gap_ms > 10_000:  # the first seconds may be slow
        with pytest.raises(MediaError, match="fewer than one in 2 s"):
            list(read_clip(path))


def test_few_frames_a_second_give_a_message(tmp_path: Path) -> None:
    spec = ClipSpec("mpeg4", stamps=[500 * i for i in range(8)], options=())
    path = make_clip(tmp_path / "slides.mkv", [counting(i) for i in range(8)], spec)
    assert probe_clip(path).messages[0].startswith("slides.mkv shows only 2.0 frames a second")
    assert 88 <= len(list(read_clip(path))) <= 100
    assert probe_clip(make_clip(tmp_path / "a.mp4", [counting(i) for i in range(8)])).messages == ()


def test_one_wrong_time_stamp_does_not_make_a_clip_slow(tmp_path: Path) -> None:
    spec = ClipSpec("mpeg4", stamps=[*(40 * i for i in range(20)), 50_000], options=())
    path = make_clip(tmp_path / "wild.mkv", [counting(i) for i in range(21)], spec)
    assert probe_clip(path).messages == ()


def test_thousands_of_frames_in_a_moment_are_damage(tmp_path: Path) -> None:
    spec = ClipSpec("mjpeg", "yuvj420p", stamps=range(1, 1601), options=())
    path = make_clip(tmp_path / "flood.mkv", [grey(9, 32, 32)] * 1600, spec)
    with pytest.raises(MediaError, match="more than 300 a second"):
        list(read_clip(path))


def test_animation_with_too_many_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(gif(0, frames=12))
    limits = replace(PUBLIC, animation_frames=10)
    with pytest.raises(MediaError, match="an animation of more than 10 pictures"):
        probe_clip(tmp_path / "a.gif", limits)
    with pytest.raises(MediaError, match="an animation of more than 10 pictures"):
        list(LocalDecoder(limits).frames(tmp_path / "a.gif"))
    assert load_photo(tmp_path / "a.gif", limits).messages


@pytest.mark.parametrize("suffix", ["png", "webp", "avif"])
def test_animation_that_is_too_long_is_refused(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number of its pictures before one is decoded, and by their times."""
    pictures = [Image.fromarray(picture(number)) for number in range(12)]
    path = tmp_path / f"a.{suffix}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=1000)
    short = LocalDecoder(replace(PUBLIC, clip_length_s=5.0))
    for read in (short.frames, short.native_frames):
        with pytest.raises(MediaError, match=r"used for more than 5 s, and at most 5 s"):
            list(read(path))
    assert short.probe(path).duration_s == 12
    monkeypatch.setattr(Image.Image, "load", lambda *_: next(refusing(AssertionError("it was decoded"))))
    few = LocalDecoder(replace(PUBLIC, animation_frames=10))
    for act in (
        few.probe,
        few.native_rate,
        lambda path: next(few.frames(path)),
        lambda path: next(few.native_frames(path)),
    ):
        with pytest.raises(MediaError, match="an animation of more than 10 pictures"):
            act(path)


def test_a_long_clip_is_used_in_part_only(tmp_path: Path) -> None:
    """By its stated length before anything is decoded; a stream without a header as it goes."""
    frames = [grey(10 * (i % 20), 32, 32) for i in range(100)]
    stated, stream = make_clip(tmp_path / "a.mp4", frames), make_clip(tmp_path / "a.ts", frames)
    short = LocalDecoder(replace(PUBLIC, clip_length_s=2.0))
    for path in (stated, stream):
        with pytest.raises(MediaError, match=r"used for (4 s|more than 2 s), and at most 2 s or 36000 frames"):
            list(short.frames(path))
        assert len(list(short.frames(path, start_s=1.0, end_s=2.5))) in (37, 38)
    with pytest.raises(MediaError, match="36000|30 frames"):
        list(LocalDecoder(replace(PUBLIC, track_rows=30)).frames(stream, Fraction(50)))


def refusing(error: Exception) -> Iterator[None]:
    raise error


@pytest.mark.parametrize(
    "error", [MemoryError(), av.error.MemoryError(12, "no memory"), RuntimeError("plugin"), KeyError("x")]
)
def test_any_photo_plugin_exception_is_one_error(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(quadrants()).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "load", lambda *_: next(refusing(error)))
    with pytest.raises(MediaError, match=r"a\.png (needs more memory|is damaged)"):
        load_photo(tmp_path / "a.png")


@pytest.mark.parametrize(
    "error", [av.error.MemoryError(12, "x"), av.error.InvalidDataError(1, "x"), IndexError("x"), ValueError("x")]
)
def test_any_clip_opening_exception_is_one_error(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(tmp_path / "a.mp4", [grey(1)] * 3)
    monkeypatch.setattr(av, "open", lambda *_, **__: next(refusing(error)))
    with pytest.raises(MediaError, match=r"a\.mp4 (asks for more memory|is not a video)"):
        probe_clip(path)


def test_damaged_stream_length_counts_readable_packets(tmp_path: Path) -> None:
    """FFmpeg gives up in the middle of these; it did so while their length was counted."""
    for suffix, codec in (("nut", "libx264"), ("ivf", "libvpx-vp9")):
        path = make_clip(tmp_path / f"a.{suffix}", [picture(i) for i in range(20)], ClipSpec(codec, options=()))
        data = bytearray(path.read_bytes())
        half = len(data) // 2
        data[half : half + 2000] = np.random.default_rng(3).bytes(min(2000, len(data) - half))
        path.write_bytes(data)
        assert probe_clip(path).duration_s > 0


@pytest.mark.parametrize("rate", [1, 3_999, 1_000_000])
def test_sound_of_an_absurd_rate_is_refused(tmp_path: Path, rate: int) -> None:
    data = bytearray(make_sound(tmp_path / "a.wav", tone(0.5), "pcm_s16le").read_bytes())
    struct.pack_into("<I", data, 24, rate)
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(MediaError, match=rf"{rate} samples a second"):
        list(read_sound(tmp_path / "a.wav"))
