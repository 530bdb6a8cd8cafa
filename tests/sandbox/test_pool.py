"""A crash, a hang or a bomb in a child is one error; the pool recovers and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fantasyportrait.core.errors import FantasyPortraitError, MediaError
from fantasyportrait.core.limits import PUBLIC
from fantasyportrait.sandbox.decoder import SandboxDecoder
from fantasyportrait.sandbox.decoder_process import DecoderProcess
from fantasyportrait.sandbox.pool import RESERVED_FOR_PHOTOS, DecoderPool
from tests.factories_media import counting, make_clip, make_sound, quadrants, tone

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small photo."""
    Image.fromarray(quadrants()).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twenty frames."""
    return make_clip(tmp_path / "clip.mp4", [counting(i) for i in range(20)])


@pytest.fixture
def shared() -> Iterator[SandboxDecoder]:
    """A decoder with a pool of its own."""
    decoder = SandboxDecoder(PUBLIC, DecoderPool(PUBLIC))
    yield decoder
    decoder.close()


def children() -> set[int]:
    """Processes that this one started and has not waited for."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
    return {int(pid) for pid in listed.split() if Path(f"/proc/{pid}").exists()}


def busy_child(decoder: SandboxDecoder) -> DecoderProcess:
    """The child with a request under way; others may be starting."""

    def busy() -> set[DecoderProcess]:
        return decoder._pool._all.difference(decoder._pool._idle)

    assert wait_until(lambda: len(busy()) == 1)
    (child,) = busy()
    return child


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether the condition becomes true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize(("signal_", "words"), [(signal.SIGSEGV, "crashed"), (signal.SIGSTOP, "took more than 3 s")])
def test_dead_or_hanging_child_is_one_error(
    shared: SandboxDecoder, clip: Path, photo: Path, signal_: signal.Signals, words: str
) -> None:
    frames = shared.frames(clip)
    next(frames)
    busy = busy_child(shared)
    busy._wall_s = 3  # for this step alone: a busy machine may need longer for others
    os.kill(busy.pid, signal_)
    with pytest.raises(
        MediaError, match=rf"^\S*clip\.mp4 cannot be read safely: what decodes it {words}.*; convert it"
    ):
        list(frames)
    assert busy.pid not in children()
    assert shared.photo(photo).pixels.shape == (48, 64, 3)
    assert wait_until(lambda: len(shared._pool._idle) == 2)


def test_child_dying_idle_fails_only_its_next_file(shared: SandboxDecoder, photo: Path) -> None:
    assert wait_until(lambda: len(shared._pool._idle) == 2)
    for child in shared._pool._idle:
        os.kill(child.pid, signal.SIGKILL)
    read = 0
    for _ in range(4):
        try:
            read += shared.photo(photo).pixels.shape == (48, 64, 3)
        except MediaError as error:
            assert "crashed" in str(error)
    assert read >= 2


def test_dead_idle_child_is_replaced(shared: SandboxDecoder, photo: Path) -> None:
    assert wait_until(lambda: len(shared._pool._idle) == 2)
    for child in shared._pool._idle:
        os.kill(child.pid, signal.SIGKILL)
        assert wait_until(lambda child=child: not child.alive)  # type: ignore[misc]
    assert shared.photo(photo).pixels.shape == (48, 64, 3)
    assert shared._pool._slots == len(shared._pool._all) == 1


def test_endless_work_is_stopped_by_cpu_limit(tmp_path: Path) -> None:
    Image.new("RGBA", (6300, 6300), (1, 2, 3, 4)).save(tmp_path / "large.png", compress_level=1)
    decoder = SandboxDecoder(PUBLIC, DecoderPool(PUBLIC, warm=1, cpu_s=0))
    try:
        if sys.platform == "linux":
            with pytest.raises(MediaError, match="of computing for one step"):
                for _ in range(9):
                    decoder.photo(tmp_path / "large.png")
    finally:
        decoder.close()


@LINUX
def test_decompression_bomb_hits_memory_limit(tmp_path: Path) -> None:
    Image.new("L", (20_000, 20_000)).save(tmp_path / "bomb.png", compress_level=1)
    limits = replace(PUBLIC, pixels=10**9, longest_side=10**5, decoded_bytes=1 << 40)
    decoder = SandboxDecoder(limits, DecoderPool(limits, warm=1))
    try:
        with pytest.raises(MediaError, match="more memory"):
            decoder.photo(tmp_path / "bomb.png")
    finally:
        decoder.close()


