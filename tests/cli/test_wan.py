"""The diffusion engine from the command line, each command in a process of its own: tiny model, video, again,
Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fantasyportrait.images.images import load_photo
from fantasyportrait.media.clips import probe_clip
from tests.conftest import Inputs

PYTHON = (sys.executable, "-m", "fantasyportrait")
STEP = re.compile(r"sampling: step (\d+) of (\d+)(, \d+ s left)?")


def environment(**more: str) -> dict[str, str]:
    """This process's, with this source tree; small arrays are quicker on one thread.

    Without the mark of automatic tests, which libraries that report home keep still for.
    """
    given = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", **more}
    return {name: value for name, value in given.items() if name != "CI"}


def run(folder: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    """Run `fantasyportrait` with these arguments in this folder."""
    command = [*PYTHON, *map(str, words)]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Path, subprocess.CompletedProcess[str]]":
    """The folder of a tiny model made by the command, and the command's output."""
    folder = tmp_path_factory.mktemp("made")
    done = run(folder, "weights", "make-tiny", "tiny")
    assert done.returncode == 0, done.stderr
    return folder / "tiny", done


def frames_of(folder: Path) -> np.ndarray:
    """The PNG frames of a folder, uint8 (T, H, W, 3)."""
    return np.stack([load_photo(path).pixels for path in sorted(folder.iterdir())])


def test_make_tiny_prints_only_its_folder(made: "tuple[Path, subprocess.CompletedProcess[str]]") -> None:
    folder, done = made
    assert done.stdout == "tiny\n" and {path.name for path in folder.iterdir()} >= {"adapter", "base"}
    assert done.stderr == ""


@pytest.fixture(scope="module")
def first(
    made: "tuple[Path, subprocess.CompletedProcess[str]]", inputs: Inputs
) -> "tuple[Path, subprocess.CompletedProcess[str]]":
    """The folder of a first video, and the command's output."""
    folder = made[0].parent
    done = run(
        folder, "animate", inputs.pair,
        "--cast", f"1={inputs.talking}", "--cast", f"2={inputs.nodding_pair}#person=2", "--duration", "0.24",
        "--engine", "wan", "--model", "tiny/", "--device", "cpu", "--seed", "7", "--num-inference-steps", "2",
        "--max-side", "160",
        "-o", "first",
    )  # fmt: skip
    return folder, done


def test_wan_animate_writes_frames(first: "tuple[Path, subprocess.CompletedProcess[str]]") -> None:
    folder, done = first
    assert done.returncode == 0, done.stderr
    frames = frames_of(folder / "first")
    assert frames.shape == (6, 96, 160, 3) and frames.std() > 0
    side = probe_clip(folder / "first.side-by-side.mp4")
    assert side.has_sound and side.width > 160
    assert done.stdout.endswith("video: first\nside by side: first.side-by-side.mp4\nrequest: first.request.json\n")

    # The libraries below have much to say: none of it is for the user of a program.
    stages = ["photo", "driving clips", "loading model", "driving motion", "sampling", "rendering", "finishing"]
    lines = done.stderr.splitlines()
    (forecast,) = [line for line in lines if "profile resident: about" in line]
    assert lines.index(forecast) == 1 + lines.index("loading model ..."), "before anything is loaded"
    lines.remove(forecast)
    assert [line for line in lines if not STEP.fullmatch(line)] == [f"{stage} ..." for stage in stages]
    assert [found[1] for line in lines if (found := STEP.fullmatch(line))] == ["1", "2"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_wan_interrupted_while_sampling_leaves_no_output(
    made: "tuple[Path, subprocess.CompletedProcess[str]]", inputs: Inputs, tmp_path: Path
) -> None:
    model, _ = made
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    out.mkdir()
    temporary.mkdir()
    words = [
        "animate", str(inputs.photo), "--cast", "1=motion:laugh", "--engine", "wan", "--model", model.as_posix(),
        "--device", "cpu", "--num-inference-steps", "1000", "--max-side", "160", "--duration", "0.2", "-o", "o.mp4",
    ]  # fmt: skip
    given = environment(TMPDIR=str(temporary), TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "inductor"))
    with subprocess.Popen([*PYTHON, *words], cwd=out, env=given, stderr=subprocess.PIPE, text=True) as job:
        assert job.stderr is not None
        for line in job.stderr:
            if STEP.match(line):
                break
        job.send_signal(signal.SIGINT)
        rest = job.stderr.read().splitlines()
    assert job.returncode == 130, rest
    assert [line for line in rest if not STEP.fullmatch(line)] == ["error: stopped: nothing was written"]
    assert not list(out.iterdir())
    # Nor does a library: onnxruntime's telemetry, unless it is turned off, begins a session here.
    assert not list(temporary.iterdir())


@pytest.mark.torchrun
def test_wan_torchrun_reproduces_single_process_frames(
    first: "tuple[Path, subprocess.CompletedProcess[str]]",
) -> None:
    """Two processes run the saved request; the second sees neither photo nor output, and both exit by themselves."""
    folder, _ = first
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "fantasyportrait")
    words = ("animate", "--request", "first.request.json", "--no-side-by-side", "--device", "cpu", "-o", "shared")
    shared = subprocess.run(
        [*torchrun, *words, "--parallel", "auto"], cwd=folder, env=environment(), capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip
    assert shared.returncode == 0, shared.stderr
    assert shared.stdout.count("video: shared") == 1 and shared.stderr.count("finishing ...") == 1
    np.testing.assert_array_equal(frames_of(folder / "shared"), frames_of(folder / "first"))
