"""The state of a session: its photo and the choices on its cards, which the cards of a new photo begin with.

gradio compares states by their hash, so every value is hashable.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fantasyportrait.core.errors import RequestError
from fantasyportrait.schema.regions import REGION_NAMES
from ui import form
from ui.option_values import Values


@dataclass(frozen=True)
class ClipAnalysis:
    """The analysis of a clip: the HTML for its card, and the numbers of its people."""

    html: str = ""
    people: tuple[int, ...] = ()


@dataclass(frozen=True)
class CardState(form.CardValues):
    """The choices on one card, and the analyses of its clips."""

    clip_analysis: ClipAnalysis = ClipAnalysis()
    webcam_analysis: ClipAnalysis = ClipAnalysis()


@dataclass(frozen=True)
class SessionPhoto:
    """The photo of a session.

    Attributes:
        path: the upload on the server; empty after the photo was removed, while its cards wait for another one.
        thumbnails: a URL with a picture for each face, in the order of their numbers.
        cards: the initial state of each face's card; there may be more or fewer than faces.
        edition: the number of examples loaded so far, whose cards replace the choices made before.
    """

    path: str
    thumbnails: tuple[str, ...]
    cards: tuple[CardState, ...] = ()
    edition: int = 0

    def card(self, face: int) -> CardState:
        """The choices for a face."""
        return self.cards[face - 1] if face <= len(self.cards) else CardState()


def save_cards(
    cards: Sequence[Values], before: SessionPhoto | None, authorize: Callable[[object], Path]
) -> tuple[CardState, ...]:
    """The states of the cards from the raw values of their widgets; those of faces no longer shown are kept.

    Values that no widget offers are dropped, and so is a file that `authorize` refuses with `RequestError`.
    """
    shown = tuple(_card_state(values, authorize) for values in cards)
    return shown + (before.cards[len(shown) :] if before else ())


def _card_state(values: Mapping[str, Any], authorize: Callable[[object], Path]) -> CardState:
    card, new = CardState(**values), CardState()
    regions = card.regions if isinstance(card.regions, list | tuple) else new.regions
    return replace(
        card,
        kind=card.kind if isinstance(card.kind, str) else new.kind,
        clip=_path(card.clip, authorize),
        person=card.person if isinstance(card.person, int) else new.person,
        webcam=_path(card.webcam, authorize),
        motion=card.motion if isinstance(card.motion, str) else new.motion,
        strength=card.strength if isinstance(card.strength, int | float) else new.strength,
        regions=tuple(region for region in regions if region in REGION_NAMES),
        mirror=card.mirror is True,
    )


def _path(upload: object, authorize: Callable[[object], Path]) -> str | None:
    """The path of an uploaded file as gradio describes it."""
    if not upload:
        return None
    try:
        return str(authorize(upload))
    except RequestError:
        return None
