"""What a session's state keeps of the photo and the cards, so that a new photo finds everybody's choices again.

gradio compares states by their hash, so all of it is hashable.
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
    """What was found in a clip: what the card says of it, and the numbers of the people it shows."""

    html: str = ""
    people: tuple[int, ...] = ()


@dataclass(frozen=True)
class CardState(form.CardValues):
    """What was chosen on one card, and what was found in its clips."""

    clip_analysis: ClipAnalysis = ClipAnalysis()
    webcam_analysis: ClipAnalysis = ClipAnalysis()


@dataclass(frozen=True)
class SessionPhoto:
    """The photo of a session.

    Attributes:
        path: where the server keeps the upload; empty when it was taken away, while its cards wait for another one.
        thumbnails: a URL with a picture for each face, in the order of their numbers.
        cards: what each face's card begins with; there may be more or fewer than faces.
        edition: counts the examples loaded, whose cards replace what was chosen before.
    """

    path: str
    thumbnails: tuple[str, ...]
    cards: tuple[CardState, ...] = ()
    edition: int = 0

    def card(self, face: int) -> CardState:
        """What was chosen for a face."""
        return self.cards[face - 1] if face <= len(self.cards) else CardState()


def save_cards(
    cards: Sequence[Values], before: SessionPhoto | None, authorize: Callable[[object], Path]
) -> tuple[CardState, ...]:
    """The states of the cards from the raw values of their widgets; those of faces no longer shown stay known.

    What no widget offers is not kept, nor is a file that `authorize` refuses with `RequestError`.
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
