"""Help texts, and that printing them imports no heavy package."""

import subprocess
import sys

import pytest

from tests.cli.conftest import Command


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--help"], "130  stopped by Ctrl-C"),
        (["animate", "--help"], "--cast 3=motion:smile --cast 4=still --duration 8 -o out.mp4"),
        (["animate", "--help"], "strength      0 to 2"),
        (["faces", "--help"], "--json"),
        (["motions", "--help"], "render"),
        (["motions", "render", "--help"], "--photo"),
        (["weights", "--help"], "verify"),
        (["app", "--help"], "7860"),
        (["app", "--help"], "--ray"),
    ],
)
def test_help(command: Command, words: list[str], expected: str) -> None:
    outcome = command(*words)
    assert outcome.code == 0
    assert expected in outcome.out


def test_module_help_imports_no_heavy_package() -> None:
    code = (
        "import sys; from fantasyportrait.cli.main import main; main(['--help']); "
        "print([name for name in ('torch', 'gradio', 'cv2', 'av', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")


def test_command_help_imports_no_engine_or_app() -> None:
    """Their flags come from dataclasses, which import neither torch nor gradio."""
    code = (
        "import sys; from fantasyportrait.cli.main import main; "
        "codes = [main([name, '--help']) for name in ('animate', 'app', 'machine', 'workers')]; "
        "print(codes, [name for name in ('torch', 'diffusers', 'gradio', 'cv2', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[0, 0, 0, 0] []")


@pytest.mark.parametrize("words", [["animate", "--cats", "1=a"], ["dance"], ["app", "--port", "0"]])
def test_invalid_usage_exits_with_2(command: Command, words: list[str]) -> None:
    outcome = command(*words)
    assert outcome.code == 2
    assert outcome.err


@pytest.mark.parametrize(
    ("words", "which"),
    [
        (["animate", "", "--cast", "1=motion:nod"], "an argument"),
        (["animate", "p.png", "--cast", "1=motion:nod", "--models-dir", ""], "--models-dir"),
        (["animate", "p.png", "--cast", "1=motion:nod", "--output="], "--output"),
        (["weights", "verify", "--models-dir", ""], "--models-dir"),
        (["faces", ""], "an argument"),
    ],
)
def test_empty_path_is_refused(command: Command, words: list[str], which: str) -> None:
    """An empty text as a path would be the current folder."""
    outcome = command(*words)
    assert (outcome.code, outcome.err) == (2, f"error: {which} is an empty text: give a value, or leave it out\n")


def test_value_ending_in_equals_sign_is_accepted(command: Command) -> None:
    outcome = command("reel", "nothing.mp4", "--title=E=")
    assert "--title=E is an empty text" not in outcome.err and "nothing.mp4" in outcome.err


def test_version(command: Command) -> None:
    assert command("--version").out.strip()


def test_unexpected_error_is_one_sentence(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug() -> None:
        raise ZeroDivisionError("the bug")

    monkeypatch.setattr("fantasyportrait.cli.main.app", lambda *args, **kwargs: bug())
    plain = command("motions", "list")
    assert plain.code == 1
    assert plain.err.startswith("error: unexpected error: ZeroDivisionError: the bug")
    assert "Traceback" not in plain.err
    assert "Traceback" in command("--debug", "motions", "list").err
