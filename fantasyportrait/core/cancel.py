"""Cancellation as data: a token that is passed down and checked between frames."""

import threading

from fantasyportrait.core.errors import Cancelled


class CancelToken:
    """A flag that one thread sets and the working thread checks. Safe to share between threads."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop at its next frame."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """True once `cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if `cancel` was called."""
        if self.cancelled:
            raise Cancelled("stopped: nothing was written")
