"""The studio's actions with values that no page sends."""

import inspect
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.sentences import decode
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.studio import UNEXPECTED, Studio
from fantasyportrait.studio.uploads import UploadRegistry
from fantasyportrait.workers.job_queue import JobQueue, LocalWorker

FORGED: list[Any] = [
    None, True, 0, -1, 10**400, 1.5, float("nan"), float("inf"), "", "1", "../x", "\ud800", "x" * 10_000,
    [], ["x"], [None], [[1, 2]], [0, 0, float("nan"), 1], [10**400] * 4, {}, {"": None}, {"face": 1}, {"kind": []},
    {"clip": {}}, {"strength": float("nan")}, {"person": 10**400}, {"regions": [[]]}, {"seconds": float("nan")},
    {"engine": 3}, {"seed": 10**400}, {"duration": "\ud800"},
]  # fmt: skip


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """A studio without a page."""
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    animator = Animator()
    made = Studio(tmp_path / "results", animator, JobQueue([LocalWorker(animator)]), UploadRegistry(uploads), None)
    yield made
    made.close()


def test_forged_arguments_are_refused_in_words(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is sent, the answer is a view, with a sentence where the action was refused."""
    token = studio.enter(None)
    studio.act(token, "set_example", {})
    with caplog.at_level(logging.ERROR):
        for action, handler in studio._actions.items():
            names = list(inspect.signature(handler).parameters)[1:]
            given: dict[str, Any] = {"face": 1, "other": 2, "changes": {}, "name": "x", "before": None}
            for name in names:
                for value in FORGED:
                    others = {each: given.get(each, "x") for each in names}
                    answer = decode(studio.act(token, action, {**others, name: value}))
                    assert answer["error"] != UNEXPECTED, (action, name, value)
    assert not caplog.records
