"""Written videos can be read again: frames, colours, sound in sync; a failure leaves nothing."""

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fantasyportrait.core.errors import OutputError
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.media.sound import SAMPLE_RATE, SoundSegment, sound_blocks
from fantasyportrait.media.writer import VideoWriter
from tests.factories_media import counting, number_of, quadrants

SIZE = (64, 48)
RATE = Fraction(25)


def write(path: Path, frames: int = 20, rate: Fraction = RATE, **options: object) -> Path:
    with VideoWriter(path, SIZE, rate, **options) as writer:  # type: ignore[arg-type]
        for index in range(frames):
            writer.write(counting(index % 20))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
def test_frames_come_back(tmp_path: Path, suffix: str, rate: Fraction) -> None:
    path = write(tmp_path / f"out{suffix}", rate=rate)
    assert [number_of(frame) for frame in read_clip(path, rate)] == list(range(20))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_time_base_is_exact(tmp_path: Path) -> None:
    with av.open(str(write(tmp_path / "out.mp4", rate=Fraction(30000, 1001)))) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(30000, 1001)
        times = [frame.pts * stream.time_base for frame in container.decode(stream)]
    assert times == [Fraction(1001 * i, 30000) for i in range(20)]


def test_colours_are_tagged_and_converted_alike(tmp_path: Path) -> None:
    for suffix in (".mp4", ".webm"):
        with VideoWriter(tmp_path / f"out{suffix}", SIZE, RATE) as writer:
            for _ in range(5):
                writer.write(quadrants())
        with av.open(str(tmp_path / f"out{suffix}")) as container:
            frame = next(container.decode(video=0))
            assert (frame.colorspace, frame.color_range, frame.format.name) == (1, 1, "yuv420p")
        got = next(read_clip(tmp_path / f"out{suffix}"))
        for y, x in ((12, 16), (12, 48), (36, 16), (36, 48)):
            assert np.abs(got[y, x].astype(int) - quadrants()[y, x]).max() < 8


