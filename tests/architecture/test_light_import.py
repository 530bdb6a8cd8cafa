"""Looking at the package, or at its help, loads nothing heavy."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import fantasyportrait

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


def test_public_names_are_listed_typed_and_lazy(repository: Path) -> None:
    """`__all__`, the imports for type checkers and what can be loaded are the same names."""
    tree = ast.parse((repository / "fantasyportrait" / "__init__.py").read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)]
    typed = [alias.name for block in blocks for node in block.body for alias in node.names]  # type: ignore[attr-defined]
    assert sorted(typed) == sorted(fantasyportrait.__all__) and set(typed) <= set(dir(fantasyportrait))
    torch = {"FantasyPortraitPipeline", "FantasyPortraitTransformer3DModel", "MotionAdapter", "MotionEncoder"}
    names = sorted(set(typed) - torch)
    code = f"from fantasyportrait import {', '.join(names)}; {MODULES}"
    assert not loaded_by(code) & {"torch", "gradio", "diffusers"}
    assert all(callable(getattr(fantasyportrait, name)) for name in names if name != "events")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fantasyportrait.nothing  # noqa: B018


def test_faces_is_a_function_and_still_a_package(two_person: Path, models_dir: Path) -> None:
    import fantasyportrait.schema.face as room

    assert fantasyportrait.schema.face is room  # type: ignore[attr-defined]
    found = fantasyportrait.faces(two_person)
    assert [face.id for face in found] == [1, 2] and all(isinstance(face, room.Face) for face in found)


def test_the_package_says_that_it_is_typed(repository: Path) -> None:
    assert (repository / "fantasyportrait" / "py.typed").is_file()


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
