"""The endpoints of the API, for gradio_client, plain HTTP and MCP: `faces`, `animate`, `job`, `cancel`, `result`."""

import logging
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.events import api as add_endpoint

from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.studio.api import RESULT_FILES, StudioApi
from fantasyportrait.studio.studio import UNEXPECTED

ENDPOINTS = ("faces", "animate", "job", "cancel", "result")
PREFIX = "/gradio_api"

# The types and docstrings of the endpoints are their description in gradio's API page and for MCP clients.
Answer = dict[str, Any]
File = dict[str, Any] | str


def add_endpoints(api: StudioApi) -> None:
    """Add the endpoints to the app that is being built. They answer at once, and do not wait in gradio's queue."""

    def faces(photo: File) -> Answer:
        """Find the faces of a photo. Nothing is kept.

        Args:
            photo: The photo: an upload, or a data URL (data:image/png;base64,...). Web addresses are refused.

        Returns:
            width and height of the upright photo in pixels; faces: for each its number (face), its box [x0, y0, x1, y1] in pixels, and warnings; photo_messages: sentences about the photo.
        """
        return _answered(lambda: api.faces(photo))

    def animate(
        photo: File,
        clips: list[File] | None = None,
        cast: dict[str, str] | None = None,
        options: dict[str, Any] | None = None,
        token: str | None = None,
    ) -> Answer:
        """Start a video in which each face of a photo acts its own clip. Returns at once; ask job and result for more.

        Args:
            photo: The photo with one or several faces: an upload, or a data URL (data:image/png;base64,...). Web addresses are refused.
            clips: Driving clips, each an upload or a data URL (data:video/mp4;base64,...). Clip 1 drives face 1, clip 2 face 2; of a single clip with several people, person 1 drives face 1, person 2 face 2. Other faces play the motion idle.
            cast: What drives each face, by its number, in place of that rule: clip:1, clip:1#person=2, motion:talk, still. Motions: idle, nod, shake, smile, laugh, wink, blink, surprise, frown, sad, look_around, kiss, think, yawn, raise_brows, sleepy, talk, sing.
            options: engine (preview or wan), preset (draft, fast, ...; wan only), seconds (length), seed (wan only), sound (auto, none, or face:1 for the clip of face 1), side_by_side (true or false) and other options of the page, by their names; percentages from 0 to 100.
            token: The token of an earlier answer, so that its jobs take turns with this one; a new one if left out.

        Returns:
            token (a secret) and job, which the other endpoints take; state and place of the job; cast: what drives each face; width, height and faces of the photo, as faces returns them.
        """
        return _answered(lambda: api.animate(photo, clips, cast, options, token))

    def job(token: str, job: str) -> Answer:
        """The state of a job. A job of the engine preview is cancelled when its token is not used for ten minutes.

        Args:
            token: The token that animate returned.
            job: The job that animate returned.

        Returns:
            state: pending, running, done, failed or cancelled; place in the queue, from 0, while pending; stage, done and total (steps of the stage) and remaining_s (seconds) while running; messages; error.
        """
        return _answered(lambda: api.job(token, job))

    def cancel(token: str, job: str) -> Answer:
        """Take a job out of the queue, or stop it. A job that has ended stays as it is.

        Args:
            token: The token that animate returned.
            job: The job that animate returned.

        Returns:
            As job returns; stopping is true until a running job has stopped.
        """
        return _answered(lambda: api.cancel(token, job))

    def result(request: gr.Request, token: str, job: str) -> Answer:
        """The video of a job that is done, as a file with its URL. It is kept for six hours after the last call.

        Args:
            token: The token that animate returned.
            job: The job that animate returned.

        Returns:
            As job returns, with video, side_by_side, request (JSON that repeats the job) and poster: each a file with path and url, null where there is none or it is not made yet; duration_s (seconds), frames, seed.
        """
        root = str(request.url).partition(PREFIX)[0]
        return _answered(lambda: _with_files(api.result(token, job), root))

    for endpoint in (faces, animate, job, cancel, result):
        add_endpoint(endpoint, api_name=endpoint.__name__, queue=False)


def endpoint_ids(demo: gr.Blocks) -> frozenset[int]:
    """The numbers of the endpoints among the listeners of the app."""
    return frozenset(number for number, listener in demo.fns.items() if listener.api_name in ENDPOINTS)


def _answered(call: Callable[[], Answer]) -> Answer:
    """The answer of a call; its errors reach the caller as one sentence."""
    try:
        return call()
    except FantasyPortraitError as error:
        raise gr.Error(str(error), print_exception=False) from error
    except Exception as error:
        logging.getLogger(__name__).exception("a call of the API has failed")
        raise gr.Error(UNEXPECTED, print_exception=False) from error


def _with_files(answer: Answer, root: str) -> Answer:
    """The answer in which files have the path that gradio_client downloads, and the URL for every other client."""
    files = {name: answer[name] and {"path": answer[name], "url": f"{root}/{answer[name]}"} for name in RESULT_FILES}
    return {**answer, **files}
