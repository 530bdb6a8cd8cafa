"""Reading of clips: upright frames at one exact rate, closed files, and errors for broken ones."""

import math
import os
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import MediaError, RequestError
from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.media.clips import _limit_rate, probe_clip, read_clip, read_native_frames
from fantasyportrait.media.frame_converter import FrameConverter
from tests.factories_media import ClipSpec, counting, grey, make_clip, make_sound, number_of, quadrants, tone

LOSSLESS = (("crf", "0"), ("preset", "ultrafast"))


def numbers(path: Path, **options: object) -> list[int]:
    return [number_of(frame) for frame in read_clip(path, **options)]  # type: ignore[arg-type]


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    """Ten counted frames at 25 a second."""
    return make_clip(tmp_path / "ten.mp4", [counting(i) for i in range(10)])


@pytest.mark.parametrize(("suffix", "codec", "pix_fmt"), [
    ("mp4", "libx264", "yuv420p"), ("mov", "libx265", "yuv420p10le"), ("mkv", "libx264", "yuv444p10le"),
    ("webm", "libvpx-vp9", "yuv420p"), ("avi", "mpeg4", "yuv420p"), ("ts", "libx264", "yuv420p"),
    ("mov", "prores_ks", "yuv422p10le"), ("flv", "libx264", "yuv420p"), ("mpg", "mpeg2video", "yuv420p"),
])  # fmt: skip
def test_containers_and_codecs(tmp_path: Path, suffix: str, codec: str, pix_fmt: str) -> None:
    options = (("preset", "ultrafast"),) if codec.startswith("libx26") else ()
    spec = ClipSpec(codec, pix_fmt, options=options)
    path = make_clip(tmp_path / f"clip.{suffix}", [quadrants() for _ in range(10)], spec)
    frames = list(read_clip(path))
    assert len(frames) == 10
    for y, x, colour in ((12, 16, 0), (12, 48, 1), (36, 16, 2)):
        assert int(frames[5][y, x].argmax()) == colour
    info = probe_clip(path)
    assert (info.width, info.height, info.rate, info.has_sound) == (64, 48, 25, False)
    assert abs(info.duration_s - 0.4) < 0.05


def test_gif(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "a.gif", [counting(i) for i in range(5)], ClipSpec("gif", "rgb8", Fraction(10), options=())
    )
    assert len(list(read_clip(path, Fraction(10)))) == 5


def test_the_rate_is_exact(ten: Path) -> None:
    assert numbers(ten) == list(range(10))
    assert numbers(ten, rate=Fraction(50)) == [i // 2 for i in range(20)]
    assert len(numbers(ten, rate=Fraction(10))) == 4
    assert len(numbers(ten, rate=Fraction(30000, 1001))) == 12


def test_variable_rate_gives_the_frames_of_its_length(tmp_path: Path) -> None:
    """39 frames over 3.04 s, gaps of 40 to 120 ms."""
    gaps = [*([40, 120, 80] * 13)[:37], 40]
    gaps[-1] += 3000 - sum(gaps)
    stamps = [0, *np.cumsum(gaps).tolist()]
    assert len(stamps) == 39 and stamps[-1] == 3000
    path = make_clip(
        tmp_path / "vfr.mkv",
        [grey(5 * i) for i in range(39)],
        ClipSpec("mjpeg", "yuvj420p", stamps=stamps, options=(("q", "2"),)),
    )
    frames = list(read_clip(path))
    assert len(frames) == 76
    for row, frame in enumerate(frames):
        due = [i for i, stamp in enumerate(stamps) if Fraction(stamp, 40) + Fraction(1, 2) < row + 1]
        assert round(float(frame.mean()) / 5) == due[-1]


def test_trimming(ten: Path) -> None:
    assert numbers(ten, start_s=0.12) == list(range(3, 10))
    assert numbers(ten, start_s=0.08, end_s=0.2) == [2, 3, 4]
    assert numbers(ten, end_s=99.0) == list(range(10))
    with pytest.raises(MediaError, match=r"lasts 0\.40 s.*beyond"):
        next(read_clip(ten, start_s=7))
    for start_s, end_s in ((-1.0, None), (0.2, 0.2), (float("nan"), None)):
        with pytest.raises(RequestError):
            next(read_clip(ten, start_s=start_s, end_s=end_s))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "webm"])
