"""Who may import whom: the table of docs/architecture.md, held against every import statement."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

LOW = {"core", "images", "schema", "media", "sandbox", "weights", "runtime"}
BELOW_ENGINES = {*LOW, "faces", "models", "motion", "preview", "pipelines", "provenance", "planning"}
MAY_IMPORT = {
    "core": set(),
    "images": {"core"},
    "schema": {"core", "images"},
    "media": {"core", "images", "schema"},
    "sandbox": {"core", "images", "schema", "media"},
    "reel": {"core", "images", "schema", "media"},
    "weights": {"core", "schema"},
    "runtime": {"core", "schema"},
    "faces": {"core", "images", "schema", "media", "weights"},
    "models": {"core", "schema"},
    "motion": {"core", "images", "schema", "media", "faces", "models", "weights"},
    "preview": {"core", "images", "schema", "media", "faces", "motion"},
    "pipelines": {"core", "schema", "models", "runtime"},
    "provenance": {"core", "images", "schema", "media"},
    "planning": {"core", "schema", "models", "runtime", "pipelines"},
    "engines": BELOW_ENGINES,
    "testing": {"core", "schema", "models", "pipelines", "runtime", "weights", "engines"},
    "workers": {"core", "schema", "runtime"},
    "service": {*BELOW_ENGINES, "engines", "workers"},
    "cli": {
        "service",
        "core",
        "schema",
        "provenance",
        "workers",
        "reel",
        "sandbox",
        "weights",
        "media",
        "runtime",
        "testing",
    },
    "ui": {*LOW, "service", "provenance", "workers", "faces"},
    "app.py": {"cli"},
}
# Modules that a room may import besides: private names of diffusers are used in one module, which imports core alone.
EXCEPTIONS = {("runtime", "fantasyportrait.models.diffusers_compat")}
# Packages that only these rooms may import.
RESERVED = {
    "gradio": {"ui", "app.py"},
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"cli"},
    "torch": {"models", "pipelines", "runtime", "planning", "testing"},
    "diffusers": {"models", "pipelines", "runtime", "planning", "testing"},
    "transformers": {"models", "pipelines", "runtime", "planning", "testing"},
    "cv2": {"faces", "motion", "preview", "service", "images", "media"},
    "moviepy": {"reel"},
    "av": {"media", "reel"},
}
ROOT_MODULES = {"__init__", "__main__"}


def imported(tree: ast.Module) -> Iterator[str]:
    """The dotted names of every import statement, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str | None:
    """The room that an imported name belongs to; None for other packages and for the package itself."""
    first, *rest = name.split(".")
    if first == "fantasyportrait" and rest and rest[0] in MAY_IMPORT:
        return rest[0]
    return "ui" if first == "ui" else None


def sources(repository: Path) -> Iterator[tuple[str, Path]]:
    """(room, file) of every source file."""
    for path in (repository / "fantasyportrait").rglob("*.py"):
        relative = path.relative_to(repository / "fantasyportrait")
        if len(relative.parts) > 1:
            yield relative.parts[0], path
    yield from (("ui", path) for path in (repository / "ui").rglob("*.py"))
    yield "app.py", repository / "app.py"


def violations(repository: Path) -> Iterator[str]:
    """A sentence for each import that the tables forbid."""
    for room, path in sources(repository):
        where = path.relative_to(repository)
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
            other = room_of(name)
            if (room, name.rpartition(".")[0]) in EXCEPTIONS:
                continue
            if other and other != room and other not in MAY_IMPORT[room]:
                yield f"{where} imports {name}: {room} may not know {other}"
            if room not in RESERVED.get(name.split(".")[0], {room}):
                yield f"{where} imports {name}: only {sorted(RESERVED[name.split('.')[0]])} may"


def test_every_room_is_in_the_table(repository: Path) -> None:
    assert {room for room, _ in sources(repository)} <= set(MAY_IMPORT)


def test_imports_go_downward_only(repository: Path) -> None:
    assert not list(violations(repository))


def test_core_knows_the_standard_library_and_numpy_only(repository: Path) -> None:
    import sys

    known = sys.stdlib_module_names | {"numpy", "fantasyportrait"}
    for path in (repository / "fantasyportrait" / "core").glob("*.py"):
        packages = {name.split(".")[0] for name in imported(ast.parse(path.read_text(encoding="utf-8")))}
        assert packages <= known, path.name


def test_nothing_is_imported_relatively(repository: Path) -> None:
    for _, path in sources(repository):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        assert not any(isinstance(node, ast.ImportFrom) and node.level for node in nodes), path


def test_every_room_says_what_it_is_for(repository: Path) -> None:
    for folder in [repository / "ui", *(repository / "fantasyportrait").iterdir()]:
        if folder.is_dir() and any(folder.glob("*.py")):
            first = folder / "__init__.py"
            assert first.is_file() and ast.get_docstring(ast.parse(first.read_text(encoding="utf-8"))), folder.name


@pytest.mark.parametrize(
    ("room", "line", "words"),
    [
        ("core", "from fantasyportrait.media.clips import probe_clip", "core may not know media"),
        ("service", "from ui.layout import build", "service may not know ui"),
        ("cli", "def late():\n    from fantasyportrait.models import x", "cli may not know models"),
        ("preview", "import torch.nn", "only"),
        ("service", "import gradio as gr", "only"),
    ],
)
def test_the_check_sees_a_forbidden_import(room: str, line: str, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "fantasyportrait" / room
    folder.mkdir(parents=True)
    (folder / "bad.py").write_text(line, encoding="utf-8")
    (tmp_path / "app.py").write_text("", encoding="utf-8")
    (sentence,) = violations(tmp_path)
    assert words in sentence
