"""Where the app runs, from its environment."""

from pathlib import Path

import pytest

from fantasyportrait.core import hosting
from fantasyportrait.core.hosting import on_space, on_zero_gpu, space_defaults

SPACE = {"SPACE_ID": "somebody/portraits"}
FOLDERS = ("FANTASYPORTRAIT_MODELS_DIR", "FANTASYPORTRAIT_CACHE_DIR", "FANTASYPORTRAIT_RESULTS")


def test_space_is_known_by_its_id() -> None:
    assert on_space(SPACE) and not on_space({}) and not on_space({"SPACE_ID": ""})


@pytest.mark.parametrize(
    ("value", "expected"), [("1", True), ("true", True), ("True", True), ("0", False), ("", False)]
)
def test_zero_gpu_is_known_by_its_variable(value: str, expected: bool) -> None:
    assert on_zero_gpu({"SPACES_ZERO_GPU": value}) is expected and not on_zero_gpu({})


def test_space_defaults_of_another_machine_are_empty(tmp_path: Path) -> None:
    assert space_defaults({"HOME": str(tmp_path)}, tmp_path, tmp_path) == {}


def test_space_defaults_use_the_persistent_storage(tmp_path: Path) -> None:
    found = space_defaults(SPACE, tmp_path, tmp_path / "home")
    assert found["GRADIO_SERVER_NAME"] == "0.0.0.0"
    assert [found[name] for name in FOLDERS] == [
        str(tmp_path / "fantasyportrait" / name) for name in ("models", "cache", "results")
    ]


def test_space_defaults_without_storage_use_the_home_folder(tmp_path: Path) -> None:
    found = space_defaults(SPACE, tmp_path / "missing", tmp_path)
    assert all(Path(found[name]).is_relative_to(tmp_path / "fantasyportrait") for name in FOLDERS)


def test_space_defaults_with_read_only_folders_use_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(hosting.tempfile, "gettempdir", lambda: str(scratch))
    # Not by chmod: root may write everywhere.
    monkeypatch.setattr(hosting.os, "access", lambda folder, mode: folder == scratch)
    found = space_defaults(SPACE, tmp_path, tmp_path)
    assert all(Path(found[name]).is_relative_to(scratch) for name in FOLDERS)


def test_space_defaults_keep_what_the_owner_has_set(tmp_path: Path) -> None:
    own = {**SPACE, "FANTASYPORTRAIT_RESULTS": "/elsewhere", "GRADIO_SERVER_NAME": ""}
    found = space_defaults(own, tmp_path)
    assert "FANTASYPORTRAIT_RESULTS" not in found and found["GRADIO_SERVER_NAME"] == "0.0.0.0"
