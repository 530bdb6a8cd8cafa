"""Commands and links of the docs exist; committed files are small and contain no path of one machine."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

LARGEST_FILE = 2_000_000
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".json", ".css", ".js", ".svg", ".html", ".cfg", ""}
# The folders of somebody's machine, as they stand at the start of an absolute path.
MACHINE_PATH = re.compile(r"(?<![\w.~)}/:-])/(?:work|root|home|Users|mnt|opt)/\w")


def committed(repository: Path) -> list[Path]:
    """Files that are in git or could be added to it."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, cwd=repository, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [path for name in names.split("\0") if name and (path := repository / name).is_file()]


def code_lines(page: Path) -> list[str]:
    """The lines inside fenced code blocks, with continued lines joined."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [line.strip() for block in blocks for line in re.sub(r"[\\^`]\n", " ", block).splitlines()]


GROUPS = ("motions", "weights")
"""Commands with commands of their own."""


@cache
def help_of(*command: str) -> str:
    """The output of `fantasyportrait COMMAND --help`."""
    plain = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    run = [sys.executable, "-m", "fantasyportrait", *command, "--help"]
    return subprocess.run(run, capture_output=True, text=True, check=True, env=plain, timeout=120).stdout


@pytest.fixture(scope="module")
def pages(repository: Path) -> list[Path]:
    """README.md, CONTRIBUTING.md and the pages of docs/."""
    return [repository / "README.md", repository / "CONTRIBUTING.md", *sorted((repository / "docs").rglob("*.md"))]


def test_every_make_command_exists(pages: list[Path], repository: Path) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (repository / "Makefile").read_text(encoding="utf-8"), re.M))
    named = {
        word
        for page in pages
        for line in [*code_lines(page), *re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))]
        for word in re.findall(r"^make ([a-z][\w-]*)", line)
    }
    assert {"demo", "test", "app"} <= named <= targets


def test_every_command_line_exists(pages: list[Path]) -> None:
    seen = set()
    for page in pages:
        for line in code_lines(page):
            found = re.match(
                r"(?:\S*[/\\])?(?:python -m )?fantasyportrait(?:\.exe)? ([a-z][\w-]*)( [a-z-]+\b)?(.*)", line
            )
            if found is None:
                continue
            command, second, rest = found.groups()
            assert re.search(rf"\b{command}\b", help_of()), f"{page.name}: {line}"
            words = (command, second.strip()) if command in GROUPS and second else (command,)
            for flag in re.findall(r"(?<=\s)--[a-z][\w-]*", rest):
                assert flag in help_of(*words), f"{page.name}: {line}"
            seen.add(command)
    assert {"animate", "faces", "motions", "weights", "app"} <= seen


def test_every_relative_link_leads_somewhere(pages: list[Path]) -> None:
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_module_that_a_page_names_exists(pages: list[Path], repository: Path) -> None:
    roots = (repository, repository / "fantasyportrait")
    for page in pages:
        for name in re.findall(r"`([\w/]+/\w+\.(?:py|js|css|json))`", page.read_text(encoding="utf-8")):
            assert any((root / name).is_file() for root in roots), f"{page.name} names {name}"


def test_no_committed_file_is_large(repository: Path) -> None:
    assert not [path.name for path in committed(repository) if path.stat().st_size > LARGEST_FILE]


def test_no_committed_file_has_a_machine_path(repository: Path) -> None:
    for path in committed(repository):
        if path.suffix in TEXT:
            found = MACHINE_PATH.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path.relative_to(repository)} has {found and found.group()!r}"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-cpu.txt"])
def test_requirements_are_those_of_the_package(repository: Path, name: str) -> None:
    project = (repository / "pyproject.toml").read_text(encoding="utf-8")
    lines = (repository / name).read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert wanted and all(f'"{line}"' in project for line in wanted)
