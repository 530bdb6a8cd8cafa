"""The estimate of the time left, and the rate of progress events."""

import pytest

from fantasyportrait.engines.progress import Progress
from fantasyportrait.schema.events import Event, Step


def test_time_left_follows_measured_rate() -> None:
    now = [0.0]
    seen: list[Event] = []
    progress = Progress(seen.append, "render", 100, clock=lambda: now[0])
    for done in range(101):
        now[0] = done * 0.04
        progress.update(done)
    steps = [event for event in seen if isinstance(event, Step)]
    assert len(steps) < 45
    assert steps[0].remaining_s is None
    half = next(step for step in steps if step.done >= 50)
    assert half.remaining_s == pytest.approx((100 - half.done) * 0.04)
    assert (steps[-1].done, steps[-1].remaining_s) == (100, 0)


def test_progress_never_exceeds_total() -> None:
    seen: list[Event] = []
    Progress(seen.append, "driving", 0).update(7)
    assert isinstance(seen[0], Step)
    assert (seen[0].done, seen[0].total) == (1, 1)


def test_time_left_excludes_preparation_after_first_step() -> None:
    """Ten seconds until the first step, then one a second: after the second step eight are left, not forty."""
    now = [0.0]
    seen: list[Event] = []
    progress = Progress(seen.append, "sample", 10, clock=lambda: now[0])
    for done in range(1, 11):
        now[0] = 9.0 + done
        progress.update(done)
    left = [event.remaining_s for event in seen if isinstance(event, Step)]
    assert left == pytest.approx([90, *range(8, -1, -1)])
