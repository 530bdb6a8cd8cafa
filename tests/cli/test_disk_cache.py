"""`motions list`, `weights`, and `app` without its package."""

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command


def test_motions_list(command: Command) -> None:
    lines = command("motions", "list").out.splitlines()
    assert len(lines) >= 12
    assert any(line.startswith("smile ") for line in lines)


def test_weights_list_shows_licence_and_path(command: Command, models_dir: Path) -> None:
    outcome = command("weights", "list")
    assert outcome.code == 0
    assert str(models_dir) in outcome.out
    small, _, large = outcome.out.partition("of the diffusion engine")
    assert small.count("Apache-2.0") == 5 and "MIT" in small
    assert large.count("Apache-2.0") == 13


def test_weights_verify(command: Command, models_dir: Path, tmp_path: Path) -> None:
    assert command("weights", "verify").code == 0
    (tmp_path / "centerface.onnx").write_bytes(b"wrong")
    outcome = command("weights", "verify", "--models-dir", tmp_path)
    assert outcome.code == 5
    assert "wrong" in outcome.out
    assert "centerface" in outcome.err


def test_weights_fetch(command: Command, models_dir: Path) -> None:
    outcome = command("weights", "fetch", "face_geometry")
    assert outcome.code == 0
    assert outcome.out.strip().endswith("geometry_pipeline_metadata_landmarks.binarypb")
    unknown = command("weights", "fetch", "face_geometri")
    assert unknown.code == 2 and "did you mean face_geometry?" in unknown.err


def test_app_command_names_missing_package(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    outcome = command("app")
    assert outcome.code == 6
    assert 'pip install "fantasyportrait[app]"' in outcome.err
