"""The Animate and Stop buttons, and the progress of a run."""

import logging
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError
from fantasyportrait.schema import events
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animate_job import animate_job
from fantasyportrait.weights.store import models_dir
from ui import form, html_snippets, strings
from ui.card_state import SessionPhoto
from ui.components.option_widget import Widgets, named_values
from ui.components.result import ResultWidgets, show_result
from ui.engine_values import WAN
from ui.length_limits import check_reported_length, check_tracked_length
from ui.option_values import Values
from ui.sessions import SessionManager

PREVIEW_IMAGE_SIDE = 360
# The length of our own queue, which shows each job its position; further jobs wait in gradio's queue.
MAX_QUEUED_JOBS = 16
Updates = dict[Any, Any]


@dataclass(frozen=True)
class RunWidgets:
    """The widgets of a run; `job` is the id of the session's current job."""

    animate: gr.Button
    stop: gr.Button
    message: gr.HTML
    progress: gr.HTML
    preview_image: gr.HTML
    job: gr.State

    def outputs(self) -> list[Any]:
        """All of them, as the outputs of a listener."""
        return [getattr(self, name) for name in self.__dataclass_fields__]


def render_run() -> RunWidgets:
    """Place the widgets."""
    with gr.Row():
        animate = gr.Button("Animate", variant="primary", scale=3, elem_id="animate")
        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop", min_width=100)
    message = gr.HTML(elem_id="message")
    progress = gr.HTML(elem_id="progress")
    preview_image = gr.HTML(elem_id="preview-image")
    return RunWidgets(animate, stop, message, progress, preview_image, gr.State(""))


def bind_stop(widgets: RunWidgets, sessions: SessionManager) -> None:
    """Stop cancels all jobs of the session."""

    def stop(request: gr.Request) -> Any:
        sessions.stop(request.session_hash or "")
        return gr.update(value=strings.STOPPING, interactive=False)

    hidden: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
    widgets.stop.click(stop, None, widgets.stop, **hidden)


def bind_run(
    widgets: RunWidgets,
    portrait: gr.State,
    chosen: Widgets,
    cards: Sequence[Widgets],
    result: ResultWidgets,
    sessions: SessionManager,
) -> None:
    """Animate registers a job, which Stop can cancel while it is queued, and then runs it.

    `chosen` are the widgets of the options and, where there is a choice, of the engine; `cards` those of each face.
    """
    runner = AnimateHandlers(widgets, result, sessions)

    def work(request: gr.Request, values: dict[Any, Any]) -> Iterator[Updates]:
        faces = [named_values(card, values) for card in cards]
        yield from runner.work(request, values[portrait], values[widgets.job], named_values(chosen, values), faces)

    # The keys keep a run alive while the cards are rendered again for another photo.
    hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    begun = widgets.animate.click(runner.begin, None, widgets.outputs(), queue=False, key="begin", **hidden)
    worked = begun.then(
        work,
        {portrait, widgets.job, *chosen.values(), *(widget for card in cards for widget in card.values())},
        [*widgets.outputs(), *result.outputs()],
        concurrency_id="work",
        concurrency_limit=MAX_QUEUED_JOBS,
        key="work",
        **hidden,
    )
    # In a step of its own: until gradio has seen the end of the work it drops the work of another click.
    worked.then(runner.enable, None, widgets.animate, queue=False, key="enable", **hidden)
    # gradio itself refuses a full queue and a value that no widget offers; then `work` is not called.
    worked.failure(runner.fail, widgets.job, widgets.outputs(), queue=False, key="fail", **hidden)


