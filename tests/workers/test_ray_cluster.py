"""A cluster that is lost, and how workers are started, with a fake Ray: no process is started."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema import events
from fantasyportrait.workers import ray_cluster, ray_worker_pool
from fantasyportrait.workers.job import Job
from fantasyportrait.workers.job_queue import WorkerBusy, WorkerLost
from fantasyportrait.workers.ray_worker_pool import WorkerConfig, WorkerPool, threads_per_worker

SETUP = "nowhere:setup"
ADDRESS = "ray://first:10001"
# What Ray's client says once its connection has ended is an Exception of no class.
LOST = Exception("Ray Client is not connected. Please connect by calling `ray.init`.")


class TaskError(Exception):
    """The error of an actor's method, as Ray raises it."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("traceback")
        self.cause = cause


class FakeRay:
    """A Ray of one machine. Each actor answers with its name; with `lost` every call fails.

    `made` are the options and the arguments of each actor that was made, which answer with `answers`, and then with
    their names; `waited` are the seconds that were granted for answers.
    """

    exceptions = SimpleNamespace(RayTaskError=TaskError, GetTimeoutError=TimeoutError)

    def __init__(self, resources: dict[str, float] | None = None) -> None:
        self.lost: Exception | None = None
        self.resources = resources or {"CPU": 8.0}
        self.made: list[tuple[dict[str, Any], tuple[Any, ...]]] = []
        self.actors: dict[str, Any] = {}
        self.ended: list[Any] = []
        self.waited: list[float] = []
        self.answers: list[Any] = []
        self.util = SimpleNamespace(list_named_actors=lambda: list(self._there(self.actors)))

    def _there(self, value: Any) -> Any:
        if self.lost:
            raise self.lost
        return value

    def is_initialized(self) -> bool:
        return self.lost is None

    def shutdown(self) -> None:
        self.ended.append("connection")

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": self.resources}, {"Alive": False, "Resources": {"CPU": 1.0}}]

    def remote(self, kind: type) -> Any:
        def make(options: dict[str, Any], arguments: tuple[Any, ...]) -> Any:
            self.made.append((options, arguments))
            actor = actor_named(options["name"], self.answers.pop(0) if self.answers else None)
            return self._there(self.actors.setdefault(options["name"], actor))

        def options(**given: Any) -> Any:
            return SimpleNamespace(remote=lambda *arguments: make(given, arguments))

        return SimpleNamespace(options=options)

    def get_actor(self, name: str) -> Any:
        return self._there(self.actors[name])

    def get(self, answer: Any, timeout: float) -> Any:
        self.waited.append(timeout)
        if isinstance(answer, Exception):
            raise answer
        return self._there(answer)

    def wait(self, asked: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        self.waited.append(timeout)
        answered = [answer for answer in self._there(asked) if not isinstance(answer, TimeoutError)]
        return answered, [answer for answer in asked if isinstance(answer, TimeoutError)]

    def kill(self, actor: Any) -> None:
        self.ended.append(self._there(actor))


def actor_named(name: str, answer: Any = None) -> Any:
    """An actor whose methods answer with its name, or with what is given."""
    method = SimpleNamespace(remote=lambda *arguments: name if answer is None else answer)
    return SimpleNamespace(heartbeat=method, close=method)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """Replace the package by the fake."""
    made = FakeRay()
    for module in (ray_cluster, ray_worker_pool):
        monkeypatch.setattr(module, "ray_package", lambda: made)
    monkeypatch.delenv(ray_worker_pool.THREADS_ENV, raising=False)
    return made


def test_ray_package_disables_automatic_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "require", lambda *_, **__: SimpleNamespace())
    monkeypatch.setattr(os, "environ", {})
    ray_cluster.ray_package()
    assert os.environ["RAY_ENABLE_AUTO_CONNECT"] == os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.parametrize("lost", [LOST, ConnectionError("Client is shutting down."), RuntimeError("no Ray"), OSError()])
