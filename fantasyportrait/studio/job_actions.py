"""Actions on jobs: Animate, and what the page does with jobs in the queue and with results."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.disk_space import check_disk_space
from fantasyportrait.core.errors import OutputError, RequestError
from fantasyportrait.images.images import save_image
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.events import Event, PreviewImage, Result, Stage, Step
from fantasyportrait.schema.request import AnimationRequest, from_json
from fantasyportrait.service.animate_job import animate_job
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.studio.clip_checks import ClipChecks
from fantasyportrait.studio.downloads import SIDE_BY_SIDE, Downloads
from fantasyportrait.studio.engine_values import LIVE, PREVIEW, WAN
from fantasyportrait.studio.job_inputs import VIDEO_NAME, link_file, link_inputs, save_texts
from fantasyportrait.studio.length_limits import check_reported_length, check_tracked_length
from fantasyportrait.studio.request_form import build_request, longest_s
from fantasyportrait.studio.session_store import RESULTS, SHOWN, Session, SessionStore, forget_files
from fantasyportrait.studio.shared_links import SharedLinks
from fantasyportrait.studio.state import Card, SessionState
from fantasyportrait.workers.job import Job
from fantasyportrait.workers.job_runner import JobHandlers
from fantasyportrait.workers.job_scheduler import JobScheduler
from fantasyportrait.workers.job_store import JobRecord

JOB_BYTES = 32_000_000
"""Free space that a job needs to start; the run itself checks the size of its result."""
GRACE_S: Mapping[str, float | None] = {PREVIEW: 600.0, WAN: None}
"""How long a job goes on after its page was closed: a preview is quick to make again, a video of Wan is not."""


@dataclass(frozen=True)
class JobActions:
    """Actions on the jobs of a session; `model` is that of the diffusion engine, None where there is none."""

    sessions: SessionStore
    inputs: InputReader
    scheduler: JobScheduler
    downloads: Downloads
    links: SharedLinks
    model: str | None

    def animate(self, session: Session) -> None:
        """Submit a job for the photo, cast and options of the session; raises `RequestError` where they cannot run."""
        self.run(session, session.state)

    def run(self, session: Session, state: SessionState) -> JobRecord:
        """Submit a job for a state whose files are in the session's folder; raises `RequestError`."""
        cards = {face.id: state.card(face.id) for face in state.faces}
        request = session_request(session, state, cards, state.options, self.model)
        check_disk_space(session.folder, JOB_BYTES, "a job")
        if isinstance(request.duration, str):
            check_reported_length(self.inputs, request, longest_s(request.engine))
        return self.submit(session, state, request)

    def submit(self, session: Session, state: SessionState, request: AnimationRequest) -> JobRecord:
        """Submit a job for a request whose files are in the session's folder.

        The side by side is made afterwards, so that the result is there sooner.
        """
        label = job_label(session, state, request)
        return self.scheduler.submit(session.id, replace(request, side_by_side=False).to_json(), json.dumps(label))

    def cancel(self, session: Session, job: str) -> None:
        """Take a job out of the queue, or stop it."""
        self.scheduler.cancel(session.id, job)

    def retry(self, session: Session, job: str) -> None:
        """Run a job again that failed or was cancelled."""
        self.scheduler.retry(session.id, job)

    def duplicate(self, session: Session, job: str) -> None:
        """Submit the same job once more; raises `RequestError` for a recording, which no job can repeat."""
        check_repeatable(self.scheduler.job(session.id, job))
        self.scheduler.duplicate(session.id, job)

    def move(self, session: Session, job: str, before: str | None) -> None:
        """Put a pending job before another one of the session, or last."""
        self.scheduler.move(session.id, job, before)

    def delete(self, session: Session, job: str) -> None:
        """Remove a job with its result; one that runs is stopped, and its files go when it has ended."""
        self.forget(session, [self.scheduler.delete(session.id, job)])

    def delete_all(self, session: Session) -> None:
        """Remove all jobs that have ended, with their results."""
        ended = [job.id for job in self.scheduler.jobs(session.id) if job.ended]
        self.forget(session, [self.scheduler.delete(session.id, job) for job in ended])

    def forget(self, session: Session, records: Sequence[JobRecord]) -> None:
        """Remove the files of jobs that were deleted."""
        for record in records:
            self.downloads.cancel(record.id)
            self.links.take_back(session, record.id)
            if record.state != "running":
                remove_files(session, record)
        kept = {json.loads(job.label)["thumbnail"] for job in self.scheduler.jobs(session.id)}
        forget_files(session, *({json.loads(record.label)["thumbnail"] for record in records} - kept))
        session.changed()


