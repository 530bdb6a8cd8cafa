"""Workers on the machines of a Ray cluster: one for each GPU, kept alive as long as this process runs."""

import logging
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.workers.ray_cluster import CALL_TIMEOUT_S, PREFIX, kill, ray_package
from fantasyportrait.workers.worker_actor import WorkerActor

# A start imports the engines; a stop removes files.
START_TIMEOUT_S = 180.0
CLOSE_TIMEOUT_S = 10.0
# Calls of two apps at once, such as poll, read and cancel; the jobs have threads of their own.
MAX_CONCURRENCY = 4
THREADS_ENV = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class WorkerConfig:
    """How workers are made.

    Attributes:
        setup: "package.module:name" of the `SetupFunction` that each worker calls at its start.
        runtime_config: where and how their models compute.
        gpus: GPUs that each worker takes, 1 or 0; with 0 its device is the CPU.
        models, cache: folders on the workers' machines, None for the default ones.
        root: the folder there in which a worker makes its own, None for the system's folder for temporary files.
    """

    setup: str
    runtime_config: RuntimeConfig
    gpus: int = 1
    models: str | None = None
    cache: str | None = None
    root: str | None = None

    def __post_init__(self) -> None:
        if not self.gpus and self.runtime_config.device not in ("auto", "cpu"):
            raise RequestError(
                "--gpus-per-worker 0 makes workers on CPUs, and --device is {device}: leave out one",
                device=self.runtime_config.device,
            )

    @property
    def worker_runtime_config(self) -> RuntimeConfig:
        """The runtime config of a worker: without a GPU of its own, device "auto" would find another worker's."""
        return self.runtime_config if self.gpus else replace(self.runtime_config, device="cpu")


class WorkerPool:
    """The workers that this process started in the cluster that it has joined; they end with it."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._gpus = 0
        self._target_count = 0
        self._threads = 1
        self._actors: dict[str, Any] = {}

    def start(self, count: int | None = None) -> tuple[str, ...]:
        """Start `count` workers, by default one for each GPU of the cluster or one on a CPU; return their names.

        Raises `RequestError` where the cluster has no room for all of them, and then none is left.
        """
        gpus = round(ray_package().cluster_resources().get("GPU", 0)) if self._config.gpus else 0
        self._gpus = min(gpus, 1)
        self._target_count = count or gpus or 1
        if gpus and self._target_count > gpus:
            raise RequestError(
                "{target_count} workers need a GPU each and the cluster has {gpus}: give a smaller "
                "--num-workers, or --gpus-per-worker 0",
                target_count=self._target_count,
                gpus=gpus,
            )
        machines = [node["Resources"] for node in ray_package().nodes() if node["Alive"]]
        self._threads = threads_per_worker(machines, self._target_count, on_gpus=bool(self._gpus))
        try:
            return self._start_missing()
        except FantasyPortraitError:
            self.stop()
            raise

    def replace_dead(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Start new workers for those that died; return the names of the dead and of the new ones.

        Raises a `FantasyPortraitError` where not all can be started; the next call tries again.
        """
        gone = tuple(self._kill_unresponsive(list(self._actors), CALL_TIMEOUT_S))
        return gone, self._start_missing()

    def stop(self) -> None:
        """End all workers. Their jobs are lost, and the files of those jobs are removed."""
        try:
            closing = [actor.close.remote() for actor in self._actors.values()]
            if closing:
                ray_package().wait(closing, num_returns=len(closing), timeout=CLOSE_TIMEOUT_S)
        except Exception:  # without a cluster there is nothing to close
            logging.getLogger(__name__).debug("the workers could not be closed", exc_info=True)
        for actor in self._actors.values():
            kill(actor)
        self._actors.clear()

    def _start_missing(self) -> tuple[str, ...]:
        """Start the missing workers and wait until they answer; those that answer stay where others do not.

        Raises `RequestError` where the cluster has no room for them, and a `FantasyPortraitError` that says why a
        worker died.
        """
        new: list[str] = []
        try:
            while len(self._actors) < self._target_count:
                name = f"{PREFIX}{uuid.uuid4().hex[:8]}"
                self._actors[name] = self._start_actor(name)
                new.append(name)
        except Exception as error:  # over ray://, Ray raises bare exceptions too
            for name in new:
                kill(self._actors.pop(name))
            raise FantasyPortraitError(
                "no worker can be started, as the cluster does not answer ({error})", error=error
            ) from error
        reasons = self._kill_unresponsive(new, START_TIMEOUT_S)
        died = next((reason for reason in reasons.values() if reason is not None), None)
        if died is not None:
            raise FantasyPortraitError("a worker could not start: {reason}", reason=_last_line(died)) from died
        if reasons:
            raise RequestError(
                "{lost} of {count} workers found no room in the cluster within {start_timeout_s:.0f} s: "
                "each needs a CPU core, and a GPU unless --gpus-per-worker is 0",
                lost=len(reasons),
                count=len(new),
                start_timeout_s=START_TIMEOUT_S,
            )
        return tuple(new)

    def _kill_unresponsive(self, names: Sequence[str], timeout_s: float) -> dict[str, Exception | None]:
        """Kill the workers that do not answer in time; return Ray's error for each, None where there is none."""
        reasons = _unresponsive({name: self._actors[name] for name in names}, timeout_s)
        for name in reasons:
            kill(self._actors.pop(name))
        return reasons

    def _start_actor(self, name: str) -> Any:
        config = self._config
        options: dict[str, Any] = {
            "name": name,
            "num_cpus": 1,
            "num_gpus": self._gpus,
            "max_concurrency": MAX_CONCURRENCY,
        }
        # Ray gives an actor of one core one thread. A number that is set here holds for the workers too.
        threads = os.environ.get(THREADS_ENV, str(self._threads))
        if threads != "1":
            options["runtime_env"] = {"env_vars": {THREADS_ENV: threads}}
        actor = ray_package().remote(WorkerActor).options(scheduling_strategy="SPREAD", **options)
        return actor.remote(config.setup, config.worker_runtime_config, config.models, config.cache, config.root)


def threads_per_worker(machines: Sequence[Mapping[str, float]], workers: int, on_gpus: bool) -> int:
    """How many threads each of `workers` workers may use; the machine with the fewest cores a worker decides.

    `machines` are Ray's resources of each machine, "CPU" and "GPU"; workers on GPUs run on those with GPUs, other
    workers on all.
    """
    used = [machine for machine in machines if machine.get("CPU", 0) >= 1 and (not on_gpus or machine.get("GPU"))]
    shares = []
    for machine in used:
        here = machine["GPU"] if on_gpus else math.ceil(workers / len(used))
        shares.append(int(machine["CPU"] // min(workers, here)))
    return max(1, min(shares, default=1))


def _unresponsive(actors: Mapping[str, Any], timeout_s: float) -> dict[str, Exception | None]:
    """The names of the actors that do not answer in time, each with Ray's error, None where there is none."""
    if not actors:
        return {}
    ray = ray_package()
    try:
        calls = {name: actor.heartbeat.remote() for name, actor in actors.items()}
        answered, _ = ray.wait(list(calls.values()), num_returns=len(calls), timeout=timeout_s)
    except Exception as error:  # the cluster itself does not answer
        return dict.fromkeys(actors, error)
    reasons: dict[str, Exception | None] = {}
    for name, answer in calls.items():
        if answer not in answered:
            reasons[name] = None
            continue
        try:
            ray.get(answer, timeout=CALL_TIMEOUT_S)
        except Exception as error:  # the actor has died
            reasons[name] = error
    return reasons


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
