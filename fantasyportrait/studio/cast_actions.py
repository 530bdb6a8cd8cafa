"""Actions on the cast: what each face plays, one face at a time or all at once."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.studio.request_form import checked_card
from fantasyportrait.studio.session_store import Session, with_options
from fantasyportrait.studio.state import CLIP, STILL, Card, SessionState

MAX_OPTION_TEXT = 4000
MAX_OPTIONS = 64
CLIP_CHOICES = ("person", "start_s", "end_s")
"""The choices of a card that are about one clip."""


def with_clip(card: Card, clip: str | None) -> Card:
    """The card with another clip, or with none: the whole of it, and the person who is chosen by default."""
    fresh = Card()
    return replace(card, clip=clip, **{name: getattr(fresh, name) for name in CLIP_CHOICES})


def set_card(session: Session, face: int, changes: Mapping[str, Any]) -> None:
    """Change choices of one face's card; raises `RequestError` for a face, clip or value that is not offered."""

    def change(state: SessionState) -> SessionState:
        check_face(state, face)
        card = checked_card(state.card(face), changes)
        if card.clip is not None:
            state.clip(card.clip)
        if card.clip != state.card(face).clip:
            # The range and the person belong to the clip before.
            chosen = {name: getattr(card, name) for name in CLIP_CHOICES if name in changes}
            card = replace(with_clip(card, card.clip), **chosen)
        return state.with_card(face, card)

    session.update(change)


def same_for_all(session: Session, face: int) -> None:
    """Every face plays what this face plays."""

    def change(state: SessionState) -> SessionState:
        check_face(state, face)
        return _with_cards(state, {each.id: state.card(face) for each in state.faces})

    session.update(change)


def swap(session: Session, face: int, other: int) -> None:
    """Two faces change their cards."""

    def change(state: SessionState) -> SessionState:
        check_face(state, face)
        check_face(state, other)
        return _with_cards(state, {face: state.card(other), other: state.card(face)})

    session.update(change)


def shuffle(session: Session) -> None:
    """Deal the cards to other faces; with two faces and more, at least one of them changes."""

    def change(state: SessionState) -> SessionState:
        faces = [face.id for face in state.faces]
        turn = random.randrange(1, len(faces)) if len(faces) > 1 else 0
        dealt = faces[turn:] + faces[:turn]
        return _with_cards(state, {face: state.card(other) for face, other in zip(faces, dealt, strict=True)})

    session.update(change)


def all_still(session: Session) -> None:
    """Keep every face still; clips and settings stay on the cards."""

    def change(state: SessionState) -> SessionState:
        return _with_cards(state, {face.id: replace(state.card(face.id), kind=STILL) for face in state.faces})

    session.update(change)


def cast_people(session: Session, clip: str) -> None:
    """The people of one clip drive the faces in order: person 1 drives face 1, person 2 face 2.

    Faces beyond the number of people keep their cards. Raises `RequestError` for a clip that is not checked yet.
    """

    def change(state: SessionState) -> SessionState:
        people = [person.id for person in state.clip(clip).people]
        if not people:
            raise RequestError("the people of this clip are not known yet: wait until it is checked")
        cards = {
            face.id: replace(with_clip(state.card(face.id), clip), kind=CLIP, person=person)
            for face, person in zip(state.faces, people, strict=False)
        }
        return _with_cards(state, cards)

    session.update(change)


def set_options(session: Session, changes: Mapping[str, Any]) -> None:
    """Change values of the options of the result; they are checked when a request is made of them."""
    check_values(changes)

    def change(state: SessionState) -> SessionState:
        changed = with_options(state, dict(changes))
        if len(changed.options) > MAX_OPTIONS:
            raise RequestError("there are too many options")
        return changed

    session.update(change)


def check_values(options: Mapping[str, Any]) -> None:
    """Raise `RequestError` for a value that no option can have, or a text that is too long."""
    for name, value in options.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float | bool | None):
            raise RequestError(
                "the option {name!r} cannot be {value!r}: choose one of the offered values", name=name, value=value
            )
        if isinstance(value, str) and len(value) > MAX_OPTION_TEXT:
            raise RequestError(
                "the option {name!r} is too long: give at most {max_option_text} characters",
                name=name,
                max_option_text=MAX_OPTION_TEXT,
            )


def check_face(state: SessionState, face: int) -> None:
    """Raise `RequestError` for a face that the photo does not have."""
    if face not in [each.id for each in state.faces]:
        raise RequestError("there is no face {face!r} in the photo", face=face)


def _with_cards(state: SessionState, cards: Mapping[int, Card]) -> SessionState:
    return replace(state, cards={**state.cards, **cards})
