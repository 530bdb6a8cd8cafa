"""The files and the start of a Hugging Face Space."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fantasyportrait.weights.hub_catalog import HUB_MODELS
from tests.ui.serving import free_port, wait_for

COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
HARDWARE = {"cpu-basic", "cpu-upgrade", "t4-small", "t4-medium", "l4x1", "l4x4", "a10g-small", "a10g-large"}
KEYS = {
    *(
        "title",
        "emoji",
        "colorFrom",
        "colorTo",
        "sdk",
        "sdk_version",
        "python_version",
        "app_file",
        "pinned",
        "license",
    ),
    *("short_description", "models", "tags", "suggested_hardware", "startup_duration_timeout"),
}


@pytest.fixture
def front_matter(repository: Path) -> dict[str, Any]:
    text = (repository / "README.md").read_text(encoding="utf-8")
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.S).group(1))  # type: ignore[union-attr]


def test_front_matter_is_what_spaces_takes(front_matter: dict[str, Any], repository: Path) -> None:
    assert front_matter.keys() == KEYS
    assert {front_matter["colorFrom"], front_matter["colorTo"]} <= COLOURS and front_matter["sdk"] == "gradio"
    assert (repository / front_matter["app_file"]).is_file()
    assert front_matter["suggested_hardware"] in HARDWARE
    # Spaces cuts a longer one off.
    assert len(front_matter["short_description"]) <= 60
    assert set(front_matter["models"]) <= {row.repo for row in HUB_MODELS}


def test_front_matter_names_the_locked_gradio_and_a_supported_python(
    front_matter: dict[str, Any], repository: Path
) -> None:
    lock = (repository / "requirements.lock").read_text(encoding="utf-8")
    assert f"\ngradio=={front_matter['sdk_version']} " in lock
    assert f'"Programming Language :: Python :: {front_matter["python_version"]}"' in (
        repository / "pyproject.toml"
    ).read_text(encoding="utf-8")


@pytest.mark.long
def test_app_starts_with_the_environment_of_a_space(repository: Path, models_dir: Path, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "home").mkdir()
    space = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "SYSTEM": "spaces",
        "SPACE_ID": "somebody/portraits",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "FANTASYPORTRAIT_MODELS_DIR": str(models_dir),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    log = tmp_path / "log.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=repository, env=space, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        wait_for(f"http://127.0.0.1:{port}", process, log)
    finally:
        process.terminate()
        process.wait(timeout=60)
    text = log.read_text(encoding="utf-8")
    assert "engines: preview on the CPU; wan is off" in text and "FANTASYPORTRAIT_MODEL" in text
    assert f"0.0.0.0:{port}" in text
