"""Actions on the clips of a session: a new one, checked in the background, and its removal."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.schema.cast import MAX_FACE_ID
from fantasyportrait.studio.clip_checks import ClipChecks
from fantasyportrait.studio.clip_state import ClipState
from fantasyportrait.studio.clip_update import ClipUpdate
from fantasyportrait.studio.photo_actions import display_name
from fantasyportrait.studio.session_store import SHOWN, Session, keep_upload, new_id
from fantasyportrait.studio.state import CLIP, Card, SessionState

MAX_CLIPS = 24


@dataclass(frozen=True)
class ClipActions:
    """Actions on clips.

    `authorize` returns the file of an upload of a session, or raises `RequestError`; `on_checked` is called when a
    clip of a session is ready.
    """

    checks: ClipChecks
    authorize: Callable[[str, object], Path]
    on_checked: Callable[[Session], None]

    def add_clip(self, session: Session, path: object, name: str, face: int | None = None) -> None:
        """Keep an upload as a clip and begin to check it; with `face`, that face plays it."""
        upload = self.authorize(session.id, path)
        if len(session.state.clips) >= MAX_CLIPS:
            raise RequestError(f"there are {MAX_CLIPS} clips already: remove one that no face plays")
        clip_id = new_id()
        clip = ClipState(clip_id, display_name(name, "clip"), keep_upload(session, upload, clip_id))

        def add(state: SessionState) -> SessionState:
            added = replace(state, clips=(*state.clips, clip))
            if face is None or not 1 <= face <= MAX_FACE_ID:
                return added
            before = state.card(face)
            fresh = Card(strength=before.strength, regions=before.regions, mirror=before.mirror)
            return added.with_card(face, replace(fresh, kind=CLIP, clip=clip_id))

        session.update(add)
        self.check(session, clip)

    def remove_clip(self, session: Session, clip: str) -> None:
        """Remove a clip; the faces that played it have no clip then."""
        found = session.state.clip(clip)
        self.checks.cancel(session.id, clip)

        def remove(state: SessionState) -> SessionState:
            cards = {
                face: replace(card, clip=None) if card.clip == clip else card for face, card in state.cards.items()
            }
            return replace(state, clips=tuple(each for each in state.clips if each.id != clip), cards=cards)

        session.update(remove)
        shutil.rmtree(session.path(f"{SHOWN}/{found.id}"), ignore_errors=True)

    def check(self, session: Session, clip: ClipState) -> None:
        """Check a clip in the background; what is found becomes part of the state."""

        def update(found: ClipUpdate) -> None:
            # Pictures are written before the state is locked.
            try:
                changed = found.applied(clip, session.folder)
            except FantasyPortraitError as error:
                changed = replace(clip, state="failed", error=str(error))
            session.update(lambda state: state.with_clip(clip.id, lambda _: changed))
            if found.state == "ready":
                self.on_checked(session)

        self.checks.check(session.id, clip.id, session.path(clip.path), update)

    def resume(self, session: Session) -> None:
        """Check the clips whose check was interrupted by the end of the server."""
        for clip in session.state.clips:
            if clip.state in ("waiting", "checking"):
                self.check(session, clip)
