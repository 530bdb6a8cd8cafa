"""The living loops: after each change of a scene, first one frame and then a loop of one second, in the background.

A visitor who prefers reduced motion is shown the frame alone, so no loop is made for a page of his.
"""

import logging
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError
from fantasyportrait.images.images import save_image
from fantasyportrait.live.scene_preview import scene_frame, scene_loop
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.job_actions import file_names, session_request
from fantasyportrait.studio.messages import named
from fantasyportrait.studio.session_store import SHOWN, Session, forget_files, new_id
from fantasyportrait.studio.state import CLIP, FREE, STILL, Card, SessionState

MAX_KEPT = 1000
SHOWN_OPTIONS = ("absolute", "smoothing", "fill")


@dataclass
class _Loop:
    """The loop of one session, for the scene `key`; `still`: the first frame alone is wanted."""

    key: str = ""
    still: bool = False
    state: str = "none"
    frame: str = ""
    video: str = ""
    error: str = ""
    token: CancelToken = field(default_factory=CancelToken)


class SceneLoops:
    """Makes the loops of all sessions, one at a time. Threads may share it.

    A change of the scene cancels the loop that is being made for the scene before. Other small previews may be made in
    its `lane` too, one after the other.
    """

    def __init__(self, animator: Animator) -> None:
        self._animator = animator
        self.lane = ThreadPoolExecutor(1, "fantasyportrait-loops")
        self._lock = threading.Lock()
        self._loops: OrderedDict[str, _Loop] = OrderedDict()

    def refresh(self, session: Session) -> None:
        """Begin to make the loop of the session's scene, unless it is there or under way."""
        state = session.state
        key = scene_key(state)
        with self._lock:
            loop = self._loops.setdefault(session.id, _Loop())
            self._loops.move_to_end(session.id)
            while len(self._loops) > MAX_KEPT:
                self._loops.popitem(last=False)
            if loop.key == key and (session.prefers_still or loop.state != "ready" or loop.video):
                return
            loop.token.cancel()
            old = loop.frame, loop.video
            # The loop before stays on the page until the first frame of the next one is there.
            loop = self._loops[session.id] = _Loop(
                key, session.prefers_still, "running" if key else "none", *(old if key else ("", ""))
            )
        if not key:
            forget_files(session, *old)
            return
        self.lane.submit(self._make, session, state, loop)

    def view(self, session: Session) -> dict[str, Any]:
        """What the page shows of the loop; paths are in the session's folder."""
        with self._lock:
            loop = self._loops.get(session.id, _Loop())
            return {"state": loop.state, "frame": loop.frame, "video": loop.video, "error": loop.error}

    def close(self) -> None:
        """Stop what is being made."""
        with self._lock:
            for loop in self._loops.values():
                loop.token.cancel()
        self.lane.shutdown(cancel_futures=True)

    def _make(self, session: Session, state: SessionState, loop: _Loop) -> None:
        old = loop.frame, loop.video
        try:
            loop.token.check()
            request = scene_request(session, state)
            frame, video = f"{SHOWN}/{new_id()}.jpg", f"{SHOWN}/{new_id()}.mp4"
            save_image(session.path(frame), scene_frame(self._animator, request, cancel=loop.token), 85)
            self._set(session, loop, frame=frame, video="")
            forget_files(session, *old)
            if loop.still:
                video = ""
            else:
                scene_loop(self._animator, request, session.path(video), loop.token)
            self._set(session, loop, video=video, state="ready")
        except Cancelled:
            pass
        except FantasyPortraitError as error:
            self._set(session, loop, state="failed", error=named(error.sentence, file_names(session)))
        except Exception:
            logging.getLogger(__name__).exception("a preview has failed")
            self._set(session, loop, state="failed")

    def _set(self, session: Session, loop: _Loop, **values: str) -> None:
        with self._lock:
            for name, value in values.items():
                setattr(loop, name, value)
        session.changed()


def scene_key(state: SessionState) -> str:
    """What the loop depends on, as text; empty where nothing moves."""
    photo, cards = state.photo, loop_cards(state)
    if photo is None or photo.error or all(card.kind == STILL for card in cards.values()):
        return ""
    return repr((photo.id, photo.edits, sorted(cards.items()), shown_options(state)))


def scene_request(session: Session, state: SessionState) -> AnimationRequest:
    """The request of the loop: the session's, by the preview engine."""
    return session_request(session, state, loop_cards(state), shown_options(state))


def shown_cards(state: SessionState) -> dict[int, Card]:
    """The cards of the photo's faces; one whose clip is not checked yet is still."""
    ready = {clip.id for clip in state.clips if clip.state == "ready"}
    cards = {face.id: state.card(face.id) for face in state.faces}
    for face, card in cards.items():
        if card.kind == CLIP and card.clip not in ready:
            cards[face] = replace(card, kind=STILL)
    return cards


def loop_cards(state: SessionState) -> dict[int, Card]:
    """The cards that the loop shows: a face that is left to the model is still in the preview."""
    cards = shown_cards(state)
    return {face: replace(card, kind=STILL) if card.kind == FREE else card for face, card in cards.items()}


def shown_options(state: SessionState) -> dict[str, Any]:
    """The options that the loop depends on."""
    return {name: state.options[name] for name in SHOWN_OPTIONS if name in state.options}
