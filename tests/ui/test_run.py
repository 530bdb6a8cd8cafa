"""The runner drains the animator's events into updates of the page."""

import re
import threading
from collections import namedtuple
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import OutputError, WeightsError
from fantasyportrait.schema import events
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from fantasyportrait.workers.job import Job
from fantasyportrait.workers.job_queue import JobQueue
from tests.factories_media import grey, make_clip
from tests.ui.factories import card, engine, options
from ui import strings
from ui.card_state import SessionPhoto
from ui.components.result import render_result
from ui.components.run import AnimateHandlers, render_run
from ui.form import CLIP, FREE, STILL, CardValues
from ui.sessions import SessionManager
from ui.uploads import UploadRegistry

PREVIEW_STAGES = ("portrait", "driving", "render", "finish")
VISITOR = gr.Request(session_hash="me")


@pytest.fixture
def runner(tmp_path: Path, models_dir: Path) -> AnimateHandlers:
    """A runner with its widgets, outside of any server."""
    with gr.Blocks(analytics_enabled=False):
        sessions = SessionManager(tmp_path / "results", Animator(models_dir), uploads=UploadRegistry(tmp_path))
        return AnimateHandlers(render_run(), render_result(), sessions)


def work(
    runner: AnimateHandlers, photo: Path, *cards: CardValues, job: str = "", given: dict[str, Any] | None = None
) -> Iterator[dict[Any, Any]]:
    """The updates of a run over a photo with as many faces as cards; without more options it lasts 0.2 s."""
    shown = SessionPhoto(str(photo), ("",) * len(cards))
    return runner.work(VISITOR, shown, job, given or options(seconds=0.2), [vars(card) for card in cards])


def results(runner: AnimateHandlers) -> list[Path]:
    """The files of all results."""
    return [path for path in runner.sessions.results.rglob("*") if path.is_file()]


def test_runner_ends_with_result(runner: AnimateHandlers, two_person: Path) -> None:
    cards = card(), card(motion="laugh", strength=0.5)
    updates = list(work(runner, two_person, *cards, given=options(side_by_side=True)))
    said = "".join(str(update.get(runner.widgets.progress, "")) for update in updates)
    titles = {strings.STAGES[name] for name in PREVIEW_STAGES}
    assert {title for title in strings.STAGES.values() if title in said} == titles and "100 %" in said
    assert any("data:image/jpeg" in str(update.get(runner.widgets.preview_image)) for update in updates)
    last = updates[-1]
    assert Path(last[runner.result.video]).is_file() and last[runner.widgets.progress] == ""
    assert Path(last[runner.result.side_by_side]["value"]).is_file()
    requests = {Path(last[runner.result.save_request]), *runner.sessions.results.rglob("*.json")}
    assert len(requests) == 2  # the one that is downloaded and the one beside the video
    assert all(str(two_person.parent) not in path.read_text(encoding="utf-8") for path in requests)
    assert "0.40 s, 10 frames" in last[runner.result.messages]
    # Until gradio has seen the end of the work it drops that of another click, so another listener enables Animate.
    assert runner.widgets.animate not in last and not last[runner.widgets.stop]["visible"]
    assert runner.enable()["interactive"]


def test_runner_cancelled_while_queued_does_nothing(runner: AnimateHandlers, two_person: Path) -> None:
    job = runner.begin(VISITOR)[runner.widgets.job]
    runner.sessions.stop("me")
    last = list(work(runner, two_person, card(), card(), job=job))[-1]
    assert "Stopped" in last[runner.widgets.message]
    assert not results(runner) and runner.sessions.token("me", job) is None


def test_runner_shows_queue_position(runner: AnimateHandlers, two_person: Path) -> None:
    """With one worker, the first job runs, the others are queued, and their position is updated."""
    first, second, third = (work(runner, two_person, card(), card()) for _ in range(3))
    next(first)
    assert "In the queue: next" in next(second)[runner.widgets.progress]
    assert "In the queue: 1 ahead" in next(third)[runner.widgets.progress]
    second.close()  # type: ignore[attr-defined]
    assert "In the queue: next" in next(third)[runner.widgets.progress]
    first.close()  # type: ignore[attr-defined]
    assert Path(list(third)[-1][runner.result.video]).is_file()


def wait_for_endings() -> None:
    """Wait until the jobs of visitors who left have ended."""
    for thread in threading.enumerate():
        if thread.name == "fantasyportrait-ending":
            thread.join(60)


def test_leaving_visitor_stops_work(runner: AnimateHandlers, two_person: Path) -> None:
    event_stream = work(runner, two_person, card(), card())
    next(event_stream)
    event_stream.close()  # type: ignore[attr-defined]
    wait_for_endings()
    assert not results(runner) and not list(runner.sessions.results.glob("*/*"))