@dataclass(frozen=True)
class AnimateHandlers:
    """The listeners of Animate."""

    widgets: RunWidgets
    result: ResultWidgets
    sessions: SessionManager

    def begin(self, request: gr.Request) -> Updates:
        """Register the job."""
        return {
            self.widgets.job: self.sessions.open_job(request.session_hash or ""),
            self.widgets.animate: gr.update(interactive=False),
            self.widgets.stop: gr.update(value="Stop", visible=True, interactive=True),
            self.widgets.message: "",
            self.widgets.progress: html_snippets.progress_bar(strings.QUEUED, 0),
            self.widgets.preview_image: "",
        }

    def fail(self, request: gr.Request, job: str) -> Updates:
        """Reset the page where gradio refused to call `work`."""
        self.sessions.close_job(request.session_hash or "", job)
        return {**self._reset_page(html_snippets.error_html(strings.REFUSED)), self.widgets.animate: self.enable()}

    def enable(self) -> Any:
        """The update of the Animate button that makes it ready for the next run."""
        return gr.update(interactive=True)

    def work(
        self, request: gr.Request, portrait: SessionPhoto | None, job: str, options: Values, cards: Sequence[Values]
    ) -> Iterator[Updates]:
        """Run the job of these options and cards; yields updates of the page, the last of which resets it."""
        session = request.session_hash or ""
        job = job if self.sessions.token(session, job) else self.sessions.open_job(session)
        try:
            if portrait is None or not portrait.path:
                yield self._reset_page(html_snippets.error_html(strings.NO_PHOTO))
                return
            yield from self._events(session, job, self._request(session, portrait, options, cards))
        except FantasyPortraitError as error:
            yield self._reset_page(html_snippets.error_with_messages(error, _paths(portrait)))
        except Exception:
            logging.getLogger(__name__).exception("a run has failed")
            yield self._reset_page(html_snippets.error_html(strings.UNEXPECTED_ERROR))
        finally:
            self.sessions.close_job(session, job)

    def _events(self, session: str, job: str, request: AnimationRequest) -> Iterator[Updates]:
        token = self.sessions.token(session, job) or CancelToken()
        try:
            yield from self._run(session, request, token)
        except Cancelled:
            yield self._reset_page(html_snippets.message_html(strings.STOPPED))
        except FantasyPortraitError as error:
            yield self._reset_page(self._refusal(error, request))

    def _run(self, session: str, request: AnimationRequest, token: CancelToken) -> Iterator[Updates]:
        """Check the length of a video that is as long as its clips, as Wan takes minutes a second; then run it."""
        self.sessions.check_disk_space()
        if isinstance(request.duration, str):
            longest_s = form.longest_s(request.engine)
            yield {self.widgets.progress: html_snippets.progress_bar(strings.STAGES["driving"], 0)}
            check_reported_length(self.sessions.animator.inputs, request, longest_s)
            if request.engine == WAN:
                with self.sessions.analysis_lock(token):
                    check_tracked_length(self.sessions.animator.inputs, request, longest_s, token)
        output = self.sessions.new_result(session)
        event_stream = self.sessions.queue.events(animate_job(request, output), token)
        texts: list[str] = []
        done = disconnected = False
        try:
            for event in event_stream:
                done = isinstance(event, events.Done)
                yield from self._updates(event, request, texts)
        except GeneratorExit:
            disconnected = True
            token.cancel()
            raise
        finally:
            if disconnected:
                # gradio closes this generator on the server's event loop, where waiting would block all visitors.
                ending = (event_stream, output, done)
                threading.Thread(target=self._clean_up, args=ending, name="fantasyportrait-ending", daemon=True).start()
            else:
                self._clean_up(event_stream, output, done)

    def _clean_up(self, event_stream: Generator[events.Event, None, None], output: Path, done: bool) -> None:
        """Stop the job, wait until it has ended, and remove its folder if it has no result."""
        try:
            event_stream.close()
        except Exception:
            logging.getLogger(__name__).exception("a run did not end well")
        finally:
            self.sessions.close_result(output)
            if not done:
                self.sessions.discard(output)

    def _request(
        self, session: str, portrait: SessionPhoto, options: Values, cards: Sequence[Mapping[str, Any]]
    ) -> AnimationRequest:
        """The request from the values of the page.

        Raises `RequestError`, also for a clip that this session did not upload.
        """
        authorize = partial(self.sessions.uploads.authorize, session)
        shown = enumerate(cards[: len(portrait.thumbnails)], start=1)
        faces = {face: form.authorize_files(face, form.CardValues(**card), authorize) for face, card in shown}
        return form.build_request(Path(portrait.path), faces, options, self.sessions.model)

    def _updates(self, event: events.Event, request: AnimationRequest, texts: list[str]) -> Iterator[Updates]:
        """The updates of the page for an event; `texts` collects the messages of the run so far."""
        if isinstance(event, events.Queued):
            yield {self.widgets.progress: html_snippets.progress_bar(strings.queued_text(event.position), 0)}
        elif isinstance(event, events.Stage):
            yield {self.widgets.progress: html_snippets.progress_bar(strings.STAGES[event.name], 0)}
        elif isinstance(event, events.Step):
            percent = 100 * event.done / event.total
            yield {self.widgets.progress: html_snippets.progress_bar(strings.step_text(event), percent)}
        elif isinstance(event, events.Message):
            # A job that restarts on another worker emits its messages again.
            if event.text not in texts:
                texts.append(event.text)
                shown = [strings.hide_paths(text, self._hidden(request)) for text in texts]
                yield {self.widgets.message: "".join(map(html_snippets.message_html, shown))}
        elif isinstance(event, events.PreviewImage):
            url = html_snippets.data_url(event.image, PREVIEW_IMAGE_SIDE)
            yield {self.widgets.preview_image: html_snippets.picture(url, "the result so far")}
        elif isinstance(event, events.Done):
            yield {**self._reset_page(""), **show_result(self.result, event.result)}
        elif isinstance(event, events.Cancelled):
            yield self._reset_page(html_snippets.message_html(strings.STOPPED))
        elif isinstance(event, events.Failed):
            yield self._reset_page(self._refusal(event.error, request))

    def _refusal(self, error: FantasyPortraitError, request: AnimationRequest) -> str:
        """The HTML of the error and its messages, without paths of the server."""
        return html_snippets.error_with_messages(error, self._hidden(request))

    def _hidden(self, request: AnimationRequest) -> list[Path]:
        """The paths of the server that are hidden from visitors."""
        models = self.sessions.animator.inputs.models_dir or models_dir()
        return [*form.private_paths(request), models, *self.sessions.served]

    def _reset_page(self, message: str) -> Updates:
        """The updates that show the page without a run; `enable` follows for the Animate button."""
        return {
            self.widgets.job: "",
            self.widgets.stop: gr.update(visible=False),
            self.widgets.message: message,
            self.widgets.progress: "",
            self.widgets.preview_image: "",
        }


def _paths(portrait: SessionPhoto | None) -> list[Path]:
    return [Path(portrait.path)] if portrait else []