def test_far_start_is_seeked_exactly(tmp_path: Path, suffix: str) -> None:
    codec, options = ("libvpx-vp9", (("deadline", "realtime"),)) if suffix == "webm" else ("libx264", LOSSLESS)
    frames = [grey(10 + 10 * (i // 10 % 20), 32, 32) for i in range(400)]
    path = make_clip(tmp_path / f"long.{suffix}", frames, ClipSpec(codec, options=(*options, ("g", "30"))))
    whole = [number_of(f) for f in read_clip(path)]
    assert len(whole) == 400
    for start in (80, 199, 317):
        assert numbers(path, start_s=start / 25, end_s=start / 25 + 1) == whole[start : start + 25]


@pytest.mark.parametrize(
    "turn", [(90, False, False), (180, False, False), (-90, False, False), (0, True, False), (90, True, False)]
)
def test_rotation_and_mirroring(tmp_path: Path, turn: tuple[float, bool, bool]) -> None:
    path = make_clip(tmp_path / "turned.mp4", [quadrants()] * 2, ClipSpec(rotation=turn))
    picture = np.rot90(quadrants(), round(turn[0] / 90))
    expected = picture[:, ::-1] if turn[1] else picture
    got = next(read_clip(path))
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).mean() < 12
    assert (probe_clip(path).height, probe_clip(path).width) == expected.shape[:2]


def test_odd_sizes_pixel_aspect_and_max_side(tmp_path: Path) -> None:
    odd = make_clip(tmp_path / "odd.mov", [quadrants(66, 50)[:49, :65]] * 2, ClipSpec("png", "rgb24", options=()))
    assert next(read_clip(odd)).shape == (49, 65, 3)
    wide = make_clip(tmp_path / "wide.mp4", [quadrants()] * 2, ClipSpec(aspect=Fraction(4, 3)))
    assert next(read_clip(wide)).shape == (48, 85, 3) and probe_clip(wide).width == 85
    assert next(read_clip(wide, max_side=40)).shape == (23, 40, 3)
    turned = make_clip(tmp_path / "t.mp4", [quadrants()] * 2, ClipSpec(rotation=(90, False, False)))
    assert next(read_clip(turned, max_side=32)).shape == (32, 24, 3)


def test_interlaced_frames_are_deinterlaced(tmp_path: Path) -> None:
    """A bar that moves between the two fields leaves a comb unless it is deinterlaced."""
    frames = []
    for i in range(10):
        frame = grey(40, 96, 64)
        frame[0::2, 8 * i : 8 * i + 16] = 220
        frame[1::2, 8 * i + 4 : 8 * i + 20] = 220
        frames.append(frame)

    spec = ClipSpec(options=(("crf", "0"), ("flags", "+ildct+ilme"), ("x264-params", "tff=1")))
    path = make_clip(tmp_path / "fields.mp4", frames, spec)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    read = list(read_clip(path))
    assert len(read) == 10
    comb = [float(np.abs(np.diff(f[8:56, :, 0].astype(int), axis=0)).mean()) for f in (frames[5], read[5])]
    assert comb[1] < 0.45 * comb[0]


def test_a_change_of_size_keeps_the_first_one(tmp_path: Path) -> None:
    parts = [make_clip(tmp_path / f"{i}.ts", [quadrants(*size)] * 5) for i, size in enumerate([(64, 48), (128, 96)])]
    joined = tmp_path / "joined.h264"
    for part in parts:
        with av.open(str(part)) as container:
            data = b"".join(bytes(packet) for packet in container.demux(video=0))
        with joined.open("ab") as file:
            file.write(data)
    frames = list(read_clip(joined))
    assert len(frames) == 10 and {frame.shape for frame in frames} == {(48, 64, 3)}
    assert np.abs(frames[9].astype(int) - quadrants()).mean() < 12


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_mapped_to_the_screen(tmp_path: Path, transfer: int) -> None:
    """Levels stay in order, reference white (58 % PQ, 75 % HLG) is bright, and what is brighter still differs."""
    white = {16: 148, 18: 191}[transfer]
    levels = [0, 60, 110, white, white + 20, 250]
    options = (("x265-params", "lossless=1:log-level=none"),)
    spec = ClipSpec("libx265", "yuv420p10le", options=options, colours=(9, 9, transfer))
    path = make_clip(tmp_path / "hdr.mp4", [grey(level) for level in levels], spec)
    means = [float(frame.mean()) for frame in read_clip(path)]
    assert means == sorted(set(means)) and means[0] < 3
    assert 235 < means[3] < 250 and means[5] < 256


def test_hdr_keeps_the_colours_below_white() -> None:
    """Colours of BT.709, written as PQ light in BT.2020 with white at 203 cd/m2, come back."""
    srgb = np.array([[128, 128, 128], [224, 172, 140], [150, 100, 80], [200, 30, 30], [30, 200, 30], [30, 30, 200]])
    light = np.where(srgb <= 10, srgb / 255 / 12.92, ((srgb / 255 + 0.055) / 1.055) ** 2.4)
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    root = (203 * light @ to_2020.T / 10_000) ** 0.1593017578125
    codes = ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375
    pixels = np.repeat((codes * 65535).round().astype(np.uint16)[None], 16, axis=0)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb48le")
    frame.color_trc, frame.pts = 16, 0
    assert np.abs(FrameConverter(Path("hdr.mp4"), PRIVATE).pixels(frame)[8].astype(int) - srgb).max() < 14


def test_alpha_lies_on_white(tmp_path: Path) -> None:
    path = tmp_path / "alpha.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", 25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "rgba"
        pixels = np.zeros((16, 16, 4), np.uint8)
        pixels[:, 8:, 3] = 255
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgba")))
        container.mux(stream.encode(None))
    (frame,) = read_clip(path)
    assert frame[4, 3].min() > 250 and frame[4, 12].max() < 5


def test_untagged_hd_is_read_as_bt709(tmp_path: Path) -> None:
    levels = {}
    for width in (64, 1280):
        path = make_clip(tmp_path / f"{width}.mp4", [np.full((48, width, 3), (30, 200, 30), np.uint8)])
        levels[width] = next(read_clip(path))[20, 20].astype(int)
    assert np.abs(levels[64] - (30, 200, 30)).max() < 6  # make_clip encodes with the old matrix
    assert np.abs(levels[1280] - (30, 200, 30)).max() > 8


def test_one_frame_is_one_frame(tmp_path: Path) -> None:
    assert numbers(make_clip(tmp_path / "one.mp4", [counting(3)])) == [3]


def test_files_are_closed_with_the_generator(ten: Path) -> None:
    def is_open() -> bool:
        links = (os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd"))
        return any(os.path.realpath(link) == str(ten) for link in links)

    if not Path("/proc/self/fd").exists():
        pytest.skip("open files cannot be listed here")
    frames = read_clip(ten)
    next(frames)
    assert is_open()
    frames.close()  # type: ignore[attr-defined]
    assert not is_open()


def make_faststart(path: Path, frames: np.ndarray) -> Path:
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", container_options=options) as container:
        stream = container.add_stream("libx264", 25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_truncated_clip_yields_its_frames_and_reports_damage(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (100, 48, 64, 3), np.uint8)
    path = make_faststart(tmp_path / f"cut.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    damage: list[str] = []
    assert 20 < len(list(read_clip(path, damage=damage))) < 80
    assert "cut off" in damage[0] and path.name in damage[0]


def test_wrong_time_stamp_bounds_frame_count(tmp_path: Path) -> None:
    stamps = [0, 40, 80, 900_000]
    path = make_clip(
        tmp_path / "wild.mkv",
        [counting(i) for i in range(4)],
        ClipSpec("mjpeg", "yuvj420p", stamps=stamps, options=(("q", "2"),)),
    )
    damage: list[str] = []
    assert [number_of(frame) for frame in read_clip(path, damage=damage)] == [0, 1, 2]
    assert "gap" in damage[0]


def test_damage_in_the_middle_is_skipped(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
    path = make_clip(tmp_path / "hole.mkv", list(noise), ClipSpec("mpeg4", options=(("g", "1"),)))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    assert len(list(read_clip(path))) >= 30


def test_non_clip_is_refused(tmp_path: Path, ten: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is a text\n" * 50)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\n{ten}\n#EXT-X-ENDLIST\n")
    (tmp_path / "concat.txt").write_text(f"ffconcat version 1.0\nfile '{ten}'\n")
    (tmp_path / "half.mp4").write_bytes(ten.read_bytes()[:600])
    make_sound(tmp_path / "sound.mp4", tone(0.5), "aac")
    expected = dict.fromkeys(("text.mp4", "list.m3u8", "concat.txt", "half.mp4"), "not a video")
    expected |= {"empty.mp4": "empty", "sound.mp4": "no picture", "missing.mp4": "check the path", ".": "folder"}
    for name, words in expected.items():
        for act in (probe_clip, lambda path: next(read_clip(path))):
            with pytest.raises(MediaError, match=words):
                act(tmp_path / name)


def test_browser_recordings_state_no_length(tmp_path: Path) -> None:
    """A WebM that was streamed out has no duration: it is counted."""

    class Pipe:
        def __init__(self) -> None:
            self.data = bytearray()

        def write(self, part: bytes) -> int:
            self.data += part
            return len(part)

    pipe = Pipe()
    with av.open(pipe, "w", format="webm", container_options={"live": "1"}) as container:
        stream = container.add_stream("libvpx-vp9", 25, options={"deadline": "realtime"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(counting(i % 20))))
        container.mux(stream.encode(None))
    (tmp_path / "webcam.webm").write_bytes(pipe.data)
    assert abs(probe_clip(tmp_path / "webcam.webm").duration_s - 1.2) < 0.05
    assert len(list(read_clip(tmp_path / "webcam.webm"))) == 30


def test_native_frames_equal_encoded_frames(ten: Path) -> None:
    frames = list(read_native_frames(ten))
    assert [begin for begin, _, _ in frames] == [Fraction(i, 25) for i in range(10)]
    assert [end for _, end, _ in frames] == [Fraction(i + 1, 25) for i in range(10)]
    assert [number_of(pixels) for _, _, pixels in frames] == list(range(10))
    later = list(read_native_frames(ten, after=Fraction(6, 25)))
    assert [number_of(pixels) for _, _, pixels in later] == [7, 8, 9]
    assert list(read_native_frames(ten, after=Fraction(9, 25))) == []
    assert next(read_native_frames(ten, max_side=32))[2].shape == (24, 32, 3)


def test_native_frames_resume_far_into_a_clip(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "long.mp4", [grey(10 + 10 * (i // 10 % 20), 32, 32) for i in range(400)], ClipSpec(options=LOSSLESS)
    )
    whole = [(begin, end, number_of(pixels)) for begin, end, pixels in read_native_frames(path)]
    assert len(whole) == 400
    for place in (3, 80, 317):
        rest = read_native_frames(path, after=whole[place][0])
        assert [(begin, end, number_of(pixels)) for begin, end, pixels in rest] == whole[place + 1 :]


@given(
    st.lists(st.integers(1, 90), min_size=1, max_size=40),
    st.sampled_from([Fraction(32), Fraction(10)]),
    st.integers(0, 99),
)
def test_skipped_frames_independent_of_start(gaps: list[int], most: Fraction, stop: int) -> None:
    stamps = [Fraction(sum(gaps[:i]), 1000) for i in range(len(gaps) + 1)]
    timed = list(zip(stamps, [*stamps[1:], stamps[-1] + Fraction(1, 25)], range(len(stamps)), strict=True))
    whole = [shown for shown in _limit_rate(iter(timed), None, most) if shown is not None]
    assert whole[0][0] == 0 and whole[-1][1] == timed[-1][1]
    assert all(a[1] <= b[0] for a, b in pairwise(whole))
    assert len(whole) <= math.floor(timed[-1][0] * most) + 1
    if all(gap * most > 1000 for gap in gaps):
        assert len(whole) == len(timed)
    after = whole[stop % len(whole)][0]
    rest = [shown for shown in _limit_rate(iter(timed), after, most) if shown is not None]
    assert rest == whole[stop % len(whole) + 1 :]


REAL = {"biden": (25, 218), "trump": (25, 218), "expressive": (30, 1008), "mild": (30, 250), "jgz": (15, 59)}


@pytest.mark.parametrize(("name", "rate", "frames"), [(n, *c) for n, c in (REAL | {"two_person": (23, 146)}).items()])
def test_real_clips(media_dir: Path, name: str, rate: int, frames: int) -> None:
    path = media_dir / f"{name}.mp4"
    info = probe_clip(path)
    assert info.rate == rate
    assert sum(1 for _ in read_clip(path, info.rate, max_side=32)) == frames
    assert next(islice(read_clip(path, start_s=2.0), 3, None)).shape == (info.height, info.width, 3)
