"""Workers on the machines of a Ray cluster: one for each GPU, kept up as long as this process runs."""

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

# Starting means importing the engines; stopping means removing files.
START_TIMEOUT_S = 180.0
CLOSE_TIMEOUT_S = 10.0
# Asking, reading files and cancelling, for two apps; the work has threads of its own.
MAX_CONCURRENCY = 4
THREADS_ENV = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class WorkerConfig:
    """How workers are made.

    Attributes:
        runtime_config: where and how their diffusion engine computes.
        gpus: GPUs of the cluster that each takes for itself, 1 or 0; with 0 the runtime config is on the CPU.
        models, cache: folders on the workers' machines, None for the usual ones.
        root: the folder there in which a worker makes its own, None for the system's place for temporary files.
    """

    runtime_config: RuntimeConfig
    gpus: int = 1
    models: str | None = None
    cache: str | None = None
    root: str | None = None

    def __post_init__(self) -> None:
        if not self.gpus and self.runtime_config.device not in ("auto", "cpu"):
            raise RequestError(
                f"--gpus-per-worker 0 makes workers on CPUs, and --device is {self.runtime_config.device}: leave out "
                "one"
            )

    @property
    def resolved_placement(self) -> RuntimeConfig:
        """The runtime config as the workers get it: "auto" would find a GPU that is not theirs."""
        return self.runtime_config if self.gpus else replace(self.runtime_config, device="cpu")


class WorkerPool:
    """The workers that this process started in the cluster it has joined; they end with it."""

    def __init__(self, config: WorkerConfig) -> None:
        self._crew = config
        self._gpus = 0
        self._target_count = 0
        self._threads = 1
        self._actors: dict[str, Any] = {}

    def start(self, count: int | None = None) -> tuple[str, ...]:
        """Start `count` workers, by default one for each GPU of the cluster or one on a CPU; return their names.

        Raises `RequestError` where the cluster has no room for all of them, and then leaves none.
        """
        gpus = round(ray_package().cluster_resources().get("GPU", 0)) if self._crew.gpus else 0
        self._gpus = min(gpus, 1)
        self._target_count = count or gpus or 1
        if gpus and self._target_count > gpus:
            raise RequestError(
                f"{self._target_count} workers need a GPU each and the cluster has {gpus}: give a smaller --count, or "
                "--gpus-per-worker 0"
            )
        machines = [node["Resources"] for node in ray_package().nodes() if node["Alive"]]
        self._threads = threads_per_worker(machines, self._target_count, on_gpus=bool(self._gpus))
        try:
            return self._start_missing()
        except FantasyPortraitError:
            self.stop()
            raise

    def replace_dead(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Put new workers in the place of those that are gone; return the names of the gone and of the new.

        Raises a `FantasyPortraitError` where not all can be started; the next call tries again.
        """
        gone = tuple(self._kill_unresponsive(list(self._actors), CALL_TIMEOUT_S))
        return gone, self._start_missing()

    def stop(self) -> None:
        """End all workers; what they were doing is lost, and nothing of it stays on their machines."""
        try:
            closing = [actor.close.remote() for actor in self._actors.values()]
            if closing:
                ray_package().wait(closing, num_returns=len(closing), timeout=CLOSE_TIMEOUT_S)
        except Exception:  # without a cluster there is nothing to end
            logging.getLogger(__name__).debug("the workers could not be closed", exc_info=True)
        for actor in self._actors.values():
            kill(actor)
        self._actors.clear()

    def _start_missing(self) -> tuple[str, ...]:
        """Start as many as are missing, and wait until they answer; those that do stay where others do not.

        Raises `RequestError` for want of room, and else what a worker died of.
        """
        new: list[str] = []
        try:
            while len(self._actors) < self._target_count:
                name = f"{PREFIX}{uuid.uuid4().hex[:8]}"
                self._actors[name] = self._start_actor(name)
                new.append(name)
        except Exception as error:  # from outside, Ray raises bare exceptions too
            for name in new:
                kill(self._actors.pop(name))
            raise FantasyPortraitError(f"no worker can be started, as the cluster does not answer ({error})") from error
        reasons = self._kill_unresponsive(new, START_TIMEOUT_S)
        died = next((reason for reason in reasons.values() if reason is not None), None)
        if died is not None:
            raise FantasyPortraitError(f"a worker could not start: {_last_line(died)}") from died
        if reasons:
            raise RequestError(
                f"{len(reasons)} of {len(new)} workers found no room in the cluster within {START_TIMEOUT_S:.0f} s: "
                "each "
                "needs a CPU core, and a GPU unless --gpus-per-worker is 0"
            )
        return tuple(new)

    def _kill_unresponsive(self, names: Sequence[str], timeout_s: float) -> dict[str, Exception | None]:
        """End those that do not answer within so many seconds; return why they do not, None where that is all."""
        reasons = _unresponsive({name: self._actors[name] for name in names}, timeout_s)
        for name in reasons:
            kill(self._actors.pop(name))
        return reasons

    def _start_actor(self, name: str) -> Any:
        config = self._crew
        options: dict[str, Any] = {
            "name": name,
            "num_cpus": 1,
            "num_gpus": self._gpus,
            "max_concurrency": MAX_CONCURRENCY,
        }
        # Ray itself gives an actor of one core one thread. What is set here goes for the workers too.
        threads = os.environ.get(THREADS_ENV, str(self._threads))
        if threads != "1":
            options["runtime_env"] = {"env_vars": {THREADS_ENV: threads}}
        actor = ray_package().remote(WorkerActor).options(scheduling_strategy="SPREAD", **options)
        return actor.remote(config.resolved_placement, config.models, config.cache, config.root)


def threads_per_worker(machines: Sequence[Mapping[str, float]], workers: int, on_gpus: bool) -> int:
    """How many threads each of so many workers may compute with; the machine with the least to give decides.

    `machines` are what Ray counts on each, "CPU" and "GPU"; workers on GPUs go where GPUs are, others everywhere.
    """
    taken = [machine for machine in machines if machine.get("CPU", 0) >= 1 and (not on_gpus or machine.get("GPU"))]
    shares = []
    for machine in taken:
        here = machine["GPU"] if on_gpus else math.ceil(workers / len(taken))
        shares.append(int(machine["CPU"] // min(workers, here)))
    return max(1, min(shares, default=1))


def _unresponsive(actors: Mapping[str, Any], timeout_s: float) -> dict[str, Exception | None]:
    """The actors, by name, that do not answer: what Ray says of each, None where the time was too short."""
    if not actors:
        return {}
    ray = ray_package()
    try:
        asked = {name: actor.heartbeat.remote() for name, actor in actors.items()}
        answered, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=timeout_s)
    except Exception as error:  # the cluster itself does not answer
        return dict.fromkeys(actors, error)
    reasons: dict[str, Exception | None] = {}
    for name, answer in asked.items():
        if answer not in answered:
            reasons[name] = None
            continue
        try:
            ray.get(answer, timeout=CALL_TIMEOUT_S)
        except Exception as error:  # it has died
            reasons[name] = error
    return reasons


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