class SlowToStop:
    """A worker that is cancelled and stays within a step until `released`."""

    name = "slow"

    def __init__(self) -> None:
        self.token: CancelToken | None = None
        self.released = threading.Event()
        self.ended = threading.Event()

    def events(self, _job: Job, cancel: CancelToken) -> Generator[events.Event, None, None]:
        """One stage that does not end."""
        self.token = cancel
        try:
            yield events.Stage("portrait")
        finally:
            self.released.wait(60)
            self.ended.set()


def test_leaving_visitor_does_not_block_server(tmp_path: Path, two_person: Path) -> None:
    """gradio closes the generator on the server's event loop."""
    worker = SlowToStop()
    with gr.Blocks(analytics_enabled=False):
        sessions = SessionManager(tmp_path / "results", queue=JobQueue([worker]))
        runner = AnimateHandlers(render_run(), render_result(), sessions)
    event_stream = work(runner, two_person, card(), card())
    while worker.token is None:
        next(event_stream)
    event_stream.close()  # type: ignore[attr-defined]
    assert worker.token.cancelled and not worker.ended.is_set()
    # Its folder stays as long as the work may still write there.
    assert len(list(sessions.results.glob("*/*"))) == 1
    worker.released.set()
    wait_for_endings()
    assert not list(sessions.results.glob("*/*"))


@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ((card(kind=STILL), card(kind=STILL)), "Every face is still"),
        ((card(strength=3), card()), "Strength of face 1 is 3: give a number from 0 to 2."),
        ((card(), card(), card()), "The photo shows 2 faces but the cast names face 3"),
        (
            (card(kind=CLIP, clip="/uploads/1f/gone.mp4"), card()),
            "The clip of face 1 cannot be used: this file is not here",
        ),
    ],
)
def test_runner_error_is_one_sentence_without_paths(
    runner: AnimateHandlers, two_person: Path, cards: tuple[CardValues, ...], said: str
) -> None:
    last = list(work(runner, two_person, *cards))[-1]
    assert said in last[runner.widgets.message] and 'role="alert"' in last[runner.widgets.message]
    assert not last[runner.widgets.stop]["visible"] and not results(runner)


