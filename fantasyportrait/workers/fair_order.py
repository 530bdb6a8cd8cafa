"""Fair turns: the order in which the pending jobs of several owners run."""

from collections import deque
from collections.abc import Sequence

from fantasyportrait.workers.job_store import JobRecord


def fair_order(pending: Sequence[JobRecord], served: Sequence[str]) -> list[JobRecord]:
    """The pending jobs in the order in which they run, if none is added: one of each owner, in turns.

    The owner who was served longest ago is next, before all others one who never was. Within an owner the rank counts.

    Args:
        pending: in the order in which they were submitted, which decides between owners who were never served.
        served: the owners who were served, the latest last.
    """
    lines: dict[str, deque[JobRecord]] = {}
    for record in sorted(pending, key=lambda job: job.rank):
        lines.setdefault(record.owner, deque()).append(record)
    turns = {owner: turn for turn, owner in enumerate(served)}
    arrived = list(dict.fromkeys(record.owner for record in pending))
    owners = deque(sorted(arrived, key=lambda owner: turns.get(owner, -1)))
    order = []
    while owners:
        owner = owners.popleft()
        order.append(lines[owner].popleft())
        if lines[owner]:
            owners.append(owner)
    return order


def in_line(records: Sequence[JobRecord]) -> list[JobRecord]:
    """The pending ones of an owner's jobs, in the order in which they run."""
    return sorted((record for record in records if record.state == "pending"), key=lambda job: job.rank)


def next_rank(records: Sequence[JobRecord], front: bool = False) -> int:
    """The rank that puts a job at the end, or at the front, of its owner's line; `records` are all his jobs."""
    line = in_line(records)
    if not line:
        return 0
    return line[0].rank - 1 if front else line[-1].rank + 1
