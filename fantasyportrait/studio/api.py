"""What programs do with a running app: find faces, animate, follow a job, cancel it, fetch its result."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.api_cast import cast_text, count_people, default_cast, read_cast
from fantasyportrait.studio.api_files import keep_file
from fantasyportrait.studio.cast_actions import check_values
from fantasyportrait.studio.clip_actions import MAX_CLIPS
from fantasyportrait.studio.clip_report import check_reported_length
from fantasyportrait.studio.clip_state import ClipState
from fantasyportrait.studio.downloads import SIDE_BY_SIDE
from fantasyportrait.studio.engine_values import preset_values
from fantasyportrait.studio.job_actions import JobActions, state_file_names
from fantasyportrait.studio.library_view import downloads_view, job_view, result_view
from fantasyportrait.studio.messages import hide_paths
from fantasyportrait.studio.option_values import form_options
from fantasyportrait.studio.photo_intake import read_photo
from fantasyportrait.studio.request_form import DEFAULT_OPTIONS
from fantasyportrait.studio.session_store import FILES, Session, SessionStore, forget_files, new_id
from fantasyportrait.studio.state import Card, PhotoState, SessionState
from fantasyportrait.studio.uploads import UploadRegistry
from fantasyportrait.workers.job_store import JobRecord

UNKNOWN = "this token and job lead to nothing: they are wrong, or have expired; animate returns both"
JOB_FIELDS = ("state", "stopping", "place", "engine", "stage", "done", "total", "remaining_s", "messages", "error")
RESULT_FIELDS = ("seed", "duration_s", "frames")
RESULT_FILES = ("video", SIDE_BY_SIDE, "request", "poster")
_JOB = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class StudioApi:
    """The calls of programs, with the checks, limits and queue of the page. Threads may share it.

    A call works in a session, whose token it returns; what the session's page shows does not change. Every method
    raises `FantasyPortraitError` for what a caller got wrong, in one sentence without paths of the server.
    """

    sessions: SessionStore
    uploads: UploadRegistry
    animator: Animator
    jobs: JobActions

    def faces(self, photo: object) -> dict[str, Any]:
        """The size of the upright photo, and its faces: number, xyxy box in pixels, warnings. Nothing is kept."""
        with self._new_session() as (_, session):
            try:
                path, name = keep_file(session, self.uploads, photo, "photo")
                return _faces_answer(self._read_photo(session, path, name))
            finally:
                self.sessions.remove(session.id)

    def animate(
        self, photo: object, clips: object = None, cast: object = None, options: object = None, token: object = ""
    ) -> dict[str, Any]:
        """Submit a job; returns its token, id, state and place, the cast that it uses, and the faces.

        Without a `cast`, `api_cast.default_cast` decides. Without a `token` a session begins.
        """
        if not token:
            with self._new_session() as (token, session):
                return self._animate(token, session, photo, clips, cast, options)
        return self._animate(token, self._find_session(token), photo, clips, cast, options)

    def job(self, token: object, job: object) -> dict[str, Any]:
        """The state of a job: its place while it is pending, its progress while it runs."""
        session, record = self._find(token, job)
        return self._answer(session, record)

    def cancel(self, token: object, job: object) -> dict[str, Any]:
        """Take a job out of the queue, or stop it; returns its state. One that has ended stays as it is."""
        session, record = self._find(token, job)
        self.jobs.cancel(session, record.id)
        return self.job(token, job)

    def result(self, token: object, job: object) -> dict[str, Any]:
        """The state of a job, and once it is done its files, as paths of their URLs, else none."""
        session, record = self._find(token, job)
        files: dict[str, Any] = dict.fromkeys(RESULT_FILES)
        answer = self._answer(session, record)
        if record.state != "done":
            return {**answer, **files}
        # The side by side is made when the job is done, and is None until it is there.
        side_by_side = downloads_view(session, record, self.jobs.downloads)[SIDE_BY_SIDE]["url"]
        view = {**result_view(session, record), SIDE_BY_SIDE: side_by_side}
        return {**answer, **{name: view[name] for name in (*RESULT_FIELDS, *RESULT_FILES)}}

    def _animate(
        self, token: object, session: Session, photo: object, clips: object, cast: object, options: object
    ) -> dict[str, Any]:
        values = self._options(options)
        # All files before the photo is analysed, which takes longest.
        photo_path, name = keep_file(session, self.uploads, photo, "photo")
        driving = self._clips(session, clips)
        found = self._read_photo(session, photo_path, name)
        state = SessionState(found, clips=driving, options=values)
        with _visitor_names(session, state):
            cards = self._cards(session, state, cast)
            record = self.jobs.run(session, replace(state, cards=cards))
        return {
            "token": token,
            **self._answer(session, self.jobs.scheduler.job(session.id, record.id)),
            "cast": cast_text(cards, state.clips),
            **_faces_answer(found),
        }

    def _read_photo(self, session: Session, path: str, name: str) -> PhotoState:
        photo = read_photo(session, self.animator, path, name)
        forget_files(session, *(face.thumbnail for face in photo.faces))
        if photo.error:
            raise RequestError(photo.error)
        return photo

    def _clips(self, session: Session, given: object) -> tuple[ClipState, ...]:
        if not isinstance(given, list | None):
            raise RequestError("the clips are no list: give a list of uploads, or of data URLs")
        if len(given or ()) > MAX_CLIPS:
            raise RequestError(
                "there are {count} clips: give at most {max_clips}", count=len(given or ()), max_clips=MAX_CLIPS
            )
        clips = tuple(self._clip(session, each, f"clip {number}") for number, each in enumerate(given or (), start=1))
        limit_s = self.animator.inputs.decoder.limits.clip_length_s
        with _visitor_names(session, SessionState(clips=clips)):
            for clip in clips:
                check_reported_length(self.animator.inputs.decoder.probe(session.path(clip.path)), limit_s)
        return clips

    def _clip(self, session: Session, given: object, what: str) -> ClipState:
        path, name = keep_file(session, self.uploads, given, what)
        return ClipState(new_id(), name, path)

    def _cards(self, session: Session, state: SessionState, cast: object) -> dict[int, Card]:
        faces = [face.id for face in state.faces]
        if cast:
            return read_cast(cast, faces, state.clips)
        people = 1
        if len(state.clips) == 1 and len(faces) > 1:
            people = count_people(self.animator.inputs, session.path(state.clips[0].path))
        return default_cast(faces, state.clips, people)

    def _options(self, given: object) -> dict[str, Any]:
        """The values of the form from the options of a call: a preset is replaced by its values."""
        if not isinstance(given, Mapping | None):
            raise RequestError('the options are no mapping: give one such as {"seconds": 4, "seed": 7}')
        values = dict(given or {})
        check_values(values)
        owners = [AnimationRequest, *([Sampling] if self.jobs.model is not None else [])]
        known = {*DEFAULT_OPTIONS, "preset", *(option.name for owner in owners for option in form_options(owner))}
        known.discard("duration")
        unknown = sorted(set(values) - known)
        if unknown:
            raise RequestError(
                "there is no option {unknown!r}: choose from {names}",
                unknown=unknown[0],
                names=", ".join(sorted(known)),
            )
        if "seconds" in values:
            values.setdefault("length", "seconds")
        if "preset" in values:
            values = {**preset_values(values.pop("preset")), **values}
        return values

    @contextmanager
    def _new_session(self) -> Iterator[tuple[str, Session]]:
        """A session that begins, with its token; it is removed again where the block fails."""
        token = self.sessions.create()
        session = self._find_session(token)
        try:
            yield token, session
        except BaseException:
            self.sessions.remove(session.id)
            raise

    def _find_session(self, token: object) -> Session:
        session = self.sessions.find(token)
        if session is None:
            raise RequestError(UNKNOWN)
        session.touch()
        return session

    def _find(self, token: object, job: object) -> tuple[Session, JobRecord]:
        """A job of the session of a token; the same error whether the token, the job or neither exists."""
        session = self._find_session(token)
        if not isinstance(job, str) or not _JOB.fullmatch(job):
            raise RequestError(UNKNOWN)
        try:
            record = self.jobs.scheduler.job(session.id, job)
        except RequestError as error:
            raise RequestError(UNKNOWN) from error
        self.jobs.scheduler.touch(session.id)
        return session, record

    def _answer(self, session: Session, record: JobRecord) -> dict[str, Any]:
        view = job_view(session, record)
        return {"job": record.id, **{name: view[name] for name in JOB_FIELDS}}


@contextmanager
def _visitor_names(session: Session, state: SessionState) -> Iterator[None]:
    """Errors of the block name files as their owner does."""
    names = {session.path(f"{FILES}/{ours}"): name for ours, name in state_file_names(state).items()}
    try:
        yield
    except FantasyPortraitError as error:
        raise RequestError(hide_paths(error, names)) from error


def _faces_answer(photo: PhotoState) -> dict[str, Any]:
    width, height = photo.size
    scale = (width, height, width, height)
    return {
        "width": width,
        "height": height,
        "photo_messages": list(photo.messages),
        "faces": [
            {
                "face": face.id,
                "box": [round(part * side, 1) for part, side in zip(face.box, scale, strict=True)],
                "warnings": list(face.warnings),
            }
            for face in photo.faces
        ],
    }
