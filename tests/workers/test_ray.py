"""Jobs on workers in processes of their own: a local Ray with two CPU workers, and the tiny model."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import MediaError
from fantasyportrait.images.images import load_photo
from fantasyportrait.media.clips import probe_clip, read_clip
from fantasyportrait.media.request_files import load_request
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema import events
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.events import Event
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.service.animate_job import SETUP, animate_job
from fantasyportrait.service.animator import Animator
from fantasyportrait.workers.job import Job
from fantasyportrait.workers.job_queue import JobQueue
from fantasyportrait.workers.ray_cluster import AUTH_ENV, call, join, leave, remote_workers
from fantasyportrait.workers.ray_worker_pool import WorkerConfig, WorkerPool
from fantasyportrait.workers.remote_worker import RemoteWorker
from tests.conftest import Inputs

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.ray
CPU = RuntimeConfig(device="cpu")
JOBS = 20


@dataclass(frozen=True)
class Cluster:
    """A local Ray and its workers. `placed` says where each output was last made, `root` where files of jobs lie."""

    pool: WorkerPool
    queue: JobQueue
    placed: dict[str, str]
    root: Path

    def kept(self) -> list[Path]:
        """The files of jobs that are on the workers, but for those of a worker that was killed."""
        return [path for path in self.root.glob("*/*/*/*") if path.is_file()]


class Recorded:
    """A worker that records where each output is made."""

    def __init__(self, worker: RemoteWorker, placed: dict[str, str]) -> None:
        self.name, self._worker, self._placed = worker.name, worker, placed

    def events(self, job: Job, cancel: CancelToken) -> Generator[Event, None, None]:
        """Those of the worker."""
        self._placed[next(iter(job.outputs.values())).name] = self.name
        return self._worker.events(job, cancel)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Cluster]:
    """Two workers, each with half of two cores; they end with the module."""
    root = tmp_path_factory.mktemp("workers")
    cache = tmp_path_factory.mktemp("ray-cache")
    # Another test may have joined a cluster with a token, which the new one would be told too late.
    os.environ.pop(AUTH_ENV, None)
    join(None, cpus=2)
    assert os.environ[AUTH_ENV] == "token", "a cluster on this machine is closed to its other users"
    placed: dict[str, str] = {}
    pool = WorkerPool(WorkerConfig(SETUP, CPU, models=str(models_dir), cache=str(cache), root=str(root)))
    try:
        pool.start(2)
        queue = JobQueue(refresh=lambda: [Recorded(worker, placed) for worker in remote_workers()])
        yield Cluster(pool, queue, placed, root)
    finally:
        pool.stop()
        leave()


def preview(inputs: Inputs, **changes: Any) -> AnimationRequest:
    given = {"duration": 0.2, "max_side": 256, "side_by_side": False, **changes}
    return AnimationRequest(inputs.photo, (Role(1, BuiltinSource("nod")),), **given)


def wan(inputs: Inputs, tiny_model: Path, **changes: Any) -> AnimationRequest:
    cast = (Role(1, ClipSource(inputs.talking, end_s=0.2)),)
    sampling = Sampling(model=tiny_model.as_posix(), num_inference_steps=1)
    given = {"duration": 0.2, "max_side": 128, "side_by_side": False, "engine": "wan", **changes}
    return AnimationRequest(inputs.photo, cast, sampling=sampling, **given)


def workers_there() -> set[str]:
    return {worker.name for worker in remote_workers()}


def frames(folder: Path) -> np.ndarray:
    return np.stack([load_photo(path).pixels for path in sorted(folder.iterdir())])


def test_ray_result_equals_local_result(cluster: Cluster, inputs: Inputs, tiny_model: Path, tmp_path: Path) -> None:
    """Frames, messages, and a saved request that names this machine's files; nothing stays on the worker."""
    request = wan(inputs, tiny_model, sound=f"file:{inputs.sound}", side_by_side=True)
    near = Animator(cache_dir=tmp_path / "cache", runtime_config=CPU).animate(request, tmp_path / "near")
    far = list(cluster.queue.events(animate_job(request, tmp_path / "far")))
    assert isinstance(far[-1], events.Done), far[-1]
    result = far[-1].result
    # A worker has other threads than this process, which add up in another order.
    assert np.abs(frames(result.video).astype(int) - frames(near.video)).max() <= 1
    assert (result.frames, result.duration_s, result.messages) == (near.frames, near.duration_s, near.messages)
    assert load_request(result.request) == load_request(near.request)
    assert result.side_by_side is not None and near.side_by_side is not None
    assert replace(probe_clip(result.side_by_side), path=near.side_by_side) == probe_clip(near.side_by_side)
    assert {event.name for event in far if isinstance(event, events.Stage)} >= {
        "portrait",
        "driving",
        "model",
        "sample",
    }
    assert any(isinstance(event, events.PreviewImage) for event in far)
    assert not cluster.kept() and {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"near", "far", "cache"}


