"""The galleries of built-in motions: a small loop of each motion that a page shows, on the visitor's own faces."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError, MediaError
from fantasyportrait.core.files import file_sha256
from fantasyportrait.core.paths import example_photos
from fantasyportrait.live.motion_gallery import motion_loop
from fantasyportrait.schema.builtin_motions import BUILTIN_MOTIONS
from fantasyportrait.schema.checks import check_choice
from fantasyportrait.schema.face_edits import NO_EDITS, FaceEdits
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.cast_actions import check_face
from fantasyportrait.studio.session_store import SHOWN, Session
from fantasyportrait.studio.state import SessionState

MAX_KEPT = 1000
FOLDER = f"{SHOWN}/motions"


@dataclass(eq=False)
class _Gallery:
    """The loops of one session's photo.

    Attributes:
        photo: the id of the photo and the edits of its faces.
        waiting: motions to make, by the number of the face.
        made: the URL without a suffix, empty where it cannot be made.
        running: whether a turn in the lane is waiting or under way.
        token: ends the loop that is being made.
    """

    photo: tuple[str, FaceEdits]
    waiting: dict[int, list[str]] = field(default_factory=dict)
    made: dict[int, dict[str, str]] = field(default_factory=dict)
    running: bool = False
    token: CancelToken = field(default_factory=CancelToken)


class MotionLoops:
    """Makes the loops that pages ask for, one after the other in `lane`, in turn for each session.

    Threads may share it. Another photo cancels the loops of the one before. Loops of the bundled examples are made
    once for all visitors, in `examples`: a folder beside those of the sessions, whose files are served as theirs are.
    """

    def __init__(self, animator: Animator, lane: Executor, examples: Path) -> None:
        self._animator, self._lane, self._examples = animator, lane, examples
        self._lock = threading.Lock()
        self._galleries: OrderedDict[str, _Gallery] = OrderedDict()
        self._closed = False

    def show(self, session: Session, face: int, motions: Sequence[str]) -> None:
        """Make the loops of these motions on a face, instead of those that still wait for this face.

        Raises `RequestError` for a face that the photo does not have, and for an unknown motion.
        """
        check_face(session.state, face)
        for motion in motions:
            check_choice("the built-in motion", motion, tuple(BUILTIN_MOTIONS))
        with self._lock:
            gallery = self._gallery(session)
            made = gallery.made.setdefault(face, {})
            gallery.waiting[face] = [motion for motion in dict.fromkeys(motions) if motion not in made]
            self._continue(session, gallery)

    def view(self, session: Session) -> dict[str, Any]:
        """The URLs of the loops of each face, without the suffix: .mp4 for the video, .webp for the poster."""
        with self._lock:
            gallery = self._gallery(session)
            loops = {
                str(face): {motion: url for motion, url in made.items() if url} for face, made in gallery.made.items()
            }
            return {"making": gallery.running, "loops": loops}

    def close(self) -> None:
        """Stop what is being made, and make no more."""
        with self._lock:
            self._closed = True
            for gallery in self._galleries.values():
                gallery.token.cancel()

    def _gallery(self, session: Session) -> _Gallery:
        """The gallery of the session's photo. Needs the lock."""
        photo = _photo(session.state)
        gallery = self._galleries.get(session.id)
        if gallery is None or gallery.photo != photo:
            if gallery is not None:
                gallery.token.cancel()
            gallery = self._galleries[session.id] = _Gallery(photo)
        self._galleries.move_to_end(session.id)
        while len(self._galleries) > MAX_KEPT:
            self._galleries.popitem(last=False)[1].token.cancel()
        return gallery

    def _continue(self, session: Session, gallery: _Gallery) -> None:
        """Wait for a turn in the lane, if there is something to make. Needs the lock."""
        if not gallery.running and not self._closed and any(gallery.waiting.values()):
            gallery.running = True
            self._lane.submit(self._take_turn, session, gallery)

    def _take_turn(self, session: Session, gallery: _Gallery) -> None:
        """Make one loop; the next one comes after whatever else waits in the lane."""
        with self._lock:
            face = next((face for face, motions in gallery.waiting.items() if motions), None)
            motion = gallery.waiting[face].pop(0) if face is not None else ""
        url = self._make(session, gallery, face, motion) if face is not None else None
        with self._lock:
            if face is not None and url is not None:
                gallery.made.setdefault(face, {})[motion] = url
            gallery.running = False
            if not gallery.token.cancelled:
                self._continue(session, gallery)

    def _make(self, session: Session, gallery: _Gallery, face: int, motion: str) -> str | None:
        """The URL of the loop without a suffix; empty where it cannot be made, None where it was cancelled."""
        state = session.state
        if state.photo is None or _photo(state) != gallery.photo:
            return None
        try:
            photo, edits = session.path(state.photo.path), state.photo.edits
            shared = edits == NO_EDITS and self._is_example(photo)
            owner = self._examples if shared else session.folder
            folder = owner / FOLDER
            # Not the visitor's folder itself: where it was removed meanwhile, it stays so.
            folder.mkdir(exist_ok=True, parents=shared)
            made = motion_loop(self._animator, photo, face, motion, folder, edits=edits, cancel=gallery.token)
            return f"files/{owner.name}/{FOLDER}/{made.video.stem}"
        except Cancelled:
            return None
        except (FantasyPortraitError, OSError) as error:
            # The page shows the name alone.
            logging.getLogger(__name__).warning("the loop of %s was not made: %s", motion, error)
        except Exception:
            logging.getLogger(__name__).exception("the loop of %s was not made", motion)
        return ""

    def _is_example(self, photo: Path) -> bool:
        return self._animator.small_portraits.of(photo).sha256 in _example_digests()


@cache
def _example_digests() -> frozenset[str]:
    """The sha256 of each bundled photo; none in an installed package, which lacks them."""
    try:
        return frozenset(file_sha256(example.path) for example in example_photos())
    except MediaError:
        return frozenset()


def _photo(state: SessionState) -> tuple[str, FaceEdits]:
    return (state.photo.id, state.photo.edits) if state.photo else ("", NO_EDITS)
