"""The code of docs/python.md, of the README's section and of the notebook runs unchanged."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.media.clips import probe_clip
from fantasyportrait.media.request_files import load_request

CELL_FIELDS = {
    "markdown": {"cell_type", "id", "metadata", "source"},
    "code": {"cell_type", "id", "metadata", "source", "execution_count", "outputs"},
}


def python_blocks(page: Path) -> list[str]:
    """The fenced python blocks of a page, each on its own lines, so that an error names the page's line."""
    text = page.read_text(encoding="utf-8")
    blocks = re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S)
    return ["\n" * text.count("\n", 0, block.start(1)) + block[1] for block in blocks]


def run(blocks: list[str], name: str) -> dict[str, Any]:
    """Execute the blocks one after another and return their names."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, name, "exec"), names)
    return names


def test_python_page_code_runs(
    repository: Path,
    models_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(repository / "docs" / "python.md")
    assert len(blocks) >= 10
    run(blocks, "python.md")
    printed = capsys.readouterr().out
    for words in (
        "face 2: x ",
        "30000/1001",
        "left.mp4.portrait.png",
        "render: 10 of 10",
        "Cancelled",
        "cast[1]: ",
        "portrait is a",
    ):
        assert words in printed
    assert "failed" not in printed and not list(tmp_path.glob("never*"))
    assert load_request(tmp_path / "left.mp4.request.json").portrait == tmp_path / "left.mp4.portrait.png"
    assert probe_clip(tmp_path / "slow.webm").duration_s == pytest.approx(0.4)


def test_readme_code_runs(repository: Path, models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "assets").mkdir()
    shutil.copy(repository / "assets" / "two_people.png", tmp_path / "assets")
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(repository / "README.md")
    assert blocks
    run(blocks, "README.md")
    assert (tmp_path / "out.mp4").stat().st_size > 0


def test_notebook_runs_and_has_no_outputs(
    repository: Path, models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((repository / "examples" / "animate.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = notebook["cells"]
    for cell in cells:
        assert set(cell) == CELL_FIELDS[cell["cell_type"]] and re.fullmatch("[a-zA-Z0-9-_]{1,64}", cell["id"])
    assert len({cell["id"] for cell in cells}) == len(cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] is not None for cell in code)
    names = run(["".join(cell["source"]) for cell in code], "animate.ipynb")
    assert names["result"].frames == 50 and (tmp_path / "again.mp4").is_file()