def test_mp4_starts_fast_and_carries_its_metadata(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", metadata={"title": "A title", "comment": "made by a test"})
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    other = write(tmp_path / "b.webm", metadata={"title": "A title", "digital_source": "composite"})
    third = write(tmp_path / "c.mp4", metadata={"title": "A title", "digital_source": "composite"})
    for file, key in ((path, "comment"), (other, "DIGITAL_SOURCE"), (third, "digital_source")):
        with av.open(str(file)) as container:
            assert container.metadata["title"] == "A title" and key in container.metadata


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    def sound() -> Iterator[NDArray[np.float32]]:
        return iter([np.full((48_000, 2), 0.1, np.float32)])

    first, second = (write(tmp_path / f"{name}{suffix}", sound=sound()) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def beeps(seconds: int) -> Iterator[NDArray[np.float32]]:
    """A click of 10 ms at each whole second, in uneven blocks."""
    for second in range(seconds):
        block = np.zeros((SAMPLE_RATE, 2), np.float32)
        if second:
            block[:480] = 0.8 * np.sin(np.arange(480)[:, None])
        yield block[:1234]
        yield block[1234:]


@pytest.mark.parametrize(
    ("suffix", "rate"), [(".mp4", Fraction(25)), (".webm", Fraction(25)), (".mp4", Fraction(30000, 1001))]
)
def test_sound_is_in_sync_after_a_minute(tmp_path: Path, suffix: str, rate: Fraction) -> None:
    """A flash and a click at every second; read again, they coincide at second 61."""
    path = tmp_path / f"minute{suffix}"
    frames = round(62 * rate)
    flashes = {-(-second * rate // 1) for second in range(1, 62)}
    with VideoWriter(path, (32, 32), rate, beeps(100)) as writer:
        for index in range(frames):
            writer.write(np.full((32, 32, 3), 230 if index in flashes else 20, np.uint8))
    bright = [index for index, frame in enumerate(read_clip(path, rate)) if frame.mean() > 120]
    assert set(bright) == flashes
    heard = np.concatenate(list(sound_blocks([SoundSegment(path, 0.0, frames / rate)], frames / rate)))
    click = int((np.abs(heard[60 * SAMPLE_RATE + 24_000 :, 0]) > 0.3).argmax()) + 60 * SAMPLE_RATE + 24_000
    assert abs(click / SAMPLE_RATE - 61) < 0.003
    with av.open(str(path)) as container:
        lengths = [s.duration * s.time_base for s in container.streams if s.duration]
        assert not lengths or abs(lengths[0] - lengths[1]) < Fraction(1, 40)


def test_sound_is_drawn_while_frames_are_written(tmp_path: Path) -> None:
    drawn = []

    def blocks() -> Iterator[NDArray[np.float32]]:
        while True:
            drawn.append(1)
            yield np.zeros((4800, 2), np.float32)

    with VideoWriter(tmp_path / "out.mp4", SIZE, RATE, blocks()) as writer:
        for index in range(25):
            writer.write(counting(0))
            assert abs(len(drawn) - (index + 1) / 2.5) <= 1
    assert len(drawn) == 10


def test_png_frames(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    folder = write(tmp_path / "frames", 3, metadata={"comment": "hello"})
    assert [p.name for p in sorted(folder.iterdir())] == [f"frame_{i:06d}.png" for i in (1, 2, 3)]
    with Image.open(folder / "frame_000003.png") as image:
        assert (np.asarray(image) == counting(2)).all() and image.info["comment"] == "hello"
    with pytest.raises(OutputError, match="not an empty folder"):
        write(folder)


def test_fast_gif_drops_frames_and_long_gif_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "fast.gif", 60, Fraction(60))
    assert 0.9 < probe_clip(path).duration_s < 1.1
    monkeypatch.setattr("fantasyportrait.media.image_sinks._PALETTE_BYTES", 5 * 64 * 48 * 3)
    assert len(list(read_clip(write(tmp_path / "long.gif", 60)))) == 60


def test_a_gif_keeps_colours(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.gif", SIZE, RATE) as writer:
        for index in range(10):
            writer.write(np.roll(quadrants(), index, axis=1))
    last = list(read_clip(tmp_path / "a.gif"))[-1]
    assert np.abs(last.astype(int) - np.roll(quadrants(), 9, axis=1)).mean() < 6


@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "out.gif", "frames"])
def test_nothing_is_left_after_an_error(tmp_path: Path, name: str) -> None:
    for error in (ValueError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)), VideoWriter(tmp_path / name, SIZE, RATE, beeps(9)) as writer:
            for index in range(15):
                writer.write(counting(index))
            raise error
    with pytest.raises(OutputError, match="single frame"), VideoWriter(tmp_path / name, SIZE, RATE):
        pass
    assert list(tmp_path.iterdir()) == []


def test_old_file_stays_until_new_file_is_complete(tmp_path: Path) -> None:
    path = write(tmp_path / "out.mp4", 3)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), VideoWriter(path, SIZE, RATE) as writer:
        writer.write(counting(1))
        raise RuntimeError
    assert path.read_bytes() == before
    assert len(list(read_clip(write(path, 5)))) == 5


def test_wrong_requests(tmp_path: Path) -> None:
    for path, size, words in (
        (tmp_path / "a.avi", SIZE, "end the name"),
        (tmp_path / "a.mp4", (63, 48), "even"),
        (tmp_path / "no" / "a.mp4", SIZE, "does not exist"),
        (tmp_path / "no" / "frames", SIZE, "does not exist"),
    ):
        with pytest.raises(OutputError, match=words), VideoWriter(path, size, RATE) as writer:
            writer.write(np.zeros((size[1], size[0], 3), np.uint8))
    with pytest.raises(OutputError, match="does not fit"), VideoWriter(tmp_path / "a.mp4", SIZE, RATE) as writer:
        writer.write(np.zeros((50, 50, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from fantasyportrait.core.errors import OutputError
from fantasyportrait.media.writer import VideoWriter

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
try:
    with VideoWriter(Path(sys.argv[1]), (256, 256), Fraction(25)) as writer:
        for index in range(int(sys.argv[3])):
            writer.write(np.roll(noise, index, 1))
except OutputError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file limits are a thing of Unix")
@pytest.mark.parametrize(("name", "limit", "frames"), [
    ("out.mp4", 100_000, 30), ("out.mp4", 20_000, 3), ("out.mp4", 0, 30), ("out.webm", 100_000, 60),
    ("out.gif", 100_000, 30), ("frames", 50_000, 3),
])  # fmt: skip
def test_full_disk_is_reported_and_leaves_nothing(tmp_path: Path, name: str, limit: int, frames: int) -> None:
    """A file size limit simulates the full disk: the same error in the same call."""
    command = [sys.executable, "-c", FULL, str(tmp_path / name), str(limit), str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "the disk is full" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_real_frames_survive(tmp_path: Path, media_dir: Path) -> None:
    frames = list(islice(read_clip(media_dir / "biden.mp4"), 30))
    with VideoWriter(tmp_path / "a.mp4", (432, 432), RATE) as writer:
        for frame in frames:
            writer.write(frame)
    errors = [np.square(a.astype(float) - b).mean() for a, b in zip(frames, read_clip(tmp_path / "a.mp4"), strict=True)]
    assert 10 * np.log10(255**2 / np.mean(errors)) > 38
