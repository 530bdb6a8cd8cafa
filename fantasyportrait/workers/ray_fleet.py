"""Workers on the machines of a Ray cluster: one for each card, kept up as long as this process runs."""

import logging
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.workers.ray_cluster import ANSWER_S, PREFIX, kill, ray_package
from fantasyportrait.workers.worker_bench import WorkerBench

# Starting means importing the engines; stopping means removing files.
READY_S = 180.0
CLOSE_S = 10.0
# Asking, reading files and cancelling, for two apps; the work has threads of its own.
THREADS = 4
THREADS_VARIABLE = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Crew:
    """How workers are made.

    Attributes:
        placement: where and how their diffusion engine computes.
        gpus: cards of the cluster that each takes for itself, 1 or 0; with 0 the placement is on the CPU.
        models, cache: folders on the workers' machines, None for the usual ones.
        root: the folder there in which a worker makes its own, None for the system's place for temporary files.
    """

    placement: Placement
    gpus: int = 1
    models: str | None = None
    cache: str | None = None
    root: str | None = None

    def __post_init__(self) -> None:
        if not self.gpus and self.placement.device not in ("auto", "cpu"):
            raise RequestError(
                f"--gpus-per-worker 0 makes workers on CPUs, and --device is {self.placement.device}: leave out one"
            )

    @property
    def place(self) -> Placement:
        """The placement as the workers get it: "auto" would find a card that is not theirs."""
        return self.placement if self.gpus else replace(self.placement, device="cpu")


class Fleet:
    """The workers that this process started in the cluster it has joined; they end with it."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._gpus = 0
        self._wanted = 0
        self._threads = 1
        self._actors: dict[str, Any] = {}

    def start(self, count: int | None = None) -> tuple[str, ...]:
        """Start `count` workers, by default one for each card of the cluster or one on a CPU; return their names.

        Raises `RequestError` where the cluster has no room for all of them, and then leaves none.
        """
        cards = round(ray_package().cluster_resources().get("GPU", 0)) if self._crew.gpus else 0
        self._gpus = min(cards, 1)
        self._wanted = count or cards or 1
        if cards and self._wanted > cards:
            raise RequestError(
                f"{self._wanted} workers need a card each and the cluster has {cards}: give a smaller --count, or "
                "--gpus-per-worker 0"
            )
        machines = [node["Resources"] for node in ray_package().nodes() if node["Alive"]]
        self._threads = share_of_cores(machines, self._wanted, on_cards=bool(self._gpus))
        try:
            return self._fill()
        except FantasyPortraitError:
            self.stop()
            raise

    def tend(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Put new workers in the place of those that are gone; return the names of the gone and of the new.

        Raises a `FantasyPortraitError` where not all can be started; the next call tries again.
        """
        gone = tuple(self._drop_silent(list(self._actors), ANSWER_S))
        return gone, self._fill()

    def stop(self) -> None:
        """End all workers; what they were doing is lost, and nothing of it stays on their machines."""
        try:
            closing = [actor.close.remote() for actor in self._actors.values()]
            if closing:
                ray_package().wait(closing, num_returns=len(closing), timeout=CLOSE_S)
        except Exception:  # without a cluster there is nothing to end
            logging.getLogger(__name__).debug("the workers could not be closed", exc_info=True)
        for actor in self._actors.values():
            kill(actor)
        self._actors.clear()

    def _fill(self) -> tuple[str, ...]:
        """Start as many as are missing, and wait until they answer; those that do stay where others do not.

        Raises `RequestError` for want of room, and else what a worker died of.
        """
        new: list[str] = []
        try:
            while len(self._actors) < self._wanted:
                name = f"{PREFIX}{uuid.uuid4().hex[:8]}"
                self._actors[name] = self._make(name)
                new.append(name)
        except Exception as error:  # from outside, Ray raises bare exceptions too
            for name in new:
                kill(self._actors.pop(name))
            raise FantasyPortraitError(f"no worker can be started, as the cluster does not answer ({error})") from error
        reasons = self._drop_silent(new, READY_S)
        died = next((reason for reason in reasons.values() if reason is not None), None)
        if died is not None:
            raise FantasyPortraitError(f"a worker could not start: {_last_line(died)}") from died
        if reasons:
            raise RequestError(
                f"{len(reasons)} of {len(new)} workers found no room in the cluster within {READY_S:.0f} s: each "
                "needs a CPU core, and a card unless --gpus-per-worker is 0"
            )
        return tuple(new)

    def _drop_silent(self, names: Sequence[str], patience_s: float) -> dict[str, Exception | None]:
        """End those that do not answer within so many seconds; return why they do not, None where that is all."""
        reasons = _silent({name: self._actors[name] for name in names}, patience_s)
        for name in reasons:
            kill(self._actors.pop(name))
        return reasons

    def _make(self, name: str) -> Any:
        crew = self._crew
        options: dict[str, Any] = {"name": name, "num_cpus": 1, "num_gpus": self._gpus, "max_concurrency": THREADS}
        # Ray itself gives an actor of one core one thread. What is set here goes for the workers too.
        threads = os.environ.get(THREADS_VARIABLE, str(self._threads))
        if threads != "1":
            options["runtime_env"] = {"env_vars": {THREADS_VARIABLE: threads}}
        bench = ray_package().remote(WorkerBench).options(scheduling_strategy="SPREAD", **options)
        return bench.remote(crew.place, crew.models, crew.cache, crew.root)


def share_of_cores(machines: Sequence[Mapping[str, float]], workers: int, on_cards: bool) -> int:
    """How many threads each of so many workers may compute with; the machine with the least to give decides.

    `machines` are what Ray counts on each, "CPU" and "GPU"; workers on cards go where cards are, others everywhere.
    """
    taken = [machine for machine in machines if machine.get("CPU", 0) >= 1 and (not on_cards or machine.get("GPU"))]
    shares = []
    for machine in taken:
        here = machine["GPU"] if on_cards else math.ceil(workers / len(taken))
        shares.append(int(machine["CPU"] // min(workers, here)))
    return max(1, min(shares, default=1))


def _silent(actors: Mapping[str, Any], patience_s: float) -> dict[str, Exception | None]:
    """The actors, by name, that do not answer: what Ray says of each, None where the time was too short."""
    if not actors:
        return {}
    ray = ray_package()
    try:
        asked = {name: actor.hello.remote() for name, actor in actors.items()}
        answered, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=patience_s)
    except Exception as error:  # the cluster itself does not answer
        return dict.fromkeys(actors, error)
    reasons: dict[str, Exception | None] = {}
    for name, answer in asked.items():
        if answer not in answered:
            reasons[name] = None
            continue
        try:
            ray.get(answer, timeout=ANSWER_S)
        except Exception as error:  # it has died
            reasons[name] = error
    return reasons


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
