"""Presenter mode of sessions on real faces: live frames, recordings that become results, and what is refused."""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fantasyportrait.core.errors import FaceError, MediaError, OutputError, RequestError
from fantasyportrait.images.camera_frames import encode_jpeg
from fantasyportrait.live.live_scene import LiveScene
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.schema.cast import BuiltinSource, ClipSource
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.clip_state import ClipState
from fantasyportrait.studio.downloads import SIDE_BY_SIDE, Downloads
from fantasyportrait.studio.engine_values import LIVE
from fantasyportrait.studio.job_actions import JobActions
from fantasyportrait.studio.library_view import result_view
from fantasyportrait.studio.photo_actions import PhotoActions
from fantasyportrait.studio.presenter import Presenter, live_request
from fantasyportrait.studio.result_actions import ResultActions
from fantasyportrait.studio.session_store import Session, SessionStore
from fantasyportrait.studio.shared_links import SharedLinks
from fantasyportrait.studio.state import CLIP, FREE, MOTION, STILL, Card
from fantasyportrait.workers.job_queue import JobQueue
from fantasyportrait.workers.job_runner import JobHandlers
from fantasyportrait.workers.job_scheduler import JobScheduler
from fantasyportrait.workers.job_store import JobStore
from tests.conftest import Inputs


def _refuse(*_: Any) -> Any:
    raise AssertionError("no job runs here")


@pytest.fixture(scope="module")
def animator(models_dir: Path) -> Animator:
    return Animator(models_dir)


