"""The checks of visitors' clips: in a lane of their own, in fair turns, each content once."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.digests import HashedFile
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.studio.clip_report import ClipReport, check_clip, check_reported_length
from fantasyportrait.studio.clip_update import ClipUpdate

# Files are hashed and their lengths are read by threads of their own: a clip that is too long is refused at once.
_ADMISSION_THREADS = 2
# Owners whose last turn is remembered.
_MAX_OWNERS = 1024
# An update for each hundredth of a clip.
_STEPS = 100
_JOIN_S = 10.0
_POLL_S = 0.2

OnUpdate = Callable[[ClipUpdate], object]


class Analyse(Protocol):
    """Analyses a clip, see `clip_report.check_clip`."""

    def __call__(
        self,
        inputs: InputReader,
        path: Path,
        max_length_s: float | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> ClipReport:
        """The report on the clip at `path`."""
        ...


@dataclass(eq=False)
class _Subscriber:
    """A clip of a visitor that waits for a check.

    `sent` is the last update that it got; `lock` is held while it gets one, so that none overtakes another.
    """

    owner: str
    clip_id: str
    path: Path
    on_update: OnUpdate
    file: HashedFile | None = None
    sent: ClipUpdate | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)


@dataclass(eq=False)
class _Check:
    """The check of one content, for all subscribers with that content."""

    sha256: str
    number: int
    latest: ClipUpdate
    subscribers: list[_Subscriber] = field(default_factory=list)
    cancel: CancelToken = field(default_factory=CancelToken)


class ClipChecks:
    """Checks the clips of visitors, `threads` at a time; the owner whose last turn is longest ago comes first.

    Clips with the same bytes share one check. A clip that lasts longer than `max_length_s` is refused: before tracking
    where its container reports that, while tracking otherwise. Threads may share it; `close` ends it.
    """

    def __init__(
        self, inputs: InputReader, max_length_s: float | None = None, threads: int = 1, analyse: Analyse = check_clip
    ) -> None:
        self._inputs, self._analyse = inputs, analyse
        limit_s = inputs.decoder.limits.clip_length_s
        self._max_length_s = limit_s if max_length_s is None else min(max_length_s, limit_s)
        self._changed = threading.Condition()
        self._subscribers: dict[tuple[str, str], _Subscriber] = {}
        self._checks: dict[str, _Check] = {}
        self._pending: list[_Check] = []
        self._turns: OrderedDict[str, int] = OrderedDict()
        self._count = 0
        self._closed = False
        self._admission = ThreadPoolExecutor(_ADMISSION_THREADS, "fantasyportrait-clip-admission")
        self._threads = [
            threading.Thread(target=self._work, name="fantasyportrait-clip-checks", daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def check(self, owner: str, clip_id: str, path: Path, on_update: OnUpdate) -> None:
        """Check a clip, in place of any clip of this owner with the same id; returns at once.

        `on_update` is called by other threads, one call at a time for each clip, up to an update that is ready or
        failed. No call begins after `cancel`, or after another `check` of the same clip; one that has begun may end
        later.
        """
        subscriber = _Subscriber(owner, clip_id, path, on_update)
        with self._changed:
            self._remove(self._subscribers.get((owner, clip_id)))
            self._subscribers[owner, clip_id] = subscriber
            if not self._closed:
                self._admission.submit(self._admit, subscriber)

    def cancel(self, owner: str, clip_id: str) -> None:
        """The clip was cleared: its check ends, unless another clip waits for it too."""
        with self._changed:
            self._remove(self._subscribers.get((owner, clip_id)))

    def cancel_all(self, owner: str) -> None:
        """All clips of an owner were cleared."""
        with self._changed:
            for subscriber in [each for each in self._subscribers.values() if each.owner == owner]:
                self._remove(subscriber)

    def join(
        self,
        owner: str,
        job: str,
        path: Path,
        progress: Callable[[int, int], None] | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        """Wait for the check of this content, where one is waiting or under way, so that a job does not track it too.

        `job` is its name among the clips of `owner`. `progress` gets (rows done, rows expected). The check goes on for
        the job where the clip itself is cleared. Raises `MediaError` for an unreadable file, `Cancelled`.
        """
        file = self._inputs.hashed(path)
        with self._changed:
            if file.sha256 not in self._checks:
                return
        updates: SimpleQueue[ClipUpdate] = SimpleQueue()
        self.check(owner, job, path, updates.put)
        try:
            update = None
            while update is None or update.state in ("waiting", "checking"):
                if cancel is not None:
                    cancel.check()
                if self._closed:
                    raise Cancelled("stopped: the app is ending")
                with suppress(Empty):
                    update = updates.get(timeout=_POLL_S)
                    if progress is not None:
                        progress(update.done, update.total)
        finally:
            self.cancel(owner, job)

    def close(self) -> None:
        """End all checks without further updates; safe to call twice."""
        with self._changed:
            self._closed = True
            for subscriber in list(self._subscribers.values()):
                self._remove(subscriber)
            self._changed.notify_all()
        self._admission.shutdown(cancel_futures=True)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN_S)

    def _admit(self, subscriber: _Subscriber) -> None:
        """Refuse a clip that cannot be read or is too long; otherwise let it join the check of its content."""
        try:
            file = self._inputs.hashed(subscriber.path)
            check_reported_length(self._inputs.decoder.probe(subscriber.path), self._max_length_s)
        except Exception as error:
            self._send(subscriber, _failure(error, subscriber.path))
            with self._changed:
                self._forget(subscriber)
            return
        with self._changed:
            if not self._wanted(subscriber):
                return
            check = self._checks.get(file.sha256)
            if check is None:
                check = _Check(file.sha256, self._count, ClipUpdate("waiting", file.path))
                self._count += 1
                self._checks[file.sha256] = check
                self._pending.append(check)
                self._changed.notify()
            subscriber.file = file
            check.subscribers.append(subscriber)
        self._send_latest(check, subscriber)

    def _work(self) -> None:
        """Run checks, one after the other."""
        while (check := self._next()) is not None:
            self._publish(check, self._result(check))
            with self._changed:
                if self._checks.get(check.sha256) is check:
                    del self._checks[check.sha256]
                # Those that have joined since then get the result from here.
                subscribers = list(check.subscribers)
            for subscriber in subscribers:
                self._send_latest(check, subscriber)
            with self._changed:
                for subscriber in subscribers:
                    self._forget(subscriber)

    def _next(self) -> _Check | None:
        """The check of the owner whose last turn is longest ago; None once all is closed."""
        with self._changed:
            while not self._pending and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            check = min(self._pending, key=self._turn)
            self._pending.remove(check)
            for subscriber in check.subscribers:
                self._turns[subscriber.owner] = self._count
                self._turns.move_to_end(subscriber.owner)
            self._count += 1
            while len(self._turns) > _MAX_OWNERS:
                self._turns.popitem(last=False)
            return check

    def _turn(self, check: _Check) -> tuple[int, int]:
        return min(self._turns.get(each.owner, -1) for each in check.subscribers), check.number

    def _result(self, check: _Check) -> ClipUpdate:
        """Analyse the file of a subscriber; where it is gone meanwhile, that of another one."""
        tried: set[Path] = set()
        while True:
            with self._changed:
                files = [each.file for each in check.subscribers if each.file and each.file.path not in tried]
            if not files:
                return check.latest
            file = files[0]
            tried.add(file.path)

            def progress(done: int, total: int, path: Path = file.path) -> None:
                latest = check.latest
                if (
                    latest.state == "waiting"
                    or latest.total != total
                    or done * _STEPS // max(1, total) != (latest.done * _STEPS // max(1, total))
                ):
                    self._publish(check, ClipUpdate("checking", path, done, total))

            self._publish(check, ClipUpdate("checking", file.path))
            try:
                report = self._analyse(self._inputs, file.path, self._max_length_s, progress, check.cancel)
                done, total = check.latest.done, check.latest.total
                return ClipUpdate("ready", file.path, max(done, total), total, report=report)
            except Exception as error:
                failure = _failure(error, file.path)
                if check.cancel.cancelled or not file.has_changed():
                    return failure
                check.latest = failure

    def _publish(self, check: _Check, update: ClipUpdate) -> None:
        with self._changed:
            check.latest = update
            subscribers = list(check.subscribers)
        for subscriber in subscribers:
            self._send_latest(check, subscriber)

    def _send_latest(self, check: _Check, subscriber: _Subscriber) -> None:
        with subscriber.lock:
            self._send(subscriber, check.latest)

    def _send(self, subscriber: _Subscriber, update: ClipUpdate) -> None:
        with subscriber.lock:
            with self._changed:
                wanted = self._wanted(subscriber) and subscriber.sent is not update
            if not wanted:
                return
            subscriber.sent = update
            try:
                subscriber.on_update(update)
            except Exception:
                # The check of other clips goes on.
                logging.getLogger(__name__).exception("the update of clip %s was not taken", subscriber.clip_id)

    def _wanted(self, subscriber: _Subscriber) -> bool:
        """Whether the clip was neither cleared nor replaced. Needs the lock."""
        return self._subscribers.get((subscriber.owner, subscriber.clip_id)) is subscriber

    def _forget(self, subscriber: _Subscriber) -> None:
        if self._wanted(subscriber):
            del self._subscribers[subscriber.owner, subscriber.clip_id]

    def _remove(self, subscriber: _Subscriber | None) -> None:
        """Remove a subscriber, and its check where it was the last one. Needs the lock."""
        if subscriber is None:
            return
        self._forget(subscriber)
        for check in list(self._checks.values()):
            if subscriber in check.subscribers:
                check.subscribers.remove(subscriber)
                if not check.subscribers:
                    del self._checks[check.sha256]
                    check.cancel.cancel()
                    if check in self._pending:
                        self._pending.remove(check)


def _failure(error: Exception, path: Path) -> ClipUpdate:
    """The update of a check that failed; what is no error of the visitor is logged."""
    if isinstance(error, FantasyPortraitError):
        return ClipUpdate("failed", path, error=error.sentence)
    logging.getLogger(__name__).error("the check of a clip failed", exc_info=error)
    return ClipUpdate(
        "failed",
        path,
        error=Sentence("{path} could not be checked ({error}): upload it again", path=path, error=type(error).__name__),
    )