def test_runner_logs_unexpected_error_and_continues(
    runner: AnimateHandlers, two_person: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(runner.sessions.animator, "events", broken)
    last = list(work(runner, two_person, card(), card()))[-1]
    assert "went wrong" in last[runner.widgets.message] and "inside" not in last[runner.widgets.message]
    assert "ZeroDivisionError" in caplog.text and not last[runner.widgets.stop]["visible"]


def shown(
    runner: AnimateHandlers, photo: Path, event_stream: list[events.Event], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The message text of each update while these events come."""
    monkeypatch.setattr(runner.sessions.animator, "events", lambda *_: (event for event in event_stream))
    updates = work(runner, photo, card(), card())
    return [str(update[runner.widgets.message]) for update in updates if runner.widgets.message in update]


def test_runner_shows_messages_while_working(
    runner: AnimateHandlers, two_person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = f"the worker <2> was lost with {two_person}, so the job begins again"
    event_stream = [
        events.Message("about 12 min on this card", keep=False),
        events.Message("4 GiB are free, so it streams"),
        events.Message(lost),
        # A job that restarts on another worker emits its messages again.
        events.Message("about 12 min on this card", keep=False),
        events.Message("4 GiB are free, so it streams"),
        events.Cancelled(),
    ]
    first, second, third, last = shown(runner, two_person, event_stream, monkeypatch)
    assert first.count('role="status"') == 1 and "About 12 min on this card." in first
    assert second.startswith(first) and second.count("4 GiB are free, so it streams.") == 1
    assert third.startswith(second) and "The worker &lt;2&gt; was lost with two_people.png, so" in third
    assert "Stopped" in last and "12 min" not in last


def test_runner_refusal_hides_results_folder(
    runner: AnimateHandlers, two_person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OutputError(f"{runner.sessions.results}/1f/fantasyportrait.mp4 cannot be written: the disk is full")
    (said,) = shown(runner, two_person, [events.Failed(error)], monkeypatch)
    assert "results/1f/fantasyportrait.mp4 cannot be written" in said
    assert str(runner.sessions.results.parent) not in said


@pytest.fixture
def wan_runner(tmp_path: Path, models_dir: Path) -> AnimateHandlers:
    """A runner of an app that offers the diffusion engine."""
    model = tmp_path / "models" / "some-model"
    uploads = UploadRegistry(tmp_path)
    sessions = SessionManager(tmp_path / "results", Animator(models_dir), model=str(model), uploads=uploads)
    with gr.Blocks(analytics_enabled=False):
        return AnimateHandlers(render_run(), render_result(), sessions)


def wan_work(
    runner: AnimateHandlers, photo: Path, given: dict[str, Any], *cards: CardValues, job: str = ""
) -> Iterator[dict[Any, Any]]:
    """The updates of a run over a photo of two people."""
    return work(runner, photo, *cards, given=given, job=job)


def test_wan_runner_shows_steps_and_preview_images(
    wan_runner: AnimateHandlers, two_person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(wan_runner.sessions.model)
    requests: list[AnimationRequest] = []

    def event_stream(request: AnimationRequest, *_: object) -> Iterator[events.Event]:
        requests.append(request)
        yield events.Stage("model")
        yield events.Stage("motion")
        yield events.Stage("sample")
        yield events.Step("sample", 3, 8, 65.0)
        yield events.PreviewImage(np.zeros((8, 8, 3), np.uint8))
        yield events.Failed(WeightsError(f"{model}/transformer is missing: fetch the model again"))

    monkeypatch.setattr(wan_runner.sessions.animator, "events", event_stream)
    items = (options() | engine(), card(kind=FREE), card())
    updates = list(wan_work(wan_runner, two_person, *items))
    assert requests[0].engine == "wan" and (requests[0].sampling.model, requests[0].sampling.num_inference_steps) == (
        model,
        8,
    )
    said = "".join(str(update.get(wan_runner.widgets.progress, "")) for update in updates)
    assert all(strings.STAGES[name] in said for name in ("model", "motion", "sample"))
    assert "Sampling: step 3 of 8, about 65 s left" in said
    assert any("data:image/jpeg" in str(update.get(wan_runner.widgets.preview_image)) for update in updates)
    message = updates[-1][wan_runner.widgets.message]
    assert "some-model/transformer is missing" in message and str(Path(model).parent) not in message


@pytest.mark.usefixtures("wan_packages")
def test_wan_runner_reports_missing_model(wan_runner: AnimateHandlers, two_person: Path) -> None:
    model = Path(str(wan_runner.sessions.model))
    model.mkdir(parents=True)
    last = list(wan_work(wan_runner, two_person, options() | engine(), card(), card()))[-1]
    said = last[wan_runner.widgets.message]
    assert re.fullmatch(r'<p class="error-message" role="alert">[A-Z][^<]+[^.]\.</p>', said) and ". " not in said
    assert "some-model" in said and str(model.parent) not in said
    assert not last[wan_runner.widgets.stop]["visible"] and not results(wan_runner)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip of one second without a person, not uploaded yet."""
    return make_clip(tmp_path / "clip.mp4", [grey(0)] * 25)


def test_wan_runner_refuses_long_clip_early(
    wan_runner: AnimateHandlers, two_person: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.form.MAX_WAN_DURATION_S", 0.5)
    wan_runner.sessions.uploads.register([str(clip)])
    items = (options(length="longest") | engine(), card(kind=CLIP, clip=str(clip)), card())
    last = list(wan_work(wan_runner, two_person, *items))[-1]
    message = last[wan_runner.widgets.message]
    assert "The longest clip reports a length of 1 s, and Wan makes at most 0.5 s" in message
    assert not last[wan_runner.widgets.stop]["visible"] and not results(wan_runner)


def test_preview_runner_refuses_long_clip_by_header(
    runner: AnimateHandlers, two_person: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.form.MAX_DURATION_S", 0.5)
    runner.sessions.uploads.register([str(clip)])
    monkeypatch.setattr(runner.sessions.animator.inputs, "tracks", lambda *_, **__: pytest.fail("it was tracked"))
    given = options(length="longest")
    last = list(work(runner, two_person, card(kind=CLIP, clip=str(clip)), card(), given=given))[-1]
    message = last[runner.widgets.message]
    assert "The longest clip reports a length of 1 s, and the preview makes at most 0.5 s" in message
    assert not last[runner.widgets.stop]["visible"] and not results(runner)


def test_wan_runner_cancels_while_measuring_clips(wan_runner: AnimateHandlers, two_person: Path, clip: Path) -> None:
    job = wan_runner.begin(VISITOR)[wan_runner.widgets.job]
    wan_runner.sessions.stop("me")
    wan_runner.sessions.uploads.register([str(clip)])
    items = (options(length="shortest") | engine(), card(kind=CLIP, clip=str(clip)), card())
    last = list(wan_work(wan_runner, two_person, *items, job=job))[-1]
    assert "Stopped" in last[wan_runner.widgets.message] and not results(wan_runner)


@pytest.mark.parametrize("full", ["results", "uploads"])
def test_runner_refuses_job_on_full_disk(
    runner: AnimateHandlers, two_person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    """The disk of the results, or that of gradio's temporary files."""
    (tmp_path / "results").mkdir()
    (tmp_path / "uploads").mkdir()
    runner.sessions.uploads.folder = tmp_path / "uploads"
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(
        "shutil.disk_usage", lambda folder: usage(10**9, 0, 1_000_000 if folder == tmp_path / full else 10**9)
    )
    monkeypatch.setattr(runner.sessions.queue, "events", lambda *_: pytest.fail("it was begun"))
    last = list(work(runner, two_person, card(), card()))[-1]
    message = last[runner.widgets.message]
    assert "A job needs about 32 MB in" in message and "where 1.0 MB are free" in message
    assert str(tmp_path) not in message and not last[runner.widgets.stop]["visible"]