@pytest.fixture
def sessions(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions", 3600.0)


@pytest.fixture
def scheduler(tmp_path: Path) -> JobScheduler:
    """One that was not started: nothing runs."""
    return JobScheduler(JobStore(tmp_path / "jobs.sqlite3"), JobQueue([]), JobHandlers(_refuse, _refuse))


@pytest.fixture
def presenter(sessions: SessionStore, animator: Animator, scheduler: JobScheduler) -> Iterator[Presenter]:
    presenter = Presenter(sessions, animator, scheduler)
    yield presenter
    presenter.close_all()


@pytest.fixture
def session(sessions: SessionStore, animator: Animator, inputs: Inputs) -> Session:
    """A session with a photo of two people: the first nods, the second is still."""
    return _visitor(sessions, animator, inputs.pair)


@pytest.fixture(scope="module")
def camera(inputs: Inputs) -> str:
    """The picture of a person, as a page sends it."""
    return _text(encode_jpeg(next(read_clip(inputs.talking))))


def _visitor(sessions: SessionStore, animator: Animator, photo: Path) -> Session:
    session = sessions.find(sessions.create())
    assert session is not None
    PhotoActions(animator, lambda owner, path: photo).set_photo(session, str(photo), "pair.png")
    session.update(lambda state: replace(state, cards={1: Card(MOTION, "nod"), 2: Card(STILL)}))
    return session


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _call(frame: Any, at_s: Any = 0.0, face: Any = 2) -> dict[str, Any]:
    return {"frame": frame, "at_s": at_s, "face": face}


def test_frame_shows_scene_and_follows_camera(presenter: Presenter, session: Session, camera: str) -> None:
    presenter.open(session)
    answers = [presenter.step(session, _call(camera, number / 20)) for number in range(30)]
    with Image.open(io.BytesIO(base64.b64decode(answers[0]["frame"]))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (480, 270))
    assert not answers[0]["calibrated"] and answers[-1]["calibrated"]
    assert all(answer["seen"] and answer["recorded_s"] is None for answer in answers)
    assert all(answer["server_ms"] > 0 for answer in answers)
    json.dumps(answers)
    assert not presenter.step(session, _call(None, 2.0))["seen"]
    presenter.recalibrate(session)
    assert not presenter.step(session, _call(camera, 2.1))["calibrated"]


def test_recording_becomes_result(
    presenter: Presenter,
    session: Session,
    camera: str,
    scheduler: JobScheduler,
    sessions: SessionStore,
    animator: Animator,
    tmp_path: Path,
) -> None:
    presenter.open(session)
    presenter.start_recording(session)
    with pytest.raises(RequestError, match="being recorded already"):
        presenter.start_recording(session)
    lengths = [presenter.step(session, _call(camera, number / 10))["recorded_s"] for number in range(6)]
    assert lengths == sorted(lengths) and lengths[-1] > 0
    assert scheduler.jobs(session.id) == []
    presenter.stop_recording(session)
    (record,) = scheduler.jobs(session.id)
    result = result_view(session, record)
    assert (record.state, result["engine"], result["faces"], result["frames"]) == ("done", LIVE, 2, 13)
    assert record.ended_s is not None and result["duration_s"] == pytest.approx(0.52)
    for url in (result["video"], result["poster"]):
        assert session.path(url.split("/", 2)[2]).is_file()
    assert probe_clip(session.path(f"results/{record.id}/{result['video'].split('/')[-1]}")).width == 480
    assert presenter.step(session, _call(camera, 1.0))["recorded_s"] is None
    with pytest.raises(RequestError, match="nothing is being recorded"):
        presenter.stop_recording(session)
    assert result["request"] is None and result["texts"] is None
    downloads, links = Downloads(animator), SharedLinks(tmp_path / "links", sessions)
    jobs = JobActions(sessions, animator.inputs, scheduler, downloads, links, None)
    results = ResultActions(jobs, PhotoActions(animator, _refuse), None, _refuse)  # type: ignore[arg-type]
    for again in (
        lambda: jobs.duplicate(session, record.id),
        lambda: results.other_engine(session, record.id),
        lambda: results.make_download(session, record.id, SIDE_BY_SIDE),
    ):
        with pytest.raises(RequestError, match="cannot be made again by itself"):
            again()
    jobs.delete(session, record.id)
    assert scheduler.jobs(session.id) == [] and not session.path(f"results/{record.id}").exists()
    downloads.close()


@pytest.mark.parametrize("way", ["close", "close_all", "open"])
def test_recording_is_kept_when_scene_ends(
    presenter: Presenter, session: Session, camera: str, scheduler: JobScheduler, way: str
) -> None:
    presenter.open(session)
    presenter.start_recording(session)
    presenter.step(session, _call(camera))
    presenter.close_all() if way == "close_all" else getattr(presenter, way)(session)
    assert [record.state for record in scheduler.jobs(session.id)] == ["done"]
    presenter.open(session)
    presenter.start_recording(session)


def test_recording_without_frames_leaves_nothing(
    presenter: Presenter, session: Session, scheduler: JobScheduler
) -> None:
    presenter.open(session)
    presenter.start_recording(session)
    with pytest.raises(OutputError):
        presenter.stop_recording(session)
    assert scheduler.jobs(session.id) == [] and list(session.path("results").iterdir()) == []
    presenter.start_recording(session)


def test_recording_that_cannot_be_written_ends(
    presenter: Presenter, session: Session, camera: str, scheduler: JobScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OutputError("the disk is full")

    presenter.open(session)
    presenter.start_recording(session)
    with monkeypatch.context() as patch:
        patch.setattr(LiveScene, "step_jpeg", full)
        with pytest.raises(OutputError):
            presenter.step(session, _call(camera))
    assert list(session.path("results").iterdir()) == []
    with pytest.raises(RequestError, match="nothing is being recorded"):
        presenter.stop_recording(session)


def test_second_visitor_waits_until_first_leaves(
    presenter: Presenter, session: Session, sessions: SessionStore, animator: Animator, inputs: Inputs, camera: str
) -> None:
    other = _visitor(sessions, animator, inputs.pair)
    presenter.open(session)
    with pytest.raises(RequestError, match="1 live scene is running, which is all that this server can draw at once"):
        presenter.open(other)
    with pytest.raises(RequestError, match="there is no live scene"):
        presenter.step(other, _call(camera))
    presenter.close(session)
    presenter.open(other)
    assert presenter.step(other, _call(camera))["frame"]


REFUSED = [
    (_call(3), "no base64"),
    (_call("not base64!"), "no base64"),
    (_call("\u00e9"), "no base64"),
    (_call(_text(b"no picture")), "cannot be read"),
    (_call(_text(bytes(600_000))), "at most 1280 px and 512 kB"),
    (_call(None, face=3), "the photo has face 1, 2"),
    (_call(None, face="1"), "give the number of a face"),
    (_call(None, face=True), "give the number of a face"),
    (_call(None, at_s="soon"), "give seconds"),
    (_call(None, at_s=True), "give seconds"),
    (_call(None, at_s=float("nan")), "give seconds"),
    ({}, "give the number of a face"),
]


def test_values_of_call_are_checked(presenter: Presenter, session: Session, camera: str) -> None:
    presenter.open(session)
    for call, message in REFUSED:
        with pytest.raises((RequestError, MediaError), match=message):
            presenter.step(session, call)
    assert presenter.step(session, _call(camera))["frame"]


def test_scene_needs_a_photo_with_a_face(presenter: Presenter, sessions: SessionStore) -> None:
    empty = sessions.find(sessions.create())
    assert empty is not None
    with pytest.raises((RequestError, FaceError), match="there is no photo yet"):
        presenter.open(empty)


def test_request_has_cast_of_session(session: Session, inputs: Inputs) -> None:
    assert [role.source for role in live_request(session).cast] == [BuiltinSource("nod"), None]
    session.update(lambda state: replace(state, cards={1: Card(STILL), 2: Card(FREE)}))
    assert [role.source for role in live_request(session).cast] == [None, BuiltinSource("idle")]
    session.update(lambda state: replace(state, cards={1: Card(STILL), 2: Card(STILL)}))
    assert [role.source for role in live_request(session).cast] == [None, None]
    unchecked = ClipState("a" * 16, "a.mp4", "files/a.mp4")
    session.update(lambda state: replace(state, clips=(unchecked,), cards={1: Card(CLIP, clip=unchecked.id)}))
    assert live_request(session).cast[0].source is None
    checked = replace(unchecked, state="ready")
    session.update(lambda state: replace(state, clips=(checked,)))
    source = live_request(session).cast[0].source
    assert isinstance(source, ClipSource) and source.path == session.path("files/a.mp4")
