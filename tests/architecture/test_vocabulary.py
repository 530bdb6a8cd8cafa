"""Source and docs use the words of the field, not those that were invented here before."""

import re
import subprocess
from pathlib import Path

import pytest

# Old word -> its replacement. Only words without another meaning in this project are listed.
EVERYWHERE = {
    r"toys?": "tiny",
    r"shel(f|ves)": "disk cache, folder",
    r"bench(es)?": "worker pool, benchmark",
    r"fleets?": "worker pool",
    r"crews?": "worker pool",
    r"orphan(s|ed)?": "lost worker, left-over file",
    r"tend(s|ed|ing)?": "heartbeat",
    r"patience": "timeout",
    r"sightings?": "observation",
    r"finders?": "face analyser",
    r"footprints?": "peak memory",
    r"ladders?": "profiles, fall back",
    r"fitters?": "pipeline manager",
    r"workshops?": "session",
    r"sketch(es)?": "draw landmarks",
    r"hears?": "attends to, gets",
    r"listens?(?! on)": "attends to, reads",
    r"who(so)?ever": "the one that",
    r"whom": "another sentence",
    r"anew": "again",
    r"nobody": "no one, or another sentence",
    r"thereof": "of it",
    r"shall": "must, or the present tense",
    r"(is|are|was|were) told": "gets",
    r"stands? in": "replaces",
    r"lies? beside": "is next to",
    r"published (weights?|names?|checkpoints?|models?|tensors?|nets?|transformers?)": "original",
}
# A card of the app shows a face; a room that runs networks has GPUs.
GPU_ROOMS = ("engines", "models", "pipelines", "planning", "runtime")
IN_GPU_ROOMS = {r"(graphics )?cards?": "GPU"}
SUFFIXES = {".py", ".md", ".ipynb", ".toml", ".css", ".js", ""}
FOLDERS = ("fantasyportrait", "ui", "docs", "benchmarks", "examples", "app.py", "README.md", "CONTRIBUTING.md")


def pattern(words: dict[str, str]) -> re.Pattern[str]:
    """Any of the words, alone or as a part of a snake_case name."""
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(words)})(?![^\W_])", re.IGNORECASE)


def old_words(text: str, words: dict[str, str]) -> list[tuple[int, str]]:
    """(line number, word) of each old word."""
    found = pattern(words)
    return [(n, match.group()) for n, line in enumerate(text.splitlines(), 1) for match in found.finditer(line)]


def written(repository: Path) -> list[Path]:
    """The files of the source and the docs that are in git or could be added to it."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *FOLDERS]
    try:
        names = subprocess.run(listing, cwd=repository, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [repository / name for name in names.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix in SUFFIXES]


def test_no_old_words_in_source_and_docs(repository: Path) -> None:
    found = []
    for path in written(repository):
        name = path.relative_to(repository)
        words = EVERYWHERE | (IN_GPU_ROOMS if len(name.parts) > 1 and name.parts[1] in GPU_ROOMS else {})
        found += [f"{name}:{line} {word}" for line, word in old_words(path.read_text(encoding="utf-8"), words)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def make_toy(crew): ...", ["toy", "crew"]),
        ("What it is told stands in a list.", ["is told", "stands in"]),
        ("Whoever listens", ["Whoever", "listens"]),
        ("its published weights", ["published weights"]),
        ("the port to listen on, a benchmark, shallow, tender, heard, the published paper", []),
    ],
)
def test_old_words_are_recognised(text: str, words: list[str]) -> None:
    assert [word for _, word in old_words(text, EVERYWHERE)] == words


def test_card_means_gpu_only_in_gpu_rooms() -> None:
    assert not old_words("the card of a face", EVERYWHERE)
    assert [word for _, word in old_words("on_card = True", IN_GPU_ROOMS)] == ["card"]
