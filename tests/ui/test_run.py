"""The runner drains the animator's events into updates of the page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from fantasyportrait.service.animator import Animator
from tests.ui.factories import card, options, values
from ui import words
from ui.cast import Portrait
from ui.components.result import render_result
from ui.components.run import Runner, render_run
from ui.form import CLIP, STILL, CardValues
from ui.workshop import Workshop

VISITOR = gr.Request(session_hash="me")


@pytest.fixture
def runner(tmp_path: Path, models_dir: Path) -> Runner:
    """A runner with its widgets, outside of any server."""
    with gr.Blocks(analytics_enabled=False):
        return Runner(render_run(), render_result(), Workshop(tmp_path / "results", Animator(models_dir)))


def work(runner: Runner, photo: Path, *cards: CardValues, job: str = "") -> Iterator[dict[Any, Any]]:
    """The updates of a run over a photo with as many faces as cards."""
    data = [value for item in (options(side_by_side=True), *cards) for value in values(item)]
    return runner.work(VISITOR, Portrait(str(photo), ("",) * len(cards)), job, *data)


def results(runner: Runner) -> list[Path]:
    """The files of all results."""
    return [path for path in runner.workshop.results.rglob("*") if path.is_file()]


def test_a_run_ends_with_its_result(runner: Runner, two_person: Path) -> None:
    updates = list(work(runner, two_person, card(), card(motion="laugh", strength=0.5)))
    said = "".join(str(update.get(runner.widgets.progress, "")) for update in updates)
    assert all(title in said for title in words.STAGES.values()) and "100 %" in said
    assert any("data:image/jpeg" in str(update.get(runner.widgets.look)) for update in updates)
    last = updates[-1]
    assert Path(last[runner.result.video]).is_file() and last[runner.widgets.progress] == ""
    assert Path(last[runner.result.side_by_side]["value"]).is_file()
    assert str(two_person.parent) not in Path(last[runner.result.save_request]).read_text(encoding="utf-8")
    assert "0.40 s, 10 frames" in last[runner.result.notes]
    assert last[runner.widgets.animate]["interactive"] and not last[runner.widgets.stop]["visible"]


def test_a_job_stopped_while_it_waits_does_nothing(runner: Runner, two_person: Path) -> None:
    job = runner.begin(VISITOR)[runner.widgets.job]
    runner.workshop.stop("me")
    last = list(work(runner, two_person, card(), card(), job=job))[-1]
    assert "Stopped" in last[runner.widgets.message] and last[runner.widgets.animate]["interactive"]
    assert not results(runner) and runner.workshop.token("me", job) is None


def test_a_visitor_who_goes_stops_the_work(runner: Runner, two_person: Path) -> None:
    happening = work(runner, two_person, card(), card())
    next(happening)
    happening.close()  # type: ignore[attr-defined]
    assert not results(runner) and not list(runner.workshop.results.glob("*/*"))


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ((card(kind=STILL), card(kind=STILL)), "Every face is still"),
        ((card(strength=3), card()), "Strength of face 1 is 3: give a number from 0 to 2."),
        ((card(), card(), card()), "The photo shows 2 faces but the cast names face 3"),
        ((card(kind=CLIP, clip="/uploads/1f/gone.mp4"), card()), "There is no file gone.mp4: check the path."),
    ],
)
def test_an_error_is_one_sentence_without_places(
    runner: Runner, two_person: Path, cards: tuple[CardValues, ...], said: str
) -> None:
    last = list(work(runner, two_person, *cards))[-1]
    assert said in last[runner.widgets.message] and 'role="alert"' in last[runner.widgets.message]
    assert last[runner.widgets.animate]["interactive"] and not results(runner)


def test_a_bug_is_logged_and_the_page_lives_on(
    runner: Runner, two_person: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(runner.workshop.animator, "events", broken)
    last = list(work(runner, two_person, card(), card()))[-1]
    assert "went wrong" in last[runner.widgets.message] and "inside" not in last[runner.widgets.message]
    assert "ZeroDivisionError" in caplog.text and last[runner.widgets.animate]["interactive"]
