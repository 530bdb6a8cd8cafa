"""What an event of a run, and its end, change in the record of its job."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.schema import events
from fantasyportrait.schema.events import Event, Result
from fantasyportrait.workers.job_store import QUEUED, JobRecord

MAX_ATTEMPTS = 2
UNEXPECTED_ERROR = "the job met an error of the program: the log of the server has the details"
INTERRUPTED_TWICE = (
    "the server ended twice while this job ran, which it may have caused: ask for a shorter or smaller video"
)


def started(record: JobRecord) -> JobRecord:
    """The record of a pending job that starts now."""
    return replace(_cleared(record), state="running", attempts=record.attempts + 1, started_s=time.time())


def retried(record: JobRecord, rank: int) -> JobRecord:
    """The record of an ended job that is pending again, as if it were submitted now."""
    return replace(
        _cleared(record), state="pending", rank=rank, attempts=0, created_s=time.time(), started_s=None, ended_s=None
    )


def cancelled(record: JobRecord, error: str | None = None) -> JobRecord:
    """The record of a job that ends now as it was cancelled; `error` says why where the owner did not do it."""
    return replace(record, state="cancelled", stopping=False, error=error, remaining_s=None, ended_s=time.time())


def failed(record: JobRecord, error: FantasyPortraitError) -> JobRecord:
    """The record of a job that fails now."""
    return replace(
        record,
        state="failed",
        stopping=False,
        error=error.sentence,
        messages=_added(record.messages, *error.messages),
        remaining_s=None,
        ended_s=time.time(),
    )


def recovered(record: JobRecord, rank: int) -> JobRecord:
    """The record of a job that ran when the last process ended: pending again, or failed after `MAX_ATTEMPTS`."""
    if record.stopping:
        return cancelled(record, record.error)
    if record.attempts >= MAX_ATTEMPTS:
        return failed(record, FantasyPortraitError(INTERRUPTED_TWICE))
    # Without its start its owner does not count as served, and it is next as it was before.
    return replace(_cleared(record), state="pending", rank=rank, started_s=None)


def with_event(record: JobRecord, event: Event) -> JobRecord:
    """The record of a running job after an event that is not its last."""
    if isinstance(event, events.Queued):
        return replace(record, stage=QUEUED, done=0, total=0, remaining_s=None)
    if isinstance(event, events.Stage):
        return replace(record, stage=event.name, done=0, total=0, remaining_s=None)
    if isinstance(event, events.Step):
        return replace(record, stage=event.stage, done=event.done, total=event.total, remaining_s=event.remaining_s)
    if isinstance(event, events.Message):
        # A job that restarts on another worker emits its messages again.
        return replace(record, messages=_added(record.messages, event.text))
    return record


def with_end(record: JobRecord, end: Event, encode_result: Callable[[Result], str]) -> JobRecord:
    """The record of a job after its last event. An error of `encode_result` makes it fail."""
    if isinstance(end, events.Done):
        try:
            result = encode_result(end.result)
        except FantasyPortraitError as error:
            return failed(record, error)
        except Exception:
            logging.getLogger(__name__).exception("the result of the job %s cannot be stored", record.id)
            return failed(record, FantasyPortraitError(UNEXPECTED_ERROR))
        made = replace(record, state="done", stopping=False, error=None, result=result, remaining_s=None)
        return replace(made, messages=_added(record.messages, *end.result.messages), ended_s=time.time())
    if isinstance(end, events.Failed):
        return failed(record, end.error)
    return cancelled(record, record.error)


def _cleared(record: JobRecord) -> JobRecord:
    """Without what an earlier run left."""
    return replace(
        record,
        stopping=False,
        stage="",
        done=0,
        total=0,
        remaining_s=None,
        messages=(),
        error=None,
        result=None,
    )


def _added(messages: tuple[str, ...], *more: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*messages, *more)))