@pytest.mark.usefixtures("wan_packages")
def test_ray_errors_name_client_files(cluster: Cluster, inputs: Inputs, tmp_path: Path) -> None:
    broken, gone, model = tmp_path / "broken.mp4", tmp_path / "gone.mp4", tmp_path / "no-model"
    broken.write_bytes(b"no clip at all")
    said = {}
    for name, changes in {
        "broken": {"cast": (Role(1, ClipSource(broken)),)},
        "gone": {"cast": (Role(1, ClipSource(gone)),)},
        "face": {"cast": (Role(7, None),)},
        "model": {"engine": "wan", "sampling": Sampling(model=model.as_posix())},
    }.items():
        request = AnimationRequest(**{**vars(preview(inputs)), **changes})
        last = list(cluster.queue.events(animate_job(request, tmp_path / f"{name}.out.mp4")))[-1]
        assert isinstance(last, events.Failed)
        said[name] = last.error
    assert isinstance(said["broken"], MediaError) and str(broken) in str(said["broken"])
    assert str(said["gone"]) == f"there is no file {gone}: check the path"
    assert "cast names face 7" in str(said["face"])
    assert str(model) in str(said["model"]) and "(on the worker worker-" in str(said["model"])
    assert not cluster.kept() and sorted(path.name for path in tmp_path.iterdir()) == ["broken.mp4"]


def test_cancel_and_close_stop_ray_job(cluster: Cluster, inputs: Inputs, tmp_path: Path) -> None:
    for leaves in (False, True):
        token = CancelToken()
        event_stream = cluster.queue.events(animate_job(preview(inputs, duration=600), tmp_path / "out.mp4"), token)
        assert any(isinstance(event, events.PreviewImage) for event in event_stream)
        if leaves:
            event_stream.close()
        else:
            token.cancel()
            assert isinstance(list(event_stream)[-1], events.Cancelled)
        assert not cluster.kept() and not list(tmp_path.iterdir())


def test_twenty_ray_jobs_survive_killed_worker(
    cluster: Cluster, inputs: Inputs, tiny_model: Path, tmp_path: Path
) -> None:
    """Four of the twenty are Wan's. Every job ends once, with its result, although a worker dies in the middle."""
    before = workers_there()
    killed: list[str] = []
    kill = threading.Lock()
    published: Counter[Path] = Counter()

    def job(number: int) -> list[Event]:
        request = wan(inputs, tiny_model) if number % 5 == 0 else preview(inputs)
        told = []
        for event in cluster.queue.events(animate_job(request, tmp_path / f"{number}.mp4")):
            told.append(event)
            # The worker of the third Wan job ends while that one runs.
            if number == 10 and isinstance(event, events.Stage) and event.name == "model" and kill.acquire(False):
                killed.append(cluster.placed["10.mp4"])
                os.kill(call(ray.get_actor(killed[0]), "heartbeat"), signal.SIGKILL)
            if isinstance(event, events.Done):
                published[event.result.video] += 1
        return told

    with ThreadPoolExecutor(JOBS) as pool:
        told = list(pool.map(job, range(JOBS)))
    for number, happened in enumerate(told):
        ends = [event for event in happened if isinstance(event, events.Done | events.Failed | events.Cancelled)]
        assert happened[-1:] == ends and isinstance(ends[0], events.Done), ends
        video = ends[0].result.video
        assert video == tmp_path / f"{number}.mp4" and len(list(read_clip(video))) == 5 and published[video] == 1
    again = [
        event for happened in told for event in happened if isinstance(event, events.Message) and "lost" in event.text
    ]
    assert len(again) == 1 and killed[0] in again[0].text and again[0] in told[10]
    assert len(list(tmp_path.glob("*.mp4"))) == len(list(tmp_path.glob("*.json"))) == JOBS
    assert workers_there() == before - set(killed)
    gone, new = cluster.pool.replace_dead()
    assert (gone, len(new)) == (tuple(killed), 1) and cluster.pool.replace_dead() == ((), ())
    assert isinstance(list(cluster.queue.events(animate_job(preview(inputs), tmp_path / "later.mp4")))[-1], events.Done)
    assert workers_there() == before - set(killed) | set(new)
    assert len({path.parents[2] for path in cluster.kept()}) <= 1, "only what the killed one could not remove"