def test_actor_without_answer_is_lost_worker(ray: FakeRay, lost: Exception) -> None:
    ray.lost = lost
    actor = actor_named("worker-1")
    with pytest.raises(WorkerLost, match="the connection to it"):
        ray_cluster.call(actor, "heartbeat")
    ray_cluster.kill(actor)
    with pytest.raises(RequestError, match="the Ray cluster does not answer"):
        ray_cluster.remote_workers()


def test_actor_method_error_is_no_lost_worker(ray: FakeRay) -> None:
    with pytest.raises(WorkerBusy):
        ray_cluster.call(actor_named("worker-1", TaskError(WorkerBusy())), "close")
    with pytest.raises(WorkerLost, match="did not answer"):
        ray_cluster.call(actor_named("worker-1", TimeoutError()), "close")


def test_starting_worker_is_busy_not_lost(ray: FakeRay) -> None:
    with pytest.raises(WorkerBusy):
        ray_cluster.call(actor_named("worker-1", TimeoutError()), "heartbeat")
    assert (
        ray.waited == [ray_cluster.HEARTBEAT_TIMEOUT_S] and ray_cluster.HEARTBEAT_TIMEOUT_S < ray_cluster.CALL_TIMEOUT_S
    )
    with pytest.raises(WorkerLost):
        ray_cluster.call(actor_named("worker-1", LOST), "heartbeat")


def test_dead_worker_hides_no_other(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    ray.actors = {name: actor_named(name) for name in ("worker-1", "worker-2", "other", "worker-3")}
    found: Callable[[str], Any] = ray.get_actor

    def get_actor(name: str) -> Any:
        if name == "worker-2":
            raise ValueError(f"Failed to look up actor with name '{name}'")
        return found(name)

    monkeypatch.setattr(ray, "get_actor", get_actor)
    assert [worker.name for worker in ray_cluster.remote_workers()] == ["worker-1", "worker-3"]


class Answering:
    """The methods of a worker that makes one file."""

    def __init__(self) -> None:
        result = events.Result(Path("n.txt"), None, Path("n.json"), (), 1, 0.04)
        self.answers = {
            "heartbeat": 1,
            "acquire": None,
            "write_input": None,
            "start": None,
            "poll": [events.Done(result)],
            "results": ["n.txt"],
            "read": b"text",
            "release": True,
        }

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *_: self.answers[method])


