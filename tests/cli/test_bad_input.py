"""Every bad input gives a clear error, its exit code and no partial output."""

import os
import signal
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.images.images import load_photo, resize, save_image
from fantasyportrait.media.clips import read_clip
from fantasyportrait.media.writer import VideoWriter
from tests.cli.conftest import Command
from tests.conftest import Inputs

CLIP = Path("clip.mp4")
PYTHON = (sys.executable, "-m", "fantasyportrait")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _noise_video(path: Path, frames: int = 5) -> None:
    with VideoWriter(path, (64, 64), Fraction(25)) as writer:
        for _ in range(frames):
            writer.write(np.full((64, 64, 3), 90, np.uint8))


def _no_face(inputs: Inputs, folder: Path) -> list[str]:
    save_image(folder / "wall.png", np.full((200, 200, 3), 90, np.uint8))
    return [str(folder / "wall.png"), "--cast", "1=motion:nod"]


def _small_face(inputs: Inputs, folder: Path) -> list[str]:
    save_image(folder / "small.png", resize(load_photo(inputs.photo).pixels, (80, 90)))
    return [str(folder / "small.png"), "--cast", "1=motion:nod"]


def _pipe(folder: Path) -> Path:
    path = folder / "pipe"
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes")
    os.mkfifo(path)
    return path


def _too_many(inputs: Inputs, folder: Path) -> list[str]:
    return [str(inputs.photo), "--cast", "1=motion:nod", "--cast", "3=motion:nod"]


def _huge_png(inputs: Inputs, folder: Path) -> list[str]:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b"")
    (folder / "huge.png").write_bytes(data)
    return [str(folder / "huge.png"), "--cast", "1=motion:nod"]


def _clip(inputs: Inputs, folder: Path, data: bytes | None, tail: str = "") -> list[str]:
    if data is not None:
        (folder / CLIP).write_bytes(data)
    return [str(inputs.photo), "--cast", f"1={folder / CLIP}{tail}"]


