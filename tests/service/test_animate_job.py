"""Requests as jobs: the worker setup, what `run` refuses, and the request that is saved with the result."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import MediaError, RequestError
from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.media.request_files import load_request
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.sandbox.decoder import SandboxDecoder
from fantasyportrait.schema.cast import BuiltinSource, Role
from fantasyportrait.schema.events import Done, Event, Result
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import RANDOM_SEED, Sampling
from fantasyportrait.service import animate_job as module
from fantasyportrait.service.animate_job import animate_job, run, setup
from fantasyportrait.service.animator import Animator
from fantasyportrait.workers.job import JobCall
from tests.conftest import Inputs

CAST = (Role(1, BuiltinSource("nod")),)


def request(inputs: Inputs, **changes: Any) -> AnimationRequest:
    return AnimationRequest(inputs.photo, CAST, duration=0.12, max_side=256, side_by_side=False, **changes)


def test_worker_setup_decodes_in_child_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[SandboxDecoder] = []
    closed: list[SandboxDecoder] = []

    class Recorded(SandboxDecoder):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

        def close(self) -> None:
            closed.append(self)
            super().close()

    monkeypatch.setattr(module, "SandboxDecoder", Recorded)
    with setup(RuntimeConfig(), str(tmp_path / "weights"), None) as given:
        assert isinstance(given.state, Animator) and given.state.inputs.decoder.limits == PRIVATE
        assert given.path_names == {str(tmp_path / "weights"): "models"}
        assert len(made) == 1 and not closed
    assert closed == made


def test_run_refuses_files_not_received(inputs: Inputs, tmp_path: Path) -> None:
    job = animate_job(request(inputs), tmp_path / "o.mp4")
    with pytest.raises(ValueError, match="not received"):
        next(run(Animator(), JobCall(job.arguments, {}, tmp_path / "o.mp4", CancelToken())))


def test_job_refuses_in_memory_portrait_and_invalid_output(inputs: Inputs, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="save it as a file"):
        animate_job(AnimationRequest(np.zeros((64, 64, 3), np.uint8), CAST), tmp_path / "o.mp4")
    with pytest.raises(RequestError, match="end it in .mp4"):
        animate_job(request(inputs), tmp_path / "o.exe")


def test_job_refuses_missing_or_overwritten_input(tmp_path: Path) -> None:
    gone = AnimationRequest(tmp_path / "gone.png", CAST)
    with pytest.raises(MediaError, match="there is no file"), animate_job(gone, tmp_path / "o.mp4").receive():
        pytest.fail("it was received")
    same = AnimationRequest(tmp_path / "o.mp4", CAST)
    with pytest.raises(RequestError, match="would overwrite"), animate_job(same, tmp_path / "o.mp4").receive():
        pytest.fail("it was received")


def test_saved_request_has_worker_choices_and_client_paths(inputs: Inputs, tmp_path: Path) -> None:
    """The worker draws the seed and takes the digests; the client's file names and folders are kept."""
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    copy = there / "copy.png"
    copy.write_bytes(inputs.photo.read_bytes())
    job = animate_job(request(inputs, sampling=Sampling(seed=RANDOM_SEED)), here / "o.mp4")
    (name,) = (name for name, path in job.outputs.items() if path == here / "o.mp4")
    call = JobCall(job.arguments, {inputs.photo.as_posix(): copy}, there / name, CancelToken())
    *_, last = run(Animator(), call)
    assert isinstance(last, Done)
    with job.receive() as folder:
        for name, path in job.outputs.items():
            if (there / name).exists():
                (folder / path.name).write_bytes((there / name).read_bytes())
    saved = load_request(here / "o.mp4.request.json")
    assert saved.portrait == inputs.photo and saved.sampling.seed != RANDOM_SEED
    assert any(f"the seed is {saved.sampling.seed}" in message for message in last.result.messages)
    assert saved.portrait_sha256 == load_request(there / f"{name}").portrait_sha256
    assert sorted(path.name for path in here.iterdir()) == ["o.mp4", "o.mp4.request.json"]


def test_error_while_receiving_leaves_no_file(inputs: Inputs, tmp_path: Path) -> None:
    job = animate_job(request(inputs), tmp_path / "o.mp4")
    with pytest.raises(ZeroDivisionError), job.receive() as folder:
        (folder / "o.mp4").write_bytes(b"half")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_closing_job_stops_animator(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    def event_stream(*_: object) -> Iterator[Event]:
        try:
            yield Done(Result(tmp_path, None, tmp_path, (), 1, 0.04))
        finally:
            closed.append(True)

    animator = Animator()
    monkeypatch.setattr(animator, "events", event_stream)
    job = animate_job(request(inputs), tmp_path / "o.mp4")
    call = JobCall(job.arguments, {inputs.photo.as_posix(): inputs.photo}, tmp_path / "o.mp4", CancelToken())
    running = run(animator, call)
    next(running)
    running.close()
    assert closed == [True]
