"""A missing case fails the tests that compare it; it never skips them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parity.cases import COMMITTED, FILES, Cases


def test_committed_cases_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARITY_DIR", raising=False)
    monkeypatch.delenv("PARITY_SALT", raising=False)
    assert Cases.from_environment() == Cases(COMMITTED, "a")


def test_environment_names_another_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FILES:
        (tmp_path / name).touch()
    monkeypatch.setenv("PARITY_DIR", str(tmp_path))
    monkeypatch.setenv("PARITY_SALT", "b")
    assert Cases.from_environment() == Cases(tmp_path, "b")
    (tmp_path / "smoothing.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"lack smoothing\.npz: restore them"):
        Cases.from_environment()


def test_empty_cases_folder_fails_and_does_not_skip(tmp_path: Path, repository: Path) -> None:
    """In a run of its own: the outcome that counts is the one that pytest reports."""
    files = ["tests/parity/test_smoothing.py", "tests/weights/test_key_mapping.py"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "smoothed or listed_keys", *files]
    environment = {**os.environ, "PARITY_DIR": str(tmp_path)}
    run = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    summary = run.stdout.splitlines()[-1]
    assert "3 failed" in summary and "1 error" in summary, summary
    assert "passed" not in summary and "skipped" not in summary, summary
