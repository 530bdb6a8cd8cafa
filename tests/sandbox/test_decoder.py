"""The sandbox decoder returns the same bits and the same errors as the decoder of this process."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fantasyportrait.core.errors import FantasyPortraitError, MediaError, RequestError
from fantasyportrait.core.limits import PUBLIC
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.sandbox.decoder import SandboxDecoder
from tests.factories_media import ClipSpec, counting, grey, make_clip, make_sound, quadrants, tone

LOCAL = LocalDecoder(PUBLIC)
MakeFile = Callable[[Path], Path]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxDecoder]:
    """Two warm children."""
    decoder = SandboxDecoder(PUBLIC)
    yield decoder
    decoder.close()


def rotated_jpeg(folder: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(quadrants()).save(folder / "turned.jpg", exif=exif)
    return folder / "turned.jpg"


def transparent(folder: Path) -> Path:
    pixels = np.dstack([quadrants(), np.full((48, 64), 100, np.uint8)])
    Image.fromarray(pixels).save(folder / "clear.png")
    return folder / "clear.png"


def animation(folder: Path) -> Path:
    frames = [Image.fromarray(grey(20 * i)) for i in range(5)]
    frames[0].save(folder / "moves.webp", save_all=True, append_images=frames[1:])
    return folder / "moves.webp"


def deep_grey(folder: Path) -> Path:
    Image.fromarray(np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)).save(folder / "deep.png")
    return folder / "deep.png"


def avif(folder: Path) -> Path:
    Image.fromarray(quadrants()).save(folder / "a.avif")
    return folder / "a.avif"


@pytest.mark.parametrize("make", [rotated_jpeg, transparent, animation, deep_grey, avif])
def test_photos(sandbox: SandboxDecoder, tmp_path: Path, make: MakeFile) -> None:
    path = make(tmp_path)
    ours, theirs = LOCAL.photo(path), sandbox.photo(path)
    assert np.array_equal(ours.pixels, theirs.pixels)
    assert (ours.messages, ours.sha256) == (theirs.messages, theirs.sha256)
    theirs.pixels[:] = 0  # an array that the caller owns


def plain(folder: Path) -> Path:
    return make_clip(folder / "a.mp4", [counting(i) for i in range(20)], ClipSpec(sound=tone(0.8)))


def turned(folder: Path) -> Path:
    return make_clip(folder / "turned.mp4", [quadrants()] * 5, ClipSpec(rotation=(90, False, False)))


def interlaced(folder: Path) -> Path:
    spec = ClipSpec(options=(("flags", "+ildct+ilme"), ("x264-params", "tff=1")))
    return make_clip(folder / "fields.mp4", [counting(i) for i in range(10)], spec)


def hdr(folder: Path) -> Path:
    spec = ClipSpec("libx265", "yuv420p10le", colours=(9, 9, 16), options=(("preset", "ultrafast"),))
    return make_clip(folder / "hdr.mp4", [grey(30 * i) for i in range(6)], spec)


def uneven(folder: Path) -> Path:
    stamps = [0, 40, 200, 240, 600, 640]
    return make_clip(folder / "vfr.mkv", [counting(i) for i in range(6)], ClipSpec(stamps=stamps))


def webm(folder: Path) -> Path:
    spec = ClipSpec("libvpx-vp9", options=(("deadline", "realtime"),), sound=tone(0.4), sound_codec="libopus")
    return make_clip(folder / "a.webm", [quadrants()] * 10, spec)


def cut_off(folder: Path) -> Path:
    path = make_clip(folder / "cut.mkv", [counting(i % 20) for i in range(60)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def moving(suffix: str, cut: bool = False) -> MakeFile:
    """Makes an animation of noise, the second half of which may be missing."""

    def make(folder: Path) -> Path:
        path = folder / f"moves{suffix}"
        noise = [np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8) for i in range(6)]
        pictures = [Image.fromarray(frame) for frame in noise]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[40, 90, 40, 60, 40, 40])
        if cut:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return path

    return make


VIDEOS = [plain, turned, interlaced, hdr, uneven, webm, cut_off]
ANIMATIONS = [animation, *(moving(suffix) for suffix in (".png", ".avif", ".gif")), moving(".png", cut=True)]
CLIPS = [*VIDEOS, *ANIMATIONS]


@pytest.mark.parametrize("make", CLIPS)
@pytest.mark.parametrize("span", [(0.0, None), (0.12, 0.2)])
def test_clips(sandbox: SandboxDecoder, tmp_path: Path, make: MakeFile, span: tuple[float, float | None]) -> None:
    path = make(tmp_path)
    assert LOCAL.probe(path) == sandbox.probe(path)
    told: dict[Decoder, list[str]] = {LOCAL: [], sandbox: []}
    ours, theirs = (
        list(decoder.frames(path, Fraction(30000, 1001), *span, 40, damage)) for decoder, damage in told.items()
    )
    assert [time for time, _ in ours] == [time for time, _ in theirs]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(ours, theirs, strict=True))
    repeats = [[a[1] is b[1] for a, b in itertools.pairwise(rows)] for rows in (ours, theirs)]
    assert repeats[0] == repeats[1]
    assert told[LOCAL] == told[sandbox]


@pytest.mark.parametrize("make", CLIPS)
@pytest.mark.parametrize(("after", "most"), [(None, None), (Fraction(1, 10), Fraction(12))])
def test_clips_in_their_own_times(
    sandbox: SandboxDecoder, tmp_path: Path, make: MakeFile, after: Fraction | None, most: Fraction | None
) -> None:
    path = make(tmp_path)
    told: dict[Decoder, list[str]] = {LOCAL: [], sandbox: []}
    ours, theirs = (list(decoder.native_frames(path, after, most, 40, damage)) for decoder, damage in told.items())
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    assert all(np.array_equal(a[2], b[2]) for a, b in zip(ours, theirs, strict=True))
    assert told[LOCAL] == told[sandbox]


@pytest.mark.parametrize("make", CLIPS)
def test_rates(sandbox: SandboxDecoder, tmp_path: Path, make: MakeFile) -> None:
    path = make(tmp_path)
    measured = sandbox.native_rate(path)
    assert measured == LOCAL.native_rate(path) and measured is not None


@pytest.mark.parametrize("make", [rotated_jpeg, transparent, deep_grey, avif])
def test_still_picture_is_a_clip_of_one_row(sandbox: SandboxDecoder, tmp_path: Path, make: MakeFile) -> None:
    path = make(tmp_path)
    for decoder in (LOCAL, sandbox):
        info = decoder.probe(path)
        assert info == LOCAL.probe(path) and info.still and decoder.native_rate(path) is None
        ((native_time, shown),) = decoder.frames(path, Fraction(240), max_side=40)
        ((begin, end, pixels),) = decoder.native_frames(path, max_side=40)
        assert native_time == begin == 0 < end and max(pixels.shape) == 40
        assert np.array_equal(shown, pixels) and np.array_equal(pixels, next(LOCAL.native_frames(path, max_side=40))[2])
        assert list(decoder.native_frames(path, after=begin)) == []
        with pytest.raises(MediaError, match="is a picture, which has no sound"):
            decoder.sound_length_s(path)


@pytest.mark.parametrize("make", [plain, webm, turned])
def test_sound(sandbox: SandboxDecoder, tmp_path: Path, make: MakeFile) -> None:
    path = make(tmp_path)
    assert sandbox.sound_length_s(path) == LOCAL.sound_length_s(path)
    assert (LOCAL.sound_length_s(path) > Fraction(1, 4)) == (make is not turned)
    for start_s in (Fraction(0), Fraction(1, 10), Fraction(9)):
        ours, theirs = (list(decoder.sound(path, start_s)) for decoder in (LOCAL, sandbox))
        assert [len(block) for block in ours] == [len(block) for block in theirs]
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_far_start_is_sought(sandbox: SandboxDecoder, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "long.mkv", [grey(10 + 10 * (i // 10 % 20), 32, 32) for i in range(300)])
    ours, theirs = (list(decoder.frames(path, start_s=8.0, end_s=9.0)) for decoder in (LOCAL, sandbox))
    assert len(ours) == 25 and all(np.array_equal(a[1], b[1]) for a, b in zip(ours, theirs, strict=True))


def test_unreadable_files_raise_the_same_errors(sandbox: SandboxDecoder, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no clip\n" * 30)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "saved.mp4").write_text('{"schema": 2, "portrait": "a.png", "cast": []}')
    (tmp_path / "broken.webp").write_bytes(b"RIFF\0\0\0\0WEBPVP8 ")
    make_sound(tmp_path / "sound.wav", tone(0.2))
    make_clip(tmp_path / "a.wmv", [grey(3)] * 3, ClipSpec("wmv2", options=()))
    for name in ("text.mp4", "empty.mp4", "sound.wav", "a.wmv", "missing.mp4", "saved.mp4", "broken.webp", "."):
        for act in ("photo", "probe", "frames", "native_frames", "native_rate", "sound_length_s", "sound"):
            said = []
            for decoder in (LOCAL, sandbox):
                try:
                    result = getattr(decoder, act)(tmp_path / name)
                    said.append(str(sum(len(block) for block in result)) if act == "sound" else str(next(result)))
                except FantasyPortraitError as error:
                    said.append(f"{type(error).__name__}: {error}")
                except TypeError:
                    said.append("read")
            assert said[0] == said[1], (name, act)
    with pytest.raises(RequestError, match="the start must lie before the end"):
        next(sandbox.frames(plain(tmp_path), start_s=3.0, end_s=2.0))


def test_limits_are_those_of_the_decoder(tmp_path: Path) -> None:
    decoder = SandboxDecoder(replace(PUBLIC, longest_side=60, track_rows=4))
    try:
        with pytest.raises(MediaError, match="longest side may be 60"):
            decoder.photo(transparent(tmp_path))
        path = make_clip(tmp_path / "small.mp4", [grey(9, 32, 32)] * 6)
        with pytest.raises(MediaError, match="at most 600 s or 4 frames"):
            list(decoder.frames(path))
        assert len(list(decoder.frames(path, end_s=0.16))) == 4
        path = moving(".png")(tmp_path)
        for act in (decoder.probe, decoder.native_rate, lambda path: next(decoder.native_frames(path))):
            with pytest.raises(MediaError, match="longest side may be 60"):
                act(path)
    finally:
        decoder.close()


def test_clip_closed_early_frees_its_child(sandbox: SandboxDecoder, tmp_path: Path) -> None:
    path = plain(tmp_path)
    for _ in range(5):
        frames = sandbox.frames(path)
        next(frames)
        frames.close()
    assert sandbox.probe(path).width == 64


def test_texts_of_video_and_picture_are_same(sandbox: SandboxDecoder, tmp_path: Path) -> None:
    info = PngInfo()
    info.add_itxt("description", "a \u00fc text")
    info.add_itxt("long", "x" * 300_000)
    Image.fromarray(quadrants()).save(tmp_path / "a.png", pnginfo=info)
    assert (
        sandbox.metadata(tmp_path / "a.png") == LOCAL.metadata(tmp_path / "a.png") == {"description": "a \u00fc text"}
    )
    video = make_clip(tmp_path / "a.mp4", [counting(number) for number in range(3)])
    assert sandbox.metadata(video) == LOCAL.metadata(video)
    (tmp_path / "b.mp4").write_text("no video", encoding="utf-8")
    with pytest.raises(MediaError, match="b.mp4"):
        sandbox.metadata(tmp_path / "b.mp4")
