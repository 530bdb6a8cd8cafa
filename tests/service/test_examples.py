"""The example scripts run as their docstrings describe."""

import runpy
import sys
from pathlib import Path

import pytest

from fantasyportrait.images.images import load_photo
from fantasyportrait.media.clips import probe_clip
from tests.conftest import Inputs


def _run(
    repository: Path, name: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setattr(sys, "argv", [name, *words])
    runpy.run_path(str(repository / "examples" / name), run_name="__main__")
    return capsys.readouterr().out


def test_list_faces_example_runs(
    repository: Path,
    inputs: Inputs,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [str(inputs.pair), str(tmp_path / "boxes.png")]
    assert "face 2: x " in _run(repository, "list_faces.py", words, capsys, monkeypatch)
    assert load_photo(tmp_path / "boxes.png").pixels.any()


def test_animate_two_people_example_runs(
    repository: Path,
    inputs: Inputs,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = _run(repository, "animate_two_people.py", [str(inputs.talking)], capsys, monkeypatch)
    assert "video: two_people.mp4" in printed
    assert probe_clip(tmp_path / "two_people.mp4").duration_s == 2


def test_animate_with_wan_example_runs(
    repository: Path,
    tiny_model: Path,
    models_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = _run(repository, "animate_with_wan.py", [tiny_model.as_posix(), "1", "64"], capsys, monkeypatch)
    assert printed.split() == ["preview.mp4", "wan.mp4"]
    assert probe_clip(tmp_path / "wan.mp4").duration_s == probe_clip(tmp_path / "preview.mp4").duration_s == 2
