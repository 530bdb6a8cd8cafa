"""The Animate and Stop buttons, and how far the work is."""

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
# So many jobs stand in our own line, which knows the workers and tells each its place; further ones wait in gradio's.
MAX_QUEUED_JOBS = 16
Updates = dict[Any, Any]


@dataclass(frozen=True)
class RunWidgets:
    """The widgets of a run; `job` is the id of the session's run under way."""

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
    """Stop ends what the session has under way, at once."""

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
    """Animate: first a job that Stop can end while it still waits for its turn, then the work itself.

    `chosen` are the widgets of the options and, where there is a choice, of the engine; `cards` those of each face.
    """
    runner = AnimateHandlers(widgets, result, sessions)

    def work(request: gr.Request, values: dict[Any, Any]) -> Iterator[Updates]:
        faces = [named_values(card, values) for card in cards]
        yield from runner.work(request, values[portrait], values[widgets.job], named_values(chosen, values), faces)

    # The keys keep a run alive while the cards are drawn anew for another photo.
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
    # Not before gradio has seen the end of the work: until then it drops the work of another click.
    worked.then(runner.enable, None, widgets.animate, queue=False, key="enable", **hidden)
    # gradio itself refuses a full queue and a value that no widget offers; then the listener above is not called.
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
        """The work was not even begun."""
        self.sessions.close_job(request.session_hash or "", job)
        return {**self._reset_page(html_snippets.error_html(strings.REFUSED)), self.widgets.animate: self.enable()}

    def enable(self) -> Any:
        """The update of the Animate button that makes it ready for the next run."""
        return gr.update(interactive=True)

    def work(
        self, request: gr.Request, portrait: SessionPhoto | None, job: str, options: Values, cards: Sequence[Values]
    ) -> Iterator[Updates]:
        """Run the job of these options and cards; yields what changes on the page, which shows no work at the end."""
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
        """Look at the length where that of the clips decides it, then run. Wan takes minutes for each second of it."""
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
        said: list[str] = []
        done = disconnected = False
        try:
            for event in event_stream:
                done = isinstance(event, events.Done)
                yield from self._shown(event, request, said)
        except GeneratorExit:
            disconnected = True
            token.cancel()
            raise
        finally:
            if disconnected:
                # gradio closes us on the server's event loop: all visitors would wait until this one's work has ended.
                ending = (event_stream, output, done)
                threading.Thread(target=self._clean_up, args=ending, name="fantasyportrait-ending", daemon=True).start()
            else:
                self._clean_up(event_stream, output, done)

    def _clean_up(self, event_stream: Generator[events.Event, None, None], output: Path, done: bool) -> None:
        """Wait until the work has ended, which closing its events asks for, and leave no folder without a result."""
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

    def _shown(self, event: events.Event, request: AnimationRequest, said: list[str]) -> Iterator[Updates]:
        """What an event changes on the page; `said` keeps the sentences of the run so far."""
        if isinstance(event, events.Queued):
            yield {self.widgets.progress: html_snippets.progress_bar(strings.queued_text(event.position), 0)}
        elif isinstance(event, events.Stage):
            yield {self.widgets.progress: html_snippets.progress_bar(strings.STAGES[event.name], 0)}
        elif isinstance(event, events.Step):
            percent = 100 * event.done / event.total
            yield {self.widgets.progress: html_snippets.progress_bar(strings.step_text(event), percent)}
        elif isinstance(event, events.Message):
            # A job that restarts on another worker emits its messages again.
            if event.text not in said:
                said.append(event.text)
                texts = [strings.hide_paths(text, self._hidden(request)) for text in said]
                yield {self.widgets.message: "".join(map(html_snippets.message_html, texts))}
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
        """The error and what was noticed before it, without the places of files on the server."""
        return html_snippets.error_with_messages(error, self._hidden(request))

    def _hidden(self, request: AnimationRequest) -> list[Path]:
        """The places on the server that no visitor is told."""
        models = self.sessions.animator.inputs.models_dir or models_dir()
        return [*form.private_paths(request), models, *self.sessions.served]

    def _reset_page(self, message: str) -> Updates:
        """The page as it is when nothing runs, but for Animate: `enable` follows."""
        return {
            self.widgets.job: "",
            self.widgets.stop: gr.update(visible=False),
            self.widgets.message: message,
            self.widgets.progress: "",
            self.widgets.preview_image: "",
        }


def _paths(portrait: SessionPhoto | None) -> list[Path]:
    return [Path(portrait.path)] if portrait else []
