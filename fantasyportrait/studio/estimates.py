"""The estimates that the page shows before a run, made in the background when the scene or an option changes."""

import logging
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from fantasyportrait.core.errors import FantasyPortraitError
from fantasyportrait.live.estimate import estimate
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.job_actions import file_names, session_request
from fantasyportrait.studio.messages import named
from fantasyportrait.studio.session_store import Session
from fantasyportrait.studio.state import SessionState

MAX_KEPT = 1000


class Estimates:
    """Estimates the request of each session as it stands. Threads may share it."""

    def __init__(self, animator: Animator, model: str | None) -> None:
        self._animator, self._model = animator, model
        self._pool = ThreadPoolExecutor(1, "fantasyportrait-estimates")
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[SessionState, dict[str, Any]]] = OrderedDict()

    def view(self, session: Session) -> dict[str, Any]:
        """The latest estimate: whether the request fits, its time in seconds, and a sentence; empty at first.

        It is made again in the background where the state has changed.
        """
        state = session.state
        with self._lock:
            known, shown = self._known.get(session.id, (None, {}))
            if known is not state:
                self._known[session.id] = state, shown if state.faces else {}
                self._known.move_to_end(session.id)
                while len(self._known) > MAX_KEPT:
                    self._known.popitem(last=False)
                if state.faces:
                    self._pool.submit(self._make, session, state)
        return shown

    def close(self) -> None:
        """Make no more estimates."""
        self._pool.shutdown(cancel_futures=True)

    def _make(self, session: Session, state: SessionState) -> None:
        if session.state is not state:
            return
        cards = {face.id: state.card(face.id) for face in state.faces}
        try:
            request = session_request(session, state, cards, state.options, self._model)
            # The side by side is made after the run.
            found = estimate(self._animator, replace(request, side_by_side=False))
            shown = {"fits": found.fits, "seconds": found.seconds, "peak_gib": found.peak_gib, "text": found.sentence}
        except FantasyPortraitError as error:
            shown = {"fits": False, "text": named(error.sentence, file_names(session))}
        except Exception:
            logging.getLogger(__name__).exception("an estimate has failed")
            return
        with self._lock:
            if self._known.get(session.id, (None, {}))[0] is state:
                self._known[session.id] = state, shown