def session_request(
    session: Session,
    state: SessionState,
    cards: Mapping[int, Card],
    options: Mapping[str, Any],
    model: str | None = None,
) -> AnimationRequest:
    """The request for the photo of a state; raises `RequestError` for what is missing or out of its range."""
    if state.photo is None:
        raise RequestError("there is no photo yet: upload one, or try an example")
    if state.photo.error:
        raise RequestError(state.photo.error)
    photo = session.path(state.photo.path)
    request = build_request(photo, cards, options, lambda clip: session.path(state.clip(clip).path), model)
    return replace(request, face_edits=state.photo.edits)


def file_names(session: Session) -> dict[str, str]:
    """The visitor's names of the session's files, by the names of our own."""
    return state_file_names(session.state)


def state_file_names(state: SessionState) -> dict[str, str]:
    """The visitor's names of the files of a state, by the names of our own."""
    photo = [(state.photo.path, state.photo.name)] if state.photo else []
    return {Path(path).name: name for path, name in [*photo, *((clip.path, clip.name) for clip in state.clips)]}


@dataclass(frozen=True)
class SessionJobs:
    """How the scheduler runs the jobs of sessions: their owner is the id of the session."""

    sessions: SessionStore
    inputs: InputReader
    checks: ClipChecks
    downloads: Downloads

    def handlers(self) -> JobHandlers:
        """The functions that the scheduler calls."""
        return JobHandlers(self.make_job, self.encode_result, self.on_event, self.on_end, self.prepare)

    def prepare(self, record: JobRecord, emit: Callable[[Event], None], cancel: CancelToken) -> None:
        """Wait for the checks of the job's clips, so that each is tracked once; then refuse a video that is too long.

        Minutes of Wan are not spent on a clip that lasts longer than its file says.
        """
        request = from_json(record.payload)
        for path in dict.fromkeys(clip.path for clip in request.clips):
            emit(Stage("driving"))
            self.checks.join(
                record.owner,
                record.id,
                path,
                lambda done, total: emit(Step("driving", done, total, None)) if total else None,
                cancel,
            )
        if request.engine == WAN and isinstance(request.duration, str):
            check_tracked_length(self.inputs, request, longest_s(request.engine), cancel)

    def make_job(self, record: JobRecord) -> Job:
        """The job of a record; its result goes into a folder of its own in the session's."""
        folder = result_folder(self._session(record), record.id)
        try:
            # Under the visitor's names, which the video, its side by side and its messages then have.
            request = link_inputs(from_json(record.payload), json.loads(record.label)["names"], folder)
        except OSError as error:
            raise OutputError(
                "the result cannot be kept ({error}): try again later", error=error.strerror or error
            ) from error
        return animate_job(request, folder / VIDEO_NAME)

    def encode_result(self, result: Result) -> str:
        """The result as JSON; the request beside the video names files as the visitor does."""
        data = asdict(result)
        for name in ("video", "side_by_side", "request"):
            data[name] = data[name].name if data[name] is not None else None
        return json.dumps(data)

    def on_event(self, record: JobRecord, event: Event) -> None:
        """Keep the latest preview image; it becomes the poster of the result."""
        if isinstance(event, PreviewImage):
            session = self.sessions.by_id(record.owner)
            if session is not None:
                save_poster(session, record, event)

    def on_end(self, record: JobRecord) -> None:
        """Make what belongs to a result, or remove the files of a job that has none."""
        session = self.sessions.by_id(record.owner)
        if session is None:
            return
        if record.state != "done":
            remove_files(session, record)
            return
        save_texts(session.path(f"{RESULTS}/{record.id}"))
        if json.loads(record.label)["side_by_side"]:
            self.downloads.make(session, record.id, SIDE_BY_SIDE)

    def _session(self, record: JobRecord) -> Session:
        session = self.sessions.by_id(record.owner)
        if session is None:
            raise RequestError("the session of this job has expired")
        return session


