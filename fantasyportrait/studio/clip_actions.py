"""Actions on the clips of a session: a new one, checked in the background, and its removal."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fantasyportrait.core.errors import FantasyPortraitError, MediaError, RequestError
from fantasyportrait.media.decoder import Decoder
from fantasyportrait.schema.cast import MAX_FACE_ID
from fantasyportrait.studio.cast_actions import with_clip
from fantasyportrait.studio.clip_checks import ClipChecks
from fantasyportrait.studio.clip_state import ClipState
from fantasyportrait.studio.clip_update import ClipUpdate
from fantasyportrait.studio.messages import hide_paths
from fantasyportrait.studio.photo_actions import display_name
from fantasyportrait.studio.session_store import FILES, SHOWN, Session, keep_upload, new_id
from fantasyportrait.studio.state import CLIP, SessionState
from fantasyportrait.studio.webcam_takes import save_take, take_name

MAX_CLIPS = 24


@dataclass(frozen=True)
class ClipActions:
    """Actions on clips.

    `decoder` reads recordings. `authorize` returns the file of an upload of a session, or raises `RequestError`;
    `on_checked` is called when a clip of a session is ready.
    """

    decoder: Decoder
    checks: ClipChecks
    authorize: Callable[[str, object], Path]
    on_checked: Callable[[Session], None]

    def add_clip(
        self, session: Session, path: object, name: str, face: int | None = None, webcam: bool = False
    ) -> None:
        """Keep an upload as a clip and begin to check it; with `face`, that face plays it.

        A recording of the `webcam` gets a name of its own, and a duration. Raises `MediaError` where it is damaged.
        """
        upload = self.authorize(session.id, path)
        if len(session.state.clips) >= MAX_CLIPS:
            raise RequestError("there are {most} clips already: remove one that no face plays", most=MAX_CLIPS)
        clip_id, shown_name = new_id(), display_name(name, "clip")
        kept = self._keep_take(session, upload, clip_id) if webcam else keep_upload(session, upload, clip_id)

        def add(state: SessionState) -> SessionState:
            title = take_name(each.name for each in state.clips if each.webcam) if webcam else shown_name
            clip = ClipState(clip_id, title, kept, webcam=bool(webcam))
            added = replace(state, clips=(*state.clips, clip))
            if face is None or not 1 <= face <= MAX_FACE_ID:
                return added
            return added.with_card(face, replace(with_clip(state.card(face), clip_id), kind=CLIP, delay_s=0.0))

        self.check(session, session.update(add).clip(clip_id))

    def _keep_take(self, session: Session, upload: Path, clip_id: str) -> str:
        """Keep a recording in the session's folder; returns its path there."""
        try:
            return f"{FILES}/{save_take(self.decoder, upload, session.path(f'{FILES}/{clip_id}')).name}"
        except MediaError as error:
            raise MediaError(hide_paths(error, {upload: "the recording"})) from error

    def reopen(self, session: Session, path: str, name: str) -> str:
        """The id of the clip at `path` in the session's folder; one that was removed becomes a clip again."""
        for clip in session.state.clips:
            if clip.path == path:
                return clip.id
        clip = ClipState(new_id(), name, path)
        session.update(lambda state: replace(state, clips=(*state.clips, clip)))
        self.check(session, clip)
        return clip.id

    def remove_clip(self, session: Session, clip: str) -> None:
        """Remove a clip; the faces that played it have no clip then."""
        found = session.state.clip(clip)
        self.checks.cancel(session.id, clip)

        def remove(state: SessionState) -> SessionState:
            cards = {face: with_clip(card, None) if card.clip == clip else card for face, card in state.cards.items()}
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
                changed = replace(clip, state="failed", error=error.sentence)
            session.update(lambda state: state.with_clip(clip.id, lambda _: changed))
            if found.state == "ready":
                self.on_checked(session)

        self.checks.check(session.id, clip.id, session.path(clip.path), update)

    def resume(self, session: Session) -> None:
        """Check the clips whose check was interrupted by the end of the server."""
        for clip in session.state.clips:
            if clip.state in ("waiting", "checking"):
                self.check(session, clip)
