"""A pool of decoder processes: a few are kept ready, more are started while many clips are read.

A photo takes one for a moment; a clip or a sound keeps one as long as it is read. So that photos never wait for clips,
clips leave some children of the bound to photos, and beyond it are refused instead of waiting for each other: a job
reads several clips in step.
"""

import logging
import threading
import weakref
from collections.abc import Callable

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import Limits
from fantasyportrait.sandbox.decoder_process import CPU_S, WALL_S, DecoderLost, DecoderProcess

MAX_PROCESSES = 32
RESERVED_FOR_PHOTOS = 4
_WATCH_S = 0.1
_JOIN_S = 10.0


class DecoderPool:
    """Decoder processes. Threads may share the pool; `warm` processes are kept ready."""

    def __init__(
        self,
        limits: Limits,
        warm: int = 2,
        max_processes: int = MAX_PROCESSES,
        cpu_s: int = CPU_S,
        wall_s: float = WALL_S,
    ) -> None:
        self._limits, self._warm, self._max_processes = limits, warm, max_processes
        self._cpu_s, self._wall_s = cpu_s, wall_s
        self._changed = threading.Condition()
        self._idle: list[DecoderProcess] = []
        self._all: set[DecoderProcess] = set()
        self._slots, self._streams, self._filling = 0, 0, 0
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []
        self._start_thread(_watchdog, weakref.ref(self), self._closed)
        self._start_thread(self._fill, warm)

    def acquire(self, stream: bool) -> DecoderProcess:
        """A child for one file; `stream` for a clip or sound that is read on and on.

        Raises MediaError where too much is read at a time, or no process can be started.
        """
        with self._changed:
            if stream and self._streams >= self._max_processes - RESERVED_FOR_PHOTOS:
                raise MediaError("too many clips are being read at the same time: try again in a minute")
            while not self._closed.is_set() and not self._idle and self._slots >= self._max_processes:
                self._changed.wait()
            if self._closed.is_set():
                raise MediaError("the program is ending: nothing more is read")
            for dead in [child for child in self._idle if not child.alive]:  # ended by the system, for want of memory
                self._idle.remove(dead)
                self._all.discard(dead)
                self._slots -= 1
                dead.close()
            child = self._idle.pop() if self._idle else None
            self._slots += child is None
            self._streams += stream
            empty = stream and not self._idle
        if child is None:
            try:
                child = self._start()
            except MediaError:
                with self._changed:
                    self._streams -= stream
                raise
        if empty:
            self._start_thread(self._fill, 1)  # a photo may come while the clip is read
        return child

    def release(self, child: DecoderProcess, stream: bool, lost: bool) -> None:
        """Return a child to the pool, or report it as `lost`; `stream` as in `acquire`."""
        with self._changed:
            keep = not lost and len(self._idle) < self._warm and not self._closed.is_set()
            if keep:
                self._idle.append(child)
            else:
                self._all.discard(child)
                self._slots -= 1
            self._streams -= stream
            self._changed.notify_all()
        if not keep:
            child.close()
        if lost:
            self._start_thread(self._fill, self._warm)

    def close(self) -> None:
        """End all children, also busy ones; safe to call twice."""
        self._closed.set()
        with self._changed:
            idle, busy = self._idle, self._all.difference(self._idle)
            self._idle = []
            self._changed.notify_all()
        for child in busy:
            child.kill()
        for child in idle:
            child.close()
        # A thread that still runs when the interpreter ends would keep a lock for ever.
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN_S)

    def kill_overdue(self) -> None:
        """Kill the children whose unit of work takes too long; the threads that wait for them return at once."""
        with self._changed:
            children = list(self._all)
        for child in children:
            child.kill_if_overdue()

    def _start(self) -> DecoderProcess:
        """Start a child in a place that is counted already."""
        try:
            child = DecoderProcess(self._limits, self._cpu_s, self._wall_s)
        except (OSError, DecoderLost) as error:
            with self._changed:
                self._slots -= 1
                self._changed.notify_all()
            raise MediaError(
                "no process for reading files can be started ({error}): see whether memory is free", error=error
            ) from error
        with self._changed:
            self._all.add(child)
        return child

    def _start_thread(self, work: Callable[..., None], *arguments: object) -> None:
        with self._changed:
            if self._closed.is_set():
                return
            thread = threading.Thread(target=work, args=arguments, name="fantasyportrait-decoders", daemon=True)
            self._threads = [other for other in self._threads if other.is_alive()] + [thread]
            thread.start()

    def _fill(self, idle: int) -> None:
        """Start children until `idle` of them are ready."""
        while not self._closed.is_set():
            with self._changed:
                if len(self._idle) + self._filling >= idle or self._slots >= self._max_processes:
                    return
                self._slots += 1
                self._filling += 1
            try:
                child = self._start()
            except MediaError as error:
                with self._changed:
                    self._filling -= 1
                logging.getLogger(__name__).warning("%s", error)
                return
            with self._changed:
                self._filling -= 1
                # Meanwhile others may have been given back.
                keep = len(self._idle) < self._warm and not self._closed.is_set()
                if keep:
                    self._idle.append(child)
                else:
                    self._all.discard(child)
                    self._slots -= 1
                self._changed.notify_all()
            if not keep:
                child.close()


def _watchdog(pool: "weakref.ref[DecoderPool]", closed: threading.Event) -> None:
    while not closed.wait(_WATCH_S):
        alive = pool()
        if alive is None:
            return
        alive.kill_overdue()
        del alive  # otherwise the pool would never be freed
