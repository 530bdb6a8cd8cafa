"""The order in which the pending jobs of several owners run: round robin between owners."""

from collections import deque
from collections.abc import Sequence

from fantasyportrait.workers.job_store import JobRecord


def fair_order(pending: Sequence[JobRecord], served: Sequence[str]) -> list[JobRecord]:
    """The pending jobs in the order in which they run, if none is added: one of each owner, again and again.

    The owner who was served longest ago is next, before all others one who never was. Within an owner the rank counts.

    Args:
        pending: in the order in which they were submitted, which decides between owners who were never served.
        served: the owners who were served, the latest last.
    """
    queues: dict[str, deque[JobRecord]] = {}
    for record in sorted(pending, key=lambda job: job.rank):
        queues.setdefault(record.owner, deque()).append(record)
    latest = {owner: number for number, owner in enumerate(served)}
    arrived = list(dict.fromkeys(record.owner for record in pending))
    owners = deque(sorted(arrived, key=lambda owner: latest.get(owner, -1)))
    order = []
    while owners:
        owner = owners.popleft()
        order.append(queues[owner].popleft())
        if queues[owner]:
            owners.append(owner)
    return order


def in_order(records: Sequence[JobRecord]) -> list[JobRecord]:
    """The pending ones of an owner's jobs, by rank."""
    return sorted((record for record in records if record.state == "pending"), key=lambda job: job.rank)


def next_rank(records: Sequence[JobRecord], front: bool = False) -> int:
    """The rank that puts a job behind its owner's pending jobs, or before them; `records` are all his jobs."""
    pending = in_order(records)
    if not pending:
        return 0
    return pending[0].rank - 1 if front else pending[-1].rank + 1
