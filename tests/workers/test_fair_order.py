"""Round robin between owners."""

from itertools import pairwise

from hypothesis import given, strategies as st

from fantasyportrait.workers.fair_order import fair_order
from fantasyportrait.workers.job_store import JobRecord

OWNERS = ["ann", "ben", "cat"]
PENDING = st.lists(st.tuples(st.sampled_from(OWNERS), st.integers(-5, 5)), max_size=12)
SERVED = st.lists(st.sampled_from(OWNERS), unique=True)


def records(pending: list[tuple[str, int]]) -> list[JobRecord]:
    return [
        JobRecord(f"{number:032x}", owner, "", "{}", float(number), rank=rank)
        for number, (owner, rank) in enumerate(pending)
    ]


def test_owners_alternate_and_new_one_comes_first() -> None:
    pending = records([("ann", 0), ("ann", 1), ("ann", 2), ("ben", 5), ("ben", 4), ("cat", 0)])
    order = fair_order(pending, ["ben", "ann"])
    assert [(record.owner, record.rank) for record in order] == [
        *(("cat", 0), ("ben", 4), ("ann", 0)),
        *(("ben", 5), ("ann", 1), ("ann", 2)),
    ]


@given(PENDING, SERVED)
def test_order_has_each_job_once_and_each_owners_by_rank(pending: list[tuple[str, int]], served: list[str]) -> None:
    jobs = records(pending)
    order = fair_order(jobs, served)
    assert sorted(order, key=lambda job: job.id) == jobs
    for owner in OWNERS:
        ranks = [job.rank for job in order if job.owner == owner]
        assert ranks == sorted(ranks)


@given(PENDING, SERVED)
def test_two_jobs_of_an_owner_in_a_row_only_where_no_other_owner_waits(
    pending: list[tuple[str, int]], served: list[str]
) -> None:
    order = fair_order(records(pending), served)
    owners = [*served[-1:], *(job.owner for job in order)]
    for at, (first, second) in enumerate(pairwise(owners)):
        if first == second:
            assert set(owners[at + 1 :]) == {first}


@given(PENDING, SERVED)
def test_order_stays_as_it_is_while_jobs_start(pending: list[tuple[str, int]], served: list[str]) -> None:
    jobs, served = records(pending), list(served)
    for expected in fair_order(jobs, served):
        assert fair_order(jobs, served)[0] == expected
        jobs.remove(expected)
        served = [*(owner for owner in served if owner != expected.owner), expected.owner]