def result_folder(session: Session, job: str) -> Path:
    """The empty folder of a job's result; raises `OutputError` where it cannot be made."""
    folder = session.path(f"{RESULTS}/{job}")
    try:
        # What an interrupted run left there is made again.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(
            "the result cannot be kept ({error}): try again later", error=error.strerror or error
        ) from error
    return folder


def job_label(session: Session, state: SessionState, request: AnimationRequest) -> dict[str, Any]:
    """What the page shows of a job, as JSON values; the thumbnail is a file of its own, as the photo may change."""
    photo, known = state.photo, state_file_names(state)
    names = {file.name: known.get(file.name, file.name) for file in request.files}
    thumbnail = ""
    if photo is not None and photo.shown and session.path(photo.path) == request.files[0]:
        thumbnail = link_file(session, session.path(photo.shown))
    return {
        "engine": request.engine,
        "faces": len(request.cast),
        "seed": request.sampling.seed if request.engine == WAN else None,
        "side_by_side": request.side_by_side,
        "portrait": request.files[0].name,
        "thumbnail": thumbnail,
        "plays": [[role.face, *played(role, names)] for role in request.cast],
        "length": request.duration,
        "names": names,
    }


def played(role: Role, names: Mapping[str, str]) -> tuple[str, str]:
    """What a role plays: (clip, the visitor's name of the file), (motion, its name), (still, "") or (free, "")."""
    source = role.source
    if isinstance(source, ClipSource):
        return "clip", names[source.path.name]
    if isinstance(source, BuiltinSource):
        return "motion", source.name
    return ("still", "") if source is None else ("free", "")


def check_repeatable(record: JobRecord) -> None:
    """Raise `RequestError` for a recording of presenter mode: its request lacks what the camera showed."""
    if json.loads(record.label)["engine"] == LIVE:
        raise RequestError("a recording of presenter mode cannot be made again by itself: record another one")


def remove_files(session: Session, record: JobRecord) -> None:
    """Remove the result of a job and its preview images."""
    for folder in (f"{RESULTS}/{record.id}", _poster_folder(record)):
        shutil.rmtree(session.path(folder), ignore_errors=True)


def save_poster(session: Session, record: JobRecord, event: PreviewImage) -> None:
    """Save a preview image of a job in the session's folder.

    Each has a name of its own, as the page may be reading the one before, which is removed with the next but one.
    """
    before = _posters(session, record)
    folder = session.path(_poster_folder(record))
    folder.mkdir(parents=True, exist_ok=True)
    number = int(before[-1].stem) + 1 if before else 1
    save_image(folder / f"{number:06d}.jpg", event.image, 80)
    for old in before[:-1]:
        old.unlink(missing_ok=True)


def poster_name(session: Session, record: JobRecord) -> str:
    """The path of a job's latest preview image in the session's folder; empty where there is none yet."""
    posters = _posters(session, record)
    return f"{_poster_folder(record)}/{posters[-1].name}" if posters else ""


def _poster_folder(record: JobRecord) -> str:
    return f"{SHOWN}/job-{record.id}"


def _posters(session: Session, record: JobRecord) -> list[Path]:
    return sorted(session.path(_poster_folder(record)).glob("*.jpg"))