def _sound_only(inputs: Inputs, folder: Path) -> list[str]:
    import av

    with av.open(str(folder / CLIP), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return _clip(inputs, folder, None)


def _no_face_clip(inputs: Inputs, folder: Path) -> list[str]:
    _noise_video(folder / CLIP)
    return _clip(inputs, folder, None)


def _wrong_model(inputs: Inputs, folder: Path) -> list[str]:
    """A models folder with a wrong file, on a machine without network."""
    (folder / "models").mkdir()
    for path in _models():
        data = path.read_bytes()
        (folder / "models" / path.name).write_bytes(data[::-1] if path.name == "centerface.onnx" else data)
    return [str(inputs.photo), "--cast", "1=motion:nod", "--models-dir", str(folder / "models")]


def _models() -> list[Path]:
    from fantasyportrait.weights.store import models_dir

    return [path for path in models_dir().iterdir() if path.is_file()]


def _photo(*more: str) -> "object":
    return lambda inputs, folder: [str(inputs.photo), *more]


CASES = {
    "no face": (_no_face, 4, "no face was found"),
    "face under 50 px": (_small_face, 4, "at least 50 px"),
    "more faces in the cast": (_too_many, 2, "the photo shows 1 face but the cast names face 3"),
    "unknown motion": (_photo("--cast", "1=motion:smle"), 2, "did you mean smile"),
    "unknown person": (lambda i, f: _clip(i, f, i.talking.read_bytes(), "#person=4"), 4, "shows person 1"),
    "unknown photo": (lambda i, f: [str(f / "none.png"), "--cast", "1=motion:nod"], 3, "there is no file"),
    "unknown clip": (lambda i, f: _clip(i, f, None), 3, "there is no file"),
    "unknown sound": (_photo("--cast", "1=motion:nod", "--sound", "file:none.wav"), 3, "there is no file"),
    "misspelt option": (lambda i, f: _clip(i, f, None, "#persn=2"), 3, "if options follow the #"),
    "unknown engine": (_photo("--cast", "1=motion:nod", "--engine", "magic"), 2, "no engine 'magic'"),
    "no cast": (_photo(), 2, "--cast 1=clip.mp4"),
    "no photo": (lambda i, f: [], 2, "no photo is given"),
    "no duration": (_photo("--cast", "1=motion:nod", "--duration", "0"), 2, "duration is 0"),
    "text as a clip": (lambda i, f: _clip(i, f, b"hello, I am a film\n" * 99), 3, "not a video"),
    "text as a photo": (lambda i, f: [str(Path(__file__)), "--cast", "1=motion:nod"], 3, "not a picture"),
    "sound-only clip": (_sound_only, 3, "clip.mp4"),
    "empty clip": (lambda i, f: _clip(i, f, b""), 3, "is empty"),
    "clip cut in its header": (lambda i, f: _clip(i, f, i.talking.read_bytes()[:300]), 3, "clip.mp4"),
    "start after the end": (lambda i, f: _clip(i, f, i.talking.read_bytes(), "#start=50"), 3, "beyond its end"),
    "clip without a face": (_no_face_clip, 4, "clip.mp4"),
    "a pipe as a photo": (lambda i, f: [str(_pipe(f)), "--cast", "1=motion:nod"], 3, "it is a named pipe"),
    "a pipe as a clip": (lambda i, f: [str(i.photo), "--cast", f"1={_pipe(f)}"], 3, "it is a named pipe"),
    "a pipe as sound": (lambda i, f: _photo("--cast", "1=motion:nod", "--sound", f"file:{_pipe(f)}")(i, f), 3, "it is"),
    "a pipe as a request": (lambda i, f: ["--request", str(_pipe(f))], 2, "it is a named pipe"),
    "a device as a photo": (lambda i, f: ["/dev/zero", "--cast", "1=motion:nod"], 3, "/dev/zero"),
    "a folder as a photo": (
        lambda i, f: [str(f), "--cast", "1=motion:nod"],
        3,
        "is a folder: give the path of one file as the photo",
    ),
    "huge photo": (_huge_png, 3, "too large to be read safely"),
    "wrong model": (_wrong_model, 5, "centerface"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gives_error_code_and_no_output(
    command: Command, inputs: Inputs, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, code, words = CASES[case]
    given, out = tmp_path / "in", tmp_path / "out"
    given.mkdir()
    out.mkdir()
    arguments = make(inputs, given)  # type: ignore[operator]
    if case == "wrong model":
        monkeypatch.setattr("fantasyportrait.weights.fetch.Downloads.read", _offline)
    outcome = command("animate", *arguments, "-o", out / "out.mp4")
    assert outcome.code == code, outcome.err
    assert words in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err
    assert list(out.iterdir()) == []


def _offline(*_: object) -> bytes:
    from fantasyportrait.core.errors import WeightsError

    raise WeightsError("no network")


@pytest.mark.parametrize("frames", [1, 3])
def test_animate_warns_of_very_short_clip(command: Command, inputs: Inputs, tmp_path: Path, frames: int) -> None:
    cast = f"1={inputs.talking}#end={frames / 25}"
    outcome = command("animate", inputs.photo, "--cast", cast, "-o", tmp_path / "out.mp4")
    assert outcome.code == 0, outcome.err
    assert "note: talking.mp4, person 1: " in outcome.out
    assert (tmp_path / "out.mp4").stat().st_size > 0


def test_animate_uses_readable_part_of_truncated_clip(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    data = inputs.talking.read_bytes()
    (tmp_path / CLIP).write_bytes(data[: len(data) * 7 // 10])
    outcome = command("animate", inputs.photo, "--cast", f"1={tmp_path / CLIP}", "-o", tmp_path / "out.mp4")
    assert outcome.code == 0, outcome.err
    assert 1 <= len(list(read_clip(tmp_path / "out.mp4"))) <= 25


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_animate_full_disk_leaves_no_output(inputs: Inputs, tmp_path: Path) -> None:
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    words = ["animate", str(inputs.photo), "--cast", "1=motion:laugh", "--duration", "1", "-o", str(tmp_path / "o.mp4")]
    done = subprocess.run([*PYTHON, *words], capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 7, done.stderr
    assert "cannot" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize(("moment", "number"), [("rendering", signal.SIGTERM), ("finishing", signal.SIGINT)])
def test_animate_interrupted_leaves_no_output(
    inputs: Inputs, tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    """Interrupted by Ctrl-C or by SIGTERM, as torchrun sends it."""
    seconds = "60" if moment == "rendering" else "3"
    words = ["animate", str(inputs.photo), "--cast", "1=motion:laugh", "--duration", seconds, "-o", "o.mp4"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([*PYTHON, *words], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as job:
        assert job.stderr is not None
        for line in job.stderr:
            if line.startswith(moment):
                break
        job.send_signal(number)
        rest = job.stderr.read()
    assert job.returncode == 128 + number, rest
    assert rest.strip() == "error: stopped: nothing was written"
    assert list(tmp_path.iterdir()) == []