def test_queue_rejoins_cluster_after_lost_connection(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged once, and each try is short, so that a queued job can be cancelled."""
    joined: list[float] = []

    def join(address: str, timeout_s: float = ray_cluster.JOIN_TIMEOUT_S) -> None:
        joined.append(timeout_s)
        if len(joined) > 1:
            assert ray.ended[0] == "connection", "what is left of the old one is closed first"
        if len(joined) in (2, 3):
            raise RequestError("the first machine is not there yet")
        ray.lost = None
        ray.actors = {"worker-1": Answering()} if len(joined) == 4 else {}

    monkeypatch.setattr(ray_cluster, "join", join)
    for name in ("REFRESH_INTERVAL_S", "POLL_INTERVAL_S"):
        monkeypatch.setattr(f"fantasyportrait.workers.job_queue.{name}", 0.0)
    queue = ray_cluster.ray_queue(ADDRESS)
    ray.lost = LOST
    text = tmp_path / "text.txt"
    text.write_bytes(b"a text")
    job = Job("nowhere:none", "", (text,), {"n.txt": tmp_path / "n.txt"}, lambda: nullcontext(tmp_path))
    happened = list(queue.events(job))
    assert happened[0] == events.Queued(0) and isinstance(happened[-1], events.Done)
    assert (tmp_path / "n.txt").read_bytes() == b"text"
    assert joined == [ray_cluster.JOIN_TIMEOUT_S, *[ray_cluster.REJOIN_TIMEOUT_S] * 3]
    assert [record.message for record in caplog.records] == ["the first machine is not there yet"]


def test_pool_survives_lost_cluster(ray: FakeRay) -> None:
    pool = WorkerPool(WorkerConfig(SETUP, RuntimeConfig()))
    before = pool.start(2)
    ray.lost = LOST
    for _ in range(2):
        with pytest.raises(FantasyPortraitError, match="the cluster does not answer"):
            pool.replace_dead()
    ray.lost = None
    gone, new = pool.replace_dead()
    assert gone == () and len(new) == 2 and not set(new) & set(before)
    ray.lost = LOST
    pool.stop()


def test_pool_keeps_ready_workers_when_others_cannot_start(ray: FakeRay) -> None:
    pool = WorkerPool(WorkerConfig(SETUP, RuntimeConfig()))
    before = pool.start(2)
    for name in before:
        ray.actors[name].heartbeat = actor_named(name, LOST).heartbeat
    ray.answers, ray.waited = [None, TimeoutError()], []
    with pytest.raises(RequestError, match="1 of 2 workers found no room"):
        pool.replace_dead()
    ready, late = (options["name"] for options, _ in ray.made[-2:])
    assert ray.waited.count(ray_worker_pool.START_TIMEOUT_S) == 1 and ray.ended == [
        ray.actors[name] for name in (*before, late)
    ]
    gone, new = pool.replace_dead()
    assert gone == () and len(new) == 1
    pool.stop()
    assert ray.actors[ready] in ray.ended


def test_failed_pool_start_leaves_no_worker(ray: FakeRay) -> None:
    ray.answers = [None, ValueError("first line\nthere is no package av")]
    with pytest.raises(FantasyPortraitError, match="^a worker could not start: there is no package av$"):
        WorkerPool(WorkerConfig(SETUP, RuntimeConfig())).start(2)
    assert sorted(map(str, ray.ended)) == sorted(map(str, ray.actors.values()))


def test_cpu_workers_reserve_no_gpu(ray: FakeRay) -> None:
    ray.resources = {"CPU": 8.0, "GPU": 2.0}
    WorkerPool(WorkerConfig(SETUP, RuntimeConfig(profile="stream"), gpus=0)).start(1)
    WorkerPool(WorkerConfig(SETUP, RuntimeConfig(device="cpu"), gpus=0)).start(1)
    WorkerPool(WorkerConfig(SETUP, RuntimeConfig(profile="stream"))).start()
    made = [(options["num_gpus"], arguments[1]) for options, arguments in ray.made]
    assert made == [
        (0, RuntimeConfig(device="cpu", profile="stream")),
        (0, RuntimeConfig(device="cpu")),
        (1, RuntimeConfig(profile="stream")),
        (1, RuntimeConfig(profile="stream")),
    ]
    with pytest.raises(RequestError, match="--gpus-per-worker 0 .* --device is mps"):
        WorkerConfig(SETUP, RuntimeConfig(device="mps"), gpus=0)


def test_worker_uses_its_share_of_cores(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    def threads(count: int) -> str | None:
        WorkerPool(WorkerConfig(SETUP, RuntimeConfig())).start(count)
        environment = ray.made[-1][0].get("runtime_env", {"env_vars": {}})
        return environment["env_vars"].get("OMP_NUM_THREADS")

    assert (threads(1), threads(2), threads(3), threads(8)) == ("8", "4", "2", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads(2) == "5"


@pytest.mark.parametrize(
    ("machines", "workers", "on_gpus", "share"),
    [
        ([{"CPU": 64.0, "GPU": 8.0}], 8, True, 8),
        ([{"CPU": 64.0, "GPU": 8.0}], 2, True, 32),
        ([{"CPU": 64.0, "GPU": 1.0}, {"CPU": 12.0, "GPU": 1.0}, {"CPU": 2.0}], 2, True, 12),
        ([{"CPU": 16.0}, {"CPU": 16.0}, {"GPU": 1.0}], 3, False, 8),
        ([{"CPU": 2.0}], 5, False, 1),
        ([], 1, False, 1),
    ],
)
def test_worker_cores_follow_smallest_machine(
    machines: list[dict[str, float]], workers: int, on_gpus: bool, share: int
) -> None:
    assert threads_per_worker(machines, workers, on_gpus) == share
