"""Signals that end the program: the first raises `KeyboardInterrupt`, later ones do not interrupt the clean-up."""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNAL_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Ctrl-C, `kill`, a closed terminal, Ctrl-Break on Windows."""
GRACE_S = 1.0
"""A signal within this time of the first is ignored; a later one ends the program at once."""
RERAISE_DELAY_S = 0.02
SHOW_CURSOR = "\033[?25h"


class SignalHandler:
    """Records the signals. `number` is the first one's, None before."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._at_s = 0.0
        self._armed = True

    @property
    def code(self) -> int:
        """The exit code of a program that a signal has ended, as in shells: 130 for Ctrl-C."""
        return 128 + (self.number or signal.SIGINT)

    def disarm(self) -> None:
        """Record later signals without raising: the work is done."""
        self._armed = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: raise `KeyboardInterrupt` for the first one."""
        if self.number is None:
            self.number, self._at_s = number, time.monotonic()
            if not self._armed:
                return
            if _is_importing(frame):
                # Nothing needs clean-up yet, and some packages break when an exception interrupts their import.
                os.write(2, b"error: stopped\n")
                os._exit(self.code)
            raise KeyboardInterrupt
        if time.monotonic() - self._at_s > GRACE_S:
            # The user does not wait for the clean-up; the next run removes the leftovers.
            if os.isatty(2):
                os.write(2, SHOW_CURSOR.encode())
            os._exit(self.code)

    def reraise_lost(self, lost: Any) -> None:
        """Hook for unraisable exceptions: a `KeyboardInterrupt` that was lost there is raised once more."""
        if self.number is None or not issubclass(lost.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(lost)
            return
        number, self.number = self.number, None
        # Later: raised in this hook it would be lost again.
        again = threading.Timer(RERAISE_DELAY_S, self._interrupt, (number,))
        again.daemon = True
        again.start()

    def _interrupt(self, number: int) -> None:
        """Send the signal to the main thread, also where it sleeps."""
        main = threading.main_thread().ident
        if not self._armed:
            return
        if sys.platform == "win32" or main is None:
            _thread.interrupt_main(signal.Signals(number))
        else:
            signal.pthread_kill(main, number)


@contextmanager
def handle_signals(exiting: bool) -> Iterator[SignalHandler]:
    """Handle the signals in this block. Afterwards they are ignored (`exiting`), or handled as before.

    A signal that was ignored before, as under nohup, stays ignored. Outside of the main thread nothing changes.
    """
    signal_handler = SignalHandler()
    if threading.current_thread() is not threading.main_thread():
        yield signal_handler
        return
    numbers = [getattr(signal, name) for name in SIGNAL_NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    handled = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    hook = sys.unraisablehook
    try:
        sys.unraisablehook = signal_handler.reraise_lost
        for number in handled:
            signal.signal(number, signal_handler.handle)
        yield signal_handler
    finally:
        signal_handler.disarm()
        for number, handler in handled.items():
            # An interruption while the interpreter exits would print a traceback.
            signal.signal(number, signal.SIG_IGN if exiting else handler)
        sys.unraisablehook = hook


def _is_importing(frame: FrameType | None) -> bool:
    """Whether the main thread is loading a module."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
