"""Imports between rooms: the contracts of pyproject.toml, and rules that these cannot express."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LINT_IMPORTS = str(Path(sys.executable).with_name("lint-imports"))
LARGEST_ROOM = 0.12  # of all lines
SERVICE_LINES = 1500


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the pyproject.toml in `folder` against the packages beside it."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    command = [LINT_IMPORTS, "--no-cache", "--no-logo"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def rooms(repository: Path) -> list[Path]:
    """The folder of every room."""
    folders = [repository / "ui", *sorted((repository / "fantasyportrait").iterdir())]
    return [folder for folder in folders if folder.is_dir() and any(folder.glob("*.py"))]


def imported_packages(path: Path) -> Iterator[str]:
    """The top-level name in every import statement of a file, nested ones too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def test_imports_keep_the_contracts(repository: Path) -> None:
    result = lint_imports(repository)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("core/bad", "from fantasyportrait.media.clips import probe_clip", "Imports go downward only"),
        ("service/bad", "from ui.layout import build", "The package does not know the app"),
        ("cli/bad", "def late():\n    from fantasyportrait.models import x", "through the service"),
        ("preview/bad", "import torch.nn", "without torch"),
        ("service/bad", "import gradio as gr", "Only ui imports gradio"),
        ("reel/bad", "import moviepy", "Optional packages"),
        ("new/__init__", '"""A room that no contract names."""', "Imports go downward only"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    repository: Path, tmp_path: Path, module: str, line: str, broken: str
) -> None:
    for package in ("fantasyportrait", "ui"):
        shutil.copytree(repository / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "pyproject.toml", tmp_path)
    path = tmp_path / "fantasyportrait" / f"{module}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(line, encoding="utf-8")
    result = lint_imports(tmp_path)
    assert result.returncode == 1
    assert any(broken in text and "BROKEN" in text for text in result.stdout.splitlines()), result.stdout


def test_core_imports_only_numpy_beside_the_standard_library(repository: Path) -> None:
    allowed = sys.stdlib_module_names | {"numpy", "fantasyportrait"}
    for path in (repository / "fantasyportrait" / "core").glob("*.py"):
        assert set(imported_packages(path)) <= allowed, path.name


def test_the_app_file_imports_only_the_package(repository: Path) -> None:
    assert set(imported_packages(repository / "app.py")) <= sys.stdlib_module_names | {"fantasyportrait"}


def test_every_room_has_a_docstring(repository: Path) -> None:
    for folder in rooms(repository):
        first = folder / "__init__.py"
        assert first.is_file() and ast.get_docstring(ast.parse(first.read_text(encoding="utf-8"))), folder.name


def test_no_room_is_too_large(repository: Path) -> None:
    lines = {
        folder.name: sum(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.rglob("*.py"))
        for folder in rooms(repository)
    }
    assert max(lines.values()) <= LARGEST_ROOM * sum(lines.values()), lines
    assert lines["service"] < SERVICE_LINES