@LINUX
def test_a_child_has_no_environment_and_few_rights(shared: SandboxDecoder, clip: Path) -> None:
    frames = shared.frames(clip)
    next(frames)
    busy = busy_child(shared)
    process = Path(f"/proc/{busy.pid}")
    names = {entry.partition(b"=")[0] for entry in (process / "environ").read_bytes().split(b"\0") if entry}
    assert names <= {b"MALLOC_ARENA_MAX", b"OPENBLAS_NUM_THREADS"}
    bounds = {line[:26].strip(): line[26:].split()[0] for line in (process / "limits").read_text().splitlines()[1:]}
    assert bounds["Max address space"] == str(1536 << 20) and bounds["Max file size"] == "0"
    assert bounds["Max core file size"] == "0" and int(bounds["Max open files"]) <= 32
    assert 20 <= int(bounds["Max cpu time"]) <= 40
    opened = [os.readlink(link) for link in (process / "fd").iterdir()]
    assert sum(path.startswith("/") and path != "/dev/null" and "memfd" not in path for path in opened) == 1
    frames.close()
    opened = [os.readlink(link) for link in (process / "fd").iterdir()]
    assert str(clip) not in opened


@LINUX
def test_close_leaves_no_process_or_file(photo: Path, clip: Path) -> None:
    before = set(os.listdir("/proc/self/fd")), children(), set(os.listdir("/dev/shm"))
    decoder = SandboxDecoder(PUBLIC)
    decoder.photo(photo)
    frames = decoder.frames(clip)
    next(frames)
    decoder.close()
    with pytest.raises(FantasyPortraitError):
        list(frames)
    with pytest.raises(MediaError, match="ending"):
        decoder.photo(photo)
    assert wait_until(lambda: children() <= before[1])
    assert wait_until(lambda: len(os.listdir("/proc/self/fd")) <= len(before[0]))
    assert set(os.listdir("/dev/shm")) <= before[2]


