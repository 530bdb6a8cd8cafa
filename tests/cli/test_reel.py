"""The reel command: flags, messages, exit codes."""

from fractions import Fraction
from pathlib import Path

import pytest

from fantasyportrait.media.clips import native_rate, probe_clip
from tests.cli.conftest import Command
from tests.factories_media import ClipSpec, counting, make_clip


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    wide = make_clip(tmp_path / "wide.mp4", [counting(number) for number in range(20)])
    tall = make_clip(
        tmp_path / "tall.mp4", [counting(number)[:, :32] for number in range(12)], ClipSpec(rate=Fraction(15))
    )
    return [str(wide), str(tall)]


def test_reel_command_builds_reel_from_flags(command: Command, clips: list[str], tmp_path: Path) -> None:
    out = tmp_path / "reel.mp4"
    flags = ["--title", "Two", "--subtitle", "takes", "--caption", "one", "--caption", "", "--fade", "0.2"]
    done = command("reel", *clips, *flags, "--size", "128x96", "--fps", "30", "-o", str(out))
    assert done.code == 0, done.err
    assert done.out.strip() == f"reel: {out} (4.2 s)"
    info = probe_clip(out)
    assert (info.width, info.height) == (128, 96) and native_rate(out) == (Fraction(30), True)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--caption", "a", "--captions", "name"], "keep one of them"),
        (["--caption", "a"], "1 captions are given for 2 clips"),
        (["--size", "big"], "write width x height"),
        (["--fps", "fast"], "--fps is 'fast': give frames a second"),
        (["--music", "a.mp3#start=soon"], "give a number of seconds"),
        (["-o", "reel.avi"], "end it in .mp4, .webm or .gif"),
    ],
)
def test_reel_command_refuses_invalid_flag(
    command: Command, clips: list[str], tmp_path: Path, flags: list[str], words: str
) -> None:
    before = sorted(tmp_path.iterdir())
    done = command("reel", *clips, "-o", str(tmp_path / "reel.mp4"), *flags)
    assert done.code == 2 and words in done.err and "Traceback" not in done.err
    assert sorted(tmp_path.iterdir()) == before


def test_reel_command_names_unreadable_clip(command: Command, clips: list[str], tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    done = command("reel", clips[0], str(tmp_path / "text.mp4"), "-o", str(tmp_path / "reel.mp4"))
    assert done.code == 3 and "text.mp4" in done.err
