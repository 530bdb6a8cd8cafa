"""Looking at the package, or at its help, loads nothing heavy."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "gradio", "diffusers", "transformers", "cv2", "av", "moviepy", "ray"}
MODULES = "import json, sys; sys.stderr.write(json.dumps(sorted(sys.modules)))"
HELP = f"""
import runpy, sys
sys.argv = ["fantasyportrait", *ARGUMENTS]
try:
    runpy.run_module("fantasyportrait", run_name="__main__")
except SystemExit as end:
    if end.code:
        raise
{MODULES}
"""


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after running `code`."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by(f"import fantasyportrait; {MODULES}") & (HEAVY | {"numpy", "typer"})


@pytest.mark.parametrize("arguments", [["--help"], ["animate", "--help"], ["weights", "--help"], ["workers", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert not loaded_by(f"ARGUMENTS = {arguments!r}\n{HELP}") & HEAVY


def test_the_service_loads_neither_torch_nor_gradio() -> None:
    assert not loaded_by(f"import fantasyportrait.service.animator; {MODULES}") & {"torch", "gradio"}


@pytest.mark.parametrize(("chosen", "found"), [(None, "1"), ("0", "0")])
def test_telemetry_is_off_from_the_first_import(
    chosen: str | None, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any library could send a thing; what the user chose stays."""
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    if chosen is not None:
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", chosen)
    code = "import os, fantasyportrait; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == found
