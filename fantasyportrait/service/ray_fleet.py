"""Workers on the machines of a Ray cluster: one for each card, kept up as long as this process runs."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.service.job_queue import WorkerLost
from fantasyportrait.service.ray_cluster import PREFIX, ask, kill, ray_package
from fantasyportrait.service.worker_bench import WorkerBench

# Starting means importing the engines; stopping means removing files.
READY_S = 180.0
CLOSE_S = 10.0
# Asking, reading files and cancelling, for two apps; the work has threads of its own.
THREADS = 4


@dataclass(frozen=True)
class Crew:
    """How workers are made.

    Attributes:
        placement: where and how their diffusion engine computes.
        gpus: cards of the cluster that each takes for itself, 1 or 0.
        models, cache: folders on the workers' machines, None for the usual ones.
        root: the folder there in which a worker makes its own, None for the system's place for temporary files.
    """

    placement: Placement
    gpus: int = 1
    models: str | None = None
    cache: str | None = None
    root: str | None = None


class Fleet:
    """The workers that this process started in the cluster it has joined; they end with it."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._gpus = 0
        self._wanted = 0
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
        try:
            return self._fill()
        except FantasyPortraitError:
            self.stop()
            raise

    def tend(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Put new workers in the place of those that are gone; return the names of the gone and of the new.

        Raises a `FantasyPortraitError` where none can be started; the next call tries again.
        """
        gone = tuple(name for name, actor in self._actors.items() if not _answers(actor))
        for name in gone:
            kill(self._actors.pop(name))
        return gone, self._fill()

    def stop(self) -> None:
        """End all workers; what they were doing is lost, and nothing of it stays on their machines."""
        closing = [actor.close.remote() for actor in self._actors.values()]
        if closing:
            ray_package().wait(closing, num_returns=len(closing), timeout=CLOSE_S)
        for actor in self._actors.values():
            kill(actor)
        self._actors.clear()

    def _fill(self) -> tuple[str, ...]:
        """Start as many as are missing, all of them or none."""
        new = {f"{PREFIX}{uuid.uuid4().hex[:8]}": None for _ in range(self._wanted - len(self._actors))}
        try:
            for name in new:
                self._actors[name] = self._make(name)
            self._wait_for([self._actors[name] for name in new])
        except FantasyPortraitError:
            for name in new:
                kill(self._actors.pop(name))
            raise
        return tuple(new)

    def _make(self, name: str) -> Any:
        crew = self._crew
        options = {"name": name, "num_cpus": 1, "num_gpus": self._gpus, "max_concurrency": THREADS}
        bench = ray_package().remote(WorkerBench).options(**options)
        return bench.remote(crew.placement, crew.models, crew.cache, crew.root)

    def _wait_for(self, actors: Sequence[Any]) -> None:
        """Return when all answer; raise `RequestError` for want of room, and else what a worker died of."""
        asked = [actor.hello.remote() for actor in actors]
        if not asked:
            return
        _, waiting = ray_package().wait(asked, num_returns=len(asked), timeout=READY_S)
        if waiting:
            raise RequestError(
                f"{len(waiting)} of {len(asked)} workers found no room in the cluster within {READY_S:.0f} s: each "
                "needs a CPU core, and a card unless --gpus-per-worker is 0"
            )
        for actor in actors:
            try:
                ask(actor, "hello")
            except WorkerLost as error:
                reason = (str(error.__cause__).strip().splitlines() or [str(error)])[-1]
                raise FantasyPortraitError(f"a worker could not start: {reason.strip()}") from error


def _answers(actor: Any) -> bool:
    try:
        ask(actor, "hello")
    except WorkerLost:
        return False
    return True
