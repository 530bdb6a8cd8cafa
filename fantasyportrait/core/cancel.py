"""Cancellation as data: a token that the caller sets and the work checks between frames."""

import threading

from fantasyportrait.core.errors import Cancelled


class CancelToken:
    """A flag that one thread sets and the working thread checks. Safe to share between threads."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Make the work stop at its next frame."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """True once `cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` once `cancel` was called."""
        if self.cancelled:
            raise Cancelled("stopped: nothing was written")
