"""The style figures hold for the source, and the measure itself sees what it should."""

from pathlib import Path

import pytest

from tests.architecture.style import Figures, measure


@pytest.fixture(scope="module")
def source_files(repository: Path) -> list[Path]:
    """Every source file, as paths relative to the repository."""
    files = [*(repository / "fantasyportrait").rglob("*.py"), *(repository / "ui").rglob("*.py"), repository / "app.py"]
    return [path for path in files if path.is_file()]


@pytest.fixture(scope="module")
def figures(source_files: list[Path]) -> Figures:
    """The figures of the whole source."""
    return measure(source_files)


def test_files_are_short(figures: Figures) -> None:
    assert figures.file_median <= 120
    assert figures.file_percentile(0.9) <= 350
    assert max(figures.file_lines) <= 700


def test_functions_are_short_and_take_few_arguments(figures: Figures) -> None:
    assert figures.long_functions <= 0.03
    assert len(figures.many_arguments) <= 0.03 * len(figures.function_lines), figures.many_arguments


def test_everything_public_is_documented(figures: Figures) -> None:
    assert not figures.undocumented_modules
    assert len(figures.undocumented) <= 0.05 * figures.public, figures.undocumented


def test_everything_is_typed(figures: Figures) -> None:
    assert not figures.untyped


def test_smells_are_rare(figures: Figures) -> None:
    assert len(figures.smells) <= figures.lines / 1000, figures.smells


def test_tests_keep_pace_with_the_source(figures: Figures, repository: Path) -> None:
    tests = measure((repository / "tests").rglob("*.py"))
    assert 0.4 <= tests.lines / figures.lines <= 1.2


SMELLY = '''
from os import *
print("at import")
def first(a, b=[], *rest: int) -> None:
    assert a
    try:
        global x
    except:
        eval(a)
    try:
        first("cuda:0")
    except Exception:
        pass
def many(a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int) -> None: ...
class Thing:
    def method(self) -> None:
        """Documented."""
        def inner() -> None: ...
    def _private(self) -> None: ...
'''


def test_the_measure_sees_smells(tmp_path: Path) -> None:
    path = tmp_path / "smelly.py"
    path.write_text(SMELLY, encoding="utf-8")
    figures = measure([path])
    assert sorted(smell.split(" ", 1)[1] for smell in figures.smells) == [
        "assert",
        "bare except",
        "device name as a literal",
        "eval",
        "global",
        "mutable default",
        "print outside cli",
        "star import",
        "swallowed exception",
        "works at import",
    ]
    assert [where.split()[-1] for where in figures.untyped] == ["first"]
    assert [where.split()[-1] for where in figures.many_arguments] == ["many"]
    assert [where.split()[-1] for where in figures.undocumented] == ["first", "many", "Thing"]
    assert figures.public == 4 and len(figures.undocumented_modules) == 1
