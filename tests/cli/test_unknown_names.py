"""An unknown name is a wrong request: exit code 2, and the closest known name is suggested."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.conftest import Inputs

MOVED = ("--cast", "1=motion:nod")
ANIMATE = {
    "motion": (("--cast", "1=motion:smle"), "smile"),
    "engine": ((*MOVED, "--engine", "preveiw"), "preview"),
    "fill": ((*MOVED, "--fill", "lop"), "loop"),
    "duration": ((*MOVED, "--duration", "shortst"), "shortest"),
    "detector": ((*MOVED, "--detector", "centreface"), "centerface"),
    "preset": ((*MOVED, "--preset", "drft"), "draft"),
    "face_mask": ((*MOVED, "--face-mask", "haed"), "head"),
    "alignment": ((*MOVED, "--alignment", "mehs"), "mesh"),
    "lora": ((*MOVED, "--lora", "lightx2"), "lightx2v"),
    "step cache": ((*MOVED, "--step-cache", "first-blok"), "first-block"),
    "model": ((*MOVED, "--engine", "wan", "--model", "wan-720"), "wan-720p"),
    "profile": ((*MOVED, "--profile", "strem"), "stream"),
    "precision": ((*MOVED, "--precision", "bfloat61"), "bfloat16"),
    "attention": ((*MOVED, "--attention", "flsh"), "flash"),
    "parallel": ((*MOVED, "--parallel", "contex"), "context"),
}
OTHERS = {
    "motions render": (("motions", "render", "smle", "-o", "o.mp4"), "smile"),
    "weights fetch": (("weights", "fetch", "wan-720"), "wan-720p"),
    "weights fetch, small": (("weights", "fetch", "centreface"), "centerface"),
    "machine --model": (("machine", "--model", "wan-720"), "wan-720p"),
    "machine --preset": (("machine", "--preset", "drft"), "draft"),
    "machine --profile": (("machine", "--profile", "residnt"), "resident"),
    "command": (("animat",), "animate"),
}


@pytest.mark.parametrize("name", ANIMATE)
def test_animate_suggests_name_for_unknown_one(command: Command, inputs: Inputs, tmp_path: Path, name: str) -> None:
    flags, meant = ANIMATE[name]
    outcome = command("animate", inputs.photo, *flags, "-o", tmp_path / "o.mp4")
    _is_refused(outcome.code, outcome.err, meant)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", OTHERS)
def test_other_commands_suggest_name_for_unknown_one(command: Command, name: str) -> None:
    words, meant = OTHERS[name]
    outcome = command(*words)
    _is_refused(outcome.code, outcome.err, meant)


def _is_refused(code: int, said: str, meant: str) -> None:
    text = " ".join(said.split())
    assert code == 2, text
    assert "did you mean" in text.lower() and meant in text, text
    assert "Traceback" not in text
