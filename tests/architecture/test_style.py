"""The figures of the source that no linter measures: lengths, work at import, device names."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from fantasyportrait.core.errors import FantasyPortraitError

FILE_LINES_MEDIAN, FILE_LINES_90, FILE_LINES_MOST = 120, 350, 700
FUNCTION_LINES, LONG_FUNCTIONS = 60, 0.03  # lines; share of functions that may be longer
TEST_LINES_LEAST, TEST_LINES_MOST = 0.4, 1.2  # of the lines of the source
# Statements that run when a module is imported: one sets an environment variable that another package reads.
RUNS_AT_IMPORT = {"fantasyportrait/__init__.py": 1}


def length(path: Path) -> int:
    """Physical lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.fixture(scope="module")
def trees(repository: Path) -> dict[Path, ast.Module]:
    """The syntax tree of every source file, by its path in the repository."""
    files = [*(repository / "fantasyportrait").rglob("*.py"), *(repository / "ui").rglob("*.py"), repository / "app.py"]
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}


def test_files_are_short(trees: dict[Path, ast.Module]) -> None:
    lines = sorted(filter(None, map(length, trees)))
    assert statistics.median(lines) <= FILE_LINES_MEDIAN
    assert lines[int(0.9 * len(lines))] <= FILE_LINES_90
    assert lines[-1] <= FILE_LINES_MOST


def test_functions_are_short(trees: dict[Path, ast.Module]) -> None:
    functions = [
        (node.end_lineno - node.lineno + 1, f"{path.name}: {node.name}")
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]
    long = [name for lines, name in functions if lines > FUNCTION_LINES]
    assert len(long) <= LONG_FUNCTIONS * len(functions), long


def test_tests_keep_pace_with_the_source(trees: dict[Path, ast.Module], repository: Path) -> None:
    tests = sum(map(length, (repository / "tests").rglob("*.py")))
    assert TEST_LINES_LEAST <= tests / sum(map(length, trees)) <= TEST_LINES_MOST


def test_modules_do_no_work_at_import(trees: dict[Path, ast.Module], repository: Path) -> None:
    found = {
        path.relative_to(repository).as_posix(): count
        for path, tree in trees.items()
        if (count := sum(map(runs_at_import, tree.body)))
    }
    assert found == RUNS_AT_IMPORT


def test_sentences_for_users_are_templates(trees: dict[Path, ast.Module]) -> None:
    """An f-string has no key: the page could not say it in the visitor's language."""
    names = {"Message", "Sentence"} | {each.__name__ for each in [FantasyPortraitError, *all_errors()]}
    formatted = [
        f"{path.name}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
        if node.args and isinstance(node.args[0], ast.JoinedStr)
    ]
    assert not formatted


def all_errors() -> Iterator[type[FantasyPortraitError]]:
    """Every error of the package."""
    waiting = [FantasyPortraitError]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            yield kind


def runs_at_import(statement: ast.stmt) -> bool:
    """Whether a statement at the top of a module is a call or a loop instead of a definition."""
    call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    return call or isinstance(statement, ast.For | ast.While | ast.With)


def test_no_device_is_named_in_the_source(trees: dict[Path, ast.Module]) -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_device(node.value)
    ]
    assert not found


def is_device(text: str) -> bool:
    """Whether a string names a GPU."""
    return text == "cuda" or text.startswith("cuda:")


@pytest.mark.parametrize(("code", "runs"), [("setup()", True), ("for _ in x: pass", True), ("x = setup()", False)])
def test_work_at_import_is_recognised(code: str, runs: bool) -> None:
    assert runs_at_import(ast.parse(code).body[0]) is runs


@pytest.mark.parametrize(("text", "device"), [("cuda", True), ("cuda:1", True), ("needs cuda", False)])
def test_device_names_are_recognised(text: str, device: bool) -> None:
    assert is_device(text) is device
