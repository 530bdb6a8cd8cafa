"""The runner drains the animator's events into updates of the page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.service import events
from fantasyportrait.service.animator import Animator
from fantasyportrait.service.request import AnimationRequest
from tests.ui.factories import card, engine, options, values
from ui import words
from ui.cast import Portrait
from ui.components.result import render_result
from ui.components.run import Runner, render_run
from ui.engine_values import EngineValues
from ui.form import CLIP, FREE, STILL, CardValues, OptionValues
from ui.workshop import Workshop

PREVIEW_STAGES = ("portrait", "driving", "render", "finish")
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
    titles = {words.STAGES[name] for name in PREVIEW_STAGES}
    assert {title for title in words.STAGES.values() if title in said} == titles and "100 %" in said
    assert any("data:image/jpeg" in str(update.get(runner.widgets.look)) for update in updates)
    last = updates[-1]
    assert Path(last[runner.result.video]).is_file() and last[runner.widgets.progress] == ""
    assert Path(last[runner.result.side_by_side]["value"]).is_file()
    requests = {Path(last[runner.result.save_request]), *runner.workshop.results.rglob("*.json")}
    assert len(requests) == 2  # the one that is downloaded and the one beside the video
    assert all(str(two_person.parent) not in path.read_text(encoding="utf-8") for path in requests)
    assert "0.40 s, 10 frames" in last[runner.result.notes]
    assert last[runner.widgets.animate]["interactive"] and not last[runner.widgets.stop]["visible"]


def test_a_job_stopped_while_it_waits_does_nothing(runner: Runner, two_person: Path) -> None:
    job = runner.begin(VISITOR)[runner.widgets.job]
    runner.workshop.stop("me")
    last = list(work(runner, two_person, card(), card(), job=job))[-1]
    assert "Stopped" in last[runner.widgets.message] and last[runner.widgets.animate]["interactive"]
    assert not results(runner) and runner.workshop.token("me", job) is None


def test_whoever_waits_reads_how_many_are_ahead(runner: Runner, two_person: Path) -> None:
    """One worker: the first works, the others stand in line, and the last is told when it is next."""
    first, second, third = (work(runner, two_person, card(), card()) for _ in range(3))
    next(first)
    assert "Waiting for its turn: next" in next(second)[runner.widgets.progress]
    assert "Waiting for its turn: 1 ahead" in next(third)[runner.widgets.progress]
    second.close()  # type: ignore[attr-defined]
    assert "Waiting for its turn: next" in next(third)[runner.widgets.progress]
    first.close()  # type: ignore[attr-defined]
    assert Path(list(third)[-1][runner.result.video]).is_file()


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


@pytest.fixture
def wan_runner(tmp_path: Path, models_dir: Path) -> Runner:
    """A runner of an app that offers the diffusion engine."""
    model = tmp_path / "models" / "some-model"
    workshop = Workshop(tmp_path / "results", Animator(models_dir), model=str(model))
    with gr.Blocks(analytics_enabled=False):
        return Runner(render_run(), render_result(), workshop)


def wan_work(
    runner: Runner, photo: Path, *items: OptionValues | EngineValues | CardValues, job: str = ""
) -> Iterator[dict[Any, Any]]:
    """The updates of a run over a photo of two people."""
    data = [value for item in items for value in values(item)]
    return runner.work(VISITOR, Portrait(str(photo), ("", "")), job, *data)


def test_wan_shows_its_steps_and_looks_and_hides_its_place(
    wan_runner: Runner, two_person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(wan_runner.workshop.model)
    asked: list[AnimationRequest] = []

    def happening(request: AnimationRequest, *_: object) -> Iterator[events.Event]:
        asked.append(request)
        yield events.Stage("model")
        yield events.Stage("motion")
        yield events.Stage("sample")
        yield events.Step("sample", 3, 8, 65.0)
        yield events.Frames(np.zeros((8, 8, 3), np.uint8))
        yield events.Failed(WeightsError(f"{model}/transformer is missing: fetch the model again"))

    monkeypatch.setattr(wan_runner.workshop.animator, "events", happening)
    items = (options(), engine(), card(kind=FREE), card())
    updates = list(wan_work(wan_runner, two_person, *items))
    assert asked[0].engine == "wan" and (asked[0].sampling.model, asked[0].sampling.steps) == (model, 8)
    said = "".join(str(update.get(wan_runner.widgets.progress, "")) for update in updates)
    assert all(words.STAGES[name] in said for name in ("model", "motion", "sample"))
    assert "Sampling: step 3 of 8, about 65 s left" in said
    assert any("data:image/jpeg" in str(update.get(wan_runner.widgets.look)) for update in updates)
    message = updates[-1][wan_runner.widgets.message]
    assert "some-model/transformer is missing" in message and str(Path(model).parent) not in message


def test_a_long_clip_is_refused_before_wan_begins(
    wan_runner: Runner, two_person: Path, clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.form.LONGEST_WAN_S", 0.5)
    items = (options(length="longest"), engine(), card(kind=CLIP, clip=str(clips["one"])), card())
    last = list(wan_work(wan_runner, two_person, *items))[-1]
    message = last[wan_runner.widgets.message]
    assert "The longest clip lasts 1 s, and Wan makes at most 0.5 s" in message
    assert last[wan_runner.widgets.animate]["interactive"] and not results(wan_runner)


def test_wan_stopped_while_clips_are_measured_is_stopped(
    wan_runner: Runner, two_person: Path, clips: dict[str, Path]
) -> None:
    job = wan_runner.begin(VISITOR)[wan_runner.widgets.job]
    wan_runner.workshop.stop("me")
    items = (options(length="shortest"), engine(), card(kind=CLIP, clip=str(clips["one"])), card())
    last = list(wan_work(wan_runner, two_person, *items, job=job))[-1]
    assert "Stopped" in last[wan_runner.widgets.message] and not results(wan_runner)
