"""Presenter mode of a session: its scene live, one face driven by the visitor's camera, and recordings of it."""

import base64
import binascii
import itertools
import json
import logging
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from fantasyportrait.core.errors import FantasyPortraitError, OutputError, RequestError
from fantasyportrait.live.live_scene import LiveScene
from fantasyportrait.live.live_scenes import LiveScenes
from fantasyportrait.live.recording import RATE
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.schema.events import PreviewImage
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.engine_values import LIVE
from fantasyportrait.studio.job_actions import job_label, result_folder, save_poster, session_request
from fantasyportrait.studio.job_inputs import VIDEO_NAME
from fantasyportrait.studio.scene_loops import shown_cards, shown_options
from fantasyportrait.studio.session_store import RESULTS, Session, SessionStore
from fantasyportrait.studio.state import FREE, MOTION, STILL
from fantasyportrait.workers.job_scheduler import JobScheduler
from fantasyportrait.workers.job_store import JobRecord


class Presenter:
    """The live scenes of all sessions, one for each. Threads may share it.

    A recording becomes a result of its session, as a job that is done. It is kept also where the scene ends without
    the visitor, as after a lost connection.
    """

    def __init__(self, sessions: SessionStore, animator: Animator, scheduler: JobScheduler) -> None:
        self._sessions, self._scheduler = sessions, scheduler
        self._scenes = LiveScenes(animator, on_end=self._keep)
        # The id of the result by that of the session; read and changed by the thread that uses the scene.
        self._recordings: dict[str, str] = {}

    def open(self, session: Session) -> None:
        """Prepare the session's scene as it is now; the camera's left and right are swapped, as in a mirror.

        Raises `RequestError` without a photo, and what `LiveScenes.open` raises.
        """
        self._scenes.open(session.id, live_request(session), mirror=True)

    def close(self, session: Session) -> None:
        """End the scene and its recording; nothing happens where there is none."""
        self._scenes.close(session.id)

    def step(self, session: Session, call: Mapping[str, Any]) -> dict[str, Any]:
        """The next frame of the scene, as base64 of a JPEG, with what `LiveFrame` says of it.

        `call` has the camera's "frame", base64 of a JPEG or WebP of at most 512 kB or None, the live "face", and
        "at_s". "server_ms" is the time in this call, which includes waiting for an earlier one.
        """
        start_s = time.perf_counter()
        camera, face, at_s = _camera(call.get("frame")), call.get("face"), call.get("at_s")
        if isinstance(face, bool) or not isinstance(face, int):
            raise RequestError("the live face is {face!r}: give the number of a face", face=face)
        if isinstance(at_s, bool) or not isinstance(at_s, int | float):
            raise RequestError(
                "the time of a live frame is {at_s!r}: give seconds since the start of the scene", at_s=at_s
            )
        with self._scenes.use(session.id) as scene:
            try:
                made = scene.step_jpeg(camera, at_s, face)
            except OutputError:  # the recording has ended
                _remove(session, self._recordings.pop(session.id, None))
                raise
        return {
            "frame": base64.b64encode(made.jpeg).decode("ascii"),
            "seen": made.frame.seen,
            "calibrated": made.frame.calibrated,
            "recorded_s": made.frame.recorded_s,
            "server_ms": 1000 * (time.perf_counter() - start_s),
        }

    def recalibrate(self, session: Session) -> None:
        """Take another neutral face in the next second."""
        with self._scenes.use(session.id) as scene:
            scene.recalibrate()

    def start_recording(self, session: Session) -> None:
        """Record from the next frame on, for at most 60 s, into the session's folder."""
        with self._scenes.use(session.id) as scene:
            if session.id in self._recordings:
                raise RequestError("this scene is being recorded already: stop that recording first")
            job = uuid.uuid4().hex
            folder = result_folder(session, job)
            try:
                scene.start_recording(folder / VIDEO_NAME)
            except FantasyPortraitError:
                _remove(session, job)
                raise
            self._recordings[session.id] = job

    def stop_recording(self, session: Session) -> None:
        """Finish the recording, which becomes a result of the session."""
        with self._scenes.use(session.id) as scene:
            self._finish(session, scene)

    def close_all(self) -> None:
        """The app ends: end all scenes, and keep their recordings."""
        self._scenes.close_all()

    def _keep(self, owner: str, scene: LiveScene) -> None:
        """Finish the recording of a scene that ends."""
        session = self._sessions.by_id(owner)
        try:
            if session is not None and owner in self._recordings:
                self._finish(session, scene)
        except FantasyPortraitError as error:
            logging.getLogger(__name__).warning("a recording is lost: %s", error)
        except Exception:
            logging.getLogger(__name__).exception("a recording is lost")

    def _finish(self, session: Session, scene: LiveScene) -> None:
        job = self._recordings.pop(session.id, None)
        if job is None:
            raise RequestError("nothing is being recorded: start a recording first")
        request = scene.request
        try:
            video = scene.stop_recording()
            seconds = probe_clip(video).duration_s
            label = {**job_label(session, session.state, request), "engine": LIVE}
            record = JobRecord(job, session.id, request.to_json(), json.dumps(label), created_s=time.time())
            for frame in itertools.islice(read_clip(video), 1):
                save_poster(session, record, PreviewImage(frame))
        except FantasyPortraitError:
            _remove(session, job)
            raise
        result: dict[str, Any] = {
            "video": video.name,
            "side_by_side": None,
            "request": None,
            "messages": [],
            "frames": round(Fraction(seconds) * RATE),
            "duration_s": seconds,
        }
        self._scheduler.add_done(record, json.dumps(result))
        session.changed()


def live_request(session: Session) -> AnimationRequest:
    """The session's scene by the preview engine; all faces may be still, and one that is left to the model idles."""
    state = session.state
    cards = shown_cards(state)
    # A video in which every face is still is refused, but here the camera moves one.
    moving = {
        face: replace(card, kind=MOTION, motion="idle") if card.kind in (STILL, FREE) else card
        for face, card in cards.items()
    }
    request = session_request(session, state, moving, shown_options(state))
    cast = tuple(replace(role, source=None) if cards[role.face].kind == STILL else role for role in request.cast)
    return replace(request, cast=cast)


def _remove(session: Session, job: str | None) -> None:
    """Remove the folder of a recording that has failed."""
    if job is not None:
        shutil.rmtree(session.path(f"{RESULTS}/{job}"), ignore_errors=True)


def _camera(frame: object) -> bytes | None:
    """The bytes of the camera's picture."""
    if frame is None:
        return None
    try:
        return base64.b64decode(frame, validate=True)  # type: ignore[arg-type]
    except (ValueError, TypeError, binascii.Error) as error:
        raise RequestError("the camera's picture is no base64 text: reload the page") from error