@LINUX
def test_children_end_with_a_program_that_is_killed(clip: Path) -> None:
    code = (
        "import sys, pathlib, time; from fantasyportrait.sandbox.decoder import SandboxDecoder\n"
        f"d = SandboxDecoder(); f = d.frames(pathlib.Path({str(clip)!r})); next(f)\n"
        "while len(d._pool._all) < 2: time.sleep(0.05)\n"
        "print(*[c.pid for c in d._pool._all], flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        pids = program.stdout.readline().split()
        program.kill()
    assert len(pids) >= 2
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_a_photo_does_not_wait_for_clips(shared: SandboxDecoder, clip: Path, photo: Path) -> None:
    clips = [shared.frames(clip) for _ in range(4)]
    for frames in clips:
        next(frames)
    assert shared.photo(photo).pixels.shape == (48, 64, 3)
    assert all(len(list(frames)) == 19 for frames in clips)
    assert wait_until(lambda: len(shared._pool._all) <= 3)


def test_excess_clips_are_refused_but_not_photos(clip: Path, photo: Path) -> None:
    decoder = SandboxDecoder(PUBLIC, DecoderPool(PUBLIC, max_processes=RESERVED_FOR_PHOTOS + 1))
    try:
        frames = decoder.frames(clip)
        next(frames)
        with pytest.raises(MediaError, match="too many clips"):
            next(decoder.frames(clip))
        assert decoder.photo(photo).pixels.any()
        assert len(list(frames)) == 19
        assert len(list(decoder.frames(clip))) == 20
    finally:
        decoder.close()


def test_idle_children_are_at_most_warm(clip: Path) -> None:
    decoder = SandboxDecoder(PUBLIC, DecoderPool(PUBLIC, warm=1))
    try:
        threads = [threading.Thread(target=lambda: next(decoder.frames(clip))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wait_until(lambda: not decoder._pool._filling and not decoder._pool._streams)
        assert len(decoder._pool._idle) == 1 and wait_until(lambda: len(decoder._pool._all) == 1)
    finally:
        decoder.close()


def test_threads_share_it(clip: Path, photo: Path) -> None:
    decoder = SandboxDecoder(PUBLIC)
    read: list[Any] = []

    def work() -> None:
        for _ in range(5):
            read.append((len(list(decoder.frames(clip))), decoder.photo(photo).pixels.sum()))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decoder.close()
    assert len(read) == 30 and len(set(read)) == 1 and read[0][0] == 20


@pytest.mark.parametrize(
    "answer",
    [
        {"shape": [10**6, 10**6, 3], "messages": []},
        {"shape": [-4, -4, 3], "messages": []},
        {"shape": [4, 4, 5], "messages": []},
        {"shape": [4.5, 4, 3], "messages": []},
        {"shape": "none", "messages": []},
        {"shape": [4, 4, 3], "messages": [7]},
        {"error": ["SystemExit", "x"]},
        {"error": "x"},
        {},
    ],
)
def test_invalid_photo_answer_ends_the_child(
    shared: SandboxDecoder, photo: Path, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DecoderProcess, "call", lambda *_: answer)
    with pytest.raises(MediaError, match="gave an answer that cannot be right"):
        shared.photo(photo)


INFO = {
    "path": "a", "width": 4, "height": 4, "rate": "25", "duration_s": 1.0, "has_sound": False, "messages": [],
    "still": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("act", "answer"),
    [
        ("probe", {**INFO, "width": 0}),
        ("probe", {**INFO, "rate": "0"}),
        ("probe", {**INFO, "width": 10**400}),
        ("probe", {**INFO, "duration_s": 10**400}),
        ("probe", {**INFO, "duration_s": float("inf")}),
        ("probe", {**INFO, "still": 1}),
        ("probe", {**INFO, "still": True}),
        ("probe", {**INFO, "more": 1}),
        ("native_rate", {}),
        ("native_rate", {"rate": "25"}),
        ("native_rate", {"rate": "25", "steady": 1}),
        ("native_rate", {"rate": "-25", "steady": True}),
        ("native_rate", {"rate": "1/0", "steady": True}),
        ("native_rate", {"rate": "25/1000000007", "steady": True}),
        ("native_rate", {"rate": 25.0, "steady": True}),
        ("sound_length_s", {}),
        ("sound_length_s", {"length_s": "-1"}),
        ("sound_length_s", {"length_s": "1e9"}),
        ("sound_length_s", {"length_s": None}),
    ],
)
def test_invalid_clip_answer_ends_the_child(
    shared: SandboxDecoder, clip: Path, act: str, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DecoderProcess, "call", lambda *_: answer)
    with pytest.raises(MediaError, match="gave an answer that cannot be right"):
        getattr(shared, act)(clip)


@pytest.mark.parametrize("wrong", [{"bytes": -1}, {"bytes": 0}, {"bytes": 2**40}, {"bytes": "9"}, {"kind": "exe"}])
def test_invalid_piece_of_a_recording_ends_the_child(
    shared: SandboxDecoder, clip: Path, wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = DecoderProcess.call

    def lie(child: DecoderProcess, request: dict[str, Any], descriptor: int | None = None) -> dict[str, Any]:
        answer = ask(child, request, descriptor)
        return {**answer, **wrong} if "bytes" in answer else answer

    monkeypatch.setattr(DecoderProcess, "call", lie)
    with pytest.raises(MediaError, match="gave an answer that cannot be right"):
        list(shared.remux(clip))


@pytest.mark.parametrize(
    ("act", "wrong"),
    [
        ("frames", {"time": "x"}),
        ("frames", {"time": 10**400}),
        ("frames", {"time": float("nan")}),
        ("native_frames", {"begin": "1e9"}),
        ("native_frames", {"end_s": None}),
        ("native_frames", {"begin": "100000"}),
        ("native_frames", {"begin": "0"}),
    ],
)
def test_invalid_frame_time_ends_child_and_frees_slot(
    shared: SandboxDecoder, clip: Path, act: str, wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = DecoderProcess.call

    def lie(child: DecoderProcess, request: dict[str, Any], descriptor: int | None = None) -> dict[str, Any]:
        answer = ask(child, request, descriptor)
        return {**answer, **wrong} if answer.keys() & wrong.keys() else answer

    monkeypatch.setattr(DecoderProcess, "call", lie)
    for _ in range(2):
        with pytest.raises(MediaError, match="gave an answer that cannot be right"):
            list(shared.frames(clip) if act == "frames" else shared.native_frames(clip, max_rate=Fraction(32)))
    assert shared._pool._streams == 0
    assert wait_until(lambda: shared._pool._slots == len(shared._pool._idle) == 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_invalid_sound_answer_ends_the_child(
    shared: SandboxDecoder, tmp_path: Path, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = make_sound(tmp_path / "a.wav", tone(0.5))
    monkeypatch.setattr(DecoderProcess, "samples", lambda *_: np.full((10, 2), value, np.float32))
    with pytest.raises(MediaError, match="gave an answer that cannot be right"):
        list(shared.sound(sound))
    assert shared._pool._streams == 0


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memory files")
def test_descriptor_with_invalid_message_is_closed() -> None:
    import socket

    from fantasyportrait.sandbox.channel import ChannelClosed, SocketChannel

    ours, theirs = socket.socketpair()
    with ours, theirs, open(os.devnull) as file:
        before = len(os.listdir("/proc/self/fd"))
        socket.send_fds(theirs, [b"\xff\xff\xff\xff"], [file.fileno()])
        with pytest.raises(ChannelClosed):
            SocketChannel(ours).receive()
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\1{", b"\0\0\0\4null"])
def test_invalid_message_bytes_end_the_child(data: bytes) -> None:
    import socket

    from fantasyportrait.sandbox.channel import ChannelClosed, SocketChannel

    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ChannelClosed):
            SocketChannel(ours).receive()
    ours.close()


def test_exit_with_open_clips(clip: Path) -> None:
    """Also while children are being started."""
    code = (
        "import pathlib; from fantasyportrait.sandbox.decoder import SandboxDecoder\n"
        f"d = SandboxDecoder(); clips = [d.frames(pathlib.Path({str(clip)!r})) for _ in range(4)]\n"
        "for clip in clips: next(clip)\n"
    )
    for end in ("", "raise SystemExit(0)", "d.close()"):
        done = subprocess.run([sys.executable, "-c", code + end], capture_output=True, text=True, timeout=180)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
