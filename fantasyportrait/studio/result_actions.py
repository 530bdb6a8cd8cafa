"""Actions on finished results and saved requests: downloads, links, other engines, and their settings again."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.media.request_files import load_request
from fantasyportrait.media.result_files import output_paths
from fantasyportrait.schema.cast import ClipSource, FreeSource
from fantasyportrait.schema.request import AnimationRequest, from_json
from fantasyportrait.studio.clip_actions import ClipActions
from fantasyportrait.studio.downloads import SIDE_BY_SIDE
from fantasyportrait.studio.engine_values import PREVIEW, WAN
from fantasyportrait.studio.job_actions import JobActions, check_repeatable
from fantasyportrait.studio.job_inputs import VIDEO_NAME
from fantasyportrait.studio.length_limits import check_reported_length
from fantasyportrait.studio.messages import hide_paths
from fantasyportrait.studio.photo_actions import PhotoActions, display_name
from fantasyportrait.studio.request_form import longest_s
from fantasyportrait.studio.scene_restoring import SessionFile, card_of, match_files, option_values, session_files
from fantasyportrait.studio.session_store import RESULTS, Session
from fantasyportrait.studio.state import STILL, Card, SessionState
from fantasyportrait.workers.job_store import JobRecord


@dataclass(frozen=True)
class ResultActions:
    """Actions on results; `authorize` returns the file of an upload of a session, or raises `RequestError`."""

    jobs: JobActions
    photos: PhotoActions
    clips: ClipActions
    authorize: Callable[[str, object], Path]

    def make_download(self, session: Session, job: str, kind: str) -> None:
        """Begin to make another format of a result, or its side by side."""
        record = self._done(session, job)
        if kind == SIDE_BY_SIDE:
            check_repeatable(record)
        self.jobs.downloads.make(session, record.id, kind)

    def share(self, session: Session, job: str) -> None:
        """Make a link to a result, which anyone who has it can open."""
        self.jobs.links.make(session, self._done(session, job).id)

    def unshare(self, session: Session, job: str) -> None:
        """Take the link to a result back."""
        self.jobs.links.take_back(session, self._done(session, job).id)

    def other_engine(self, session: Session, job: str) -> None:
        """Submit the request of a result with its seed for the other engine."""
        model = self.jobs.model
        record = self._done(session, job)
        check_repeatable(record)
        before, saved = from_json(record.payload), load_request(self._saved(session, job))
        engine = PREVIEW if before.engine == WAN else WAN
        if engine == WAN and model is None:
            raise RequestError("this server has only the preview engine: copy the command, and run it on a GPU")
        if engine == PREVIEW and all(
            role.source is None or isinstance(role.source, FreeSource) for role in before.cast
        ):
            raise RequestError("a face left to the model stays still in the preview, so nothing would move")
        request = replace(
            before,
            engine=engine,
            sampling=replace(before.sampling, seed=saved.sampling.seed, model=model or before.sampling.model),
            side_by_side=json.loads(record.label)["side_by_side"],
        )
        longest = longest_s(engine)
        if isinstance(request.duration, str):
            check_reported_length(self.jobs.inputs, request, longest)
        elif request.duration > longest:
            raise RequestError(
                "the video lasts {length:g} s, and with this engine at most {longest:g} s: choose a shorter length",
                length=request.duration,
                longest=longest,
            )
        self.jobs.submit(session, session.state, request)

    def use_settings(self, session: Session, job: str) -> None:
        """Show the scene of a job again: its photo, cast, clips and options."""
        record = self.jobs.scheduler.job(session.id, job)
        label = json.loads(record.label)
        request = replace(from_json(record.payload), side_by_side=label["side_by_side"])
        names = {session.path(file.path): file for file in self._files(session)}
        self._apply(session, request, {path: names[path] for path in request.files if path in names})

    def restore(self, session: Session, path: object, name: str) -> None:
        """Show the scene of a saved request, or of a result video that carries one.

        Files are looked up in the session; raises `RequestError` that names those to add.
        """
        upload = self.authorize(session.id, path)
        try:
            request = load_request(upload, self.jobs.inputs.decoder.metadata)
        except FantasyPortraitError as error:
            raise RequestError(hide_paths(error, {upload: display_name(name, "the file")})) from error
        inputs = self.jobs.inputs
        found = match_files(session, request, self._files(session), lambda file: inputs.hashed(file).sha256)
        self._apply(session, request, found)

    def _apply(self, session: Session, request: AnimationRequest, found: dict[Path, SessionFile]) -> None:
        """Make the request the session's scene; then raise `RequestError` where files are missing."""
        clips = {clip.path for clip in request.clips}
        ids = {path: self.clips.reopen(session, file.path, file.name) for path, file in found.items() if path in clips}
        cards = {
            role.face: card_of(
                role,
                ids.get(role.source.path) if isinstance(role.source, ClipSource) else None,
                free=self.jobs.model is not None,
            )
            for role in request.cast
        }
        photo = found.get(request.files[0])
        if photo is not None:
            self.photos.reopen(session, photo.path, photo.name, request.face_edits)
        options = option_values(request, self.jobs.model)

        def change(state: SessionState) -> SessionState:
            still = {face.id: Card(STILL) for face in state.faces}
            return replace(state, cards={**state.cards, **still, **cards}, options={**state.options, **options})

        session.update(change)
        missing = dict.fromkeys(file.name for file in request.files if file not in found)
        if missing:
            raise RequestError(
                "the settings are restored, but these files are not here: add {names} on this page",
                names=", ".join(missing),
            )

    def _files(self, session: Session) -> list[SessionFile]:
        records = self.jobs.scheduler.jobs(session.id)
        return session_files(session, [json.loads(record.label)["names"] for record in records])

    def _done(self, session: Session, job: str) -> JobRecord:
        record = self.jobs.scheduler.job(session.id, job)
        if record.state != "done":
            raise RequestError("this job has no result yet: wait until it is done")
        return record

    def _saved(self, session: Session, job: str) -> Path:
        return output_paths(session.path(f"{RESULTS}/{job}/{VIDEO_NAME}")).request
