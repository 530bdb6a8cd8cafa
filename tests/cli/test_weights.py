"""`weights` and the diffusion engine's models."""

import hashlib
import json
import shlex
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fantasyportrait.cli.weights import make_tiny
from tests.cli.conftest import Command

LORA = "loras/Wan21_I2V_14B_lightx2v_cfg_step_distill_lora_rank64.safetensors"
REPO = "lightx2v/Wan2.1-I2V-14B-480P-StepDistill-CfgDistill-Lightx2v"


@pytest.fixture
def fetched(tmp_path: Path, models_dir: Path) -> Path:
    """A models folder with the small models and a LoRA of four bytes that was fetched."""
    folder = tmp_path / "models"
    shutil.copytree(models_dir, folder, ignore=shutil.ignore_patterns("wan"))
    path = folder / "wan/lora" / LORA
    path.parent.mkdir(parents=True)
    path.write_bytes(b"lora")
    files = {LORA: {"size": 4, "sha256": hashlib.sha256(b"lora").hexdigest()}}
    record = {"lightx2v": {"repo": REPO, "commit": "f" * 40, "files": files}}
    (folder / "wan/lora/.fetched.json").write_text(json.dumps(record))
    return folder


def row(out: str, name: str) -> list[str]:
    """The columns of the line that begins with `name`."""
    (line,) = (line for line in out.splitlines() if line.startswith(f"{name} "))
    return line.split()


def test_weights_list_shows_size_state_licence_path(command: Command, fetched: Path) -> None:
    out = command("weights", "list", "--models-dir", fetched).out
    assert row(out, "wan-720p") == [
        *("wan-720p", "90.10", "GB", "missing", "Apache-2.0", "Wan-AI/Wan2.1-I2V-14B-720P-Diffusers")
    ]
    assert row(out, "lightx2v")[3] == "ok"
    assert row(out, "centerface")[3] == "ok"


def test_weights_verify_checks_only_fetched_files(command: Command, fetched: Path) -> None:
    outcome = command("weights", "verify", "--models-dir", fetched)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"ok       {fetched / 'wan/lora'}  (lightx2v)" in outcome.out
    assert "wan-720p" not in outcome.out


def test_weights_verify_finds_damaged_file(command: Command, fetched: Path) -> None:
    (fetched / "wan/lora" / LORA).write_bytes(b"loro")
    outcome = command("weights", "verify", "--models-dir", fetched)
    assert outcome.code == 5
    assert str(fetched / "wan/lora" / LORA) in outcome.out
    advice = f"fantasyportrait weights fetch lightx2v --models-dir {shlex.quote(str(fetched))}"
    assert outcome.err == f"error: model files are missing or wrong: run  {advice}\n"


def test_weights_fetch_default_is_small_models(command: Command, fetched: Path) -> None:
    outcome = command("weights", "fetch", "--models-dir", fetched)
    assert outcome.code == 0
    assert {Path(line).parent for line in outcome.out.splitlines()} == {fetched}


def test_weights_fetch_of_present_files_is_offline(command: Command, fetched: Path) -> None:
    outcome = command("weights", "fetch", "lightx2v", "--models-dir", fetched)
    assert (outcome.code, outcome.out) == (0, f"{fetched / 'wan/lora'}\n")
    assert outcome.err == f"lightx2v is in {fetched / 'wan/lora'} (commit ffffffffffff): reading its files to be sure\n"


def test_weights_fetch_offline_reports_error(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    outcome = command("weights", "fetch", "wan-720p", "--models-dir", tmp_path)
    assert outcome.code == 5
    assert "HF_HUB_OFFLINE" in outcome.err and outcome.err.count("\n") == 1


def test_weights_fetch_unknown_name_lists_known_names(command: Command) -> None:
    outcome = command("weights", "fetch", "wan-8k")
    assert outcome.code == 2
    assert "face_landmarks" in outcome.err and "gguf-q4" in outcome.err


def test_make_tiny_passes_folder_to_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[Path] = []
    service = ModuleType("fantasyportrait.testing.tiny_model")
    service.make_tiny = made.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, service.__name__, service)
    make_tiny(tmp_path / "tiny")
    assert made == [tmp_path / "tiny"]
    assert capsys.readouterr().out == f"{tmp_path / 'tiny'}\n"
