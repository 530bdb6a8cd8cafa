"""What a session's state keeps of the photo and the cards, so that a new photo finds everybody's choices again.

gradio compares states by their hash, so all of it is hashable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ui import form


@dataclass(frozen=True)
class Seen:
    """What was found in a clip: what the card says of it, and the numbers of the people it shows."""

    html: str = ""
    people: tuple[int, ...] = ()


@dataclass(frozen=True)
class KeptCard:
    """What was chosen on one card, in the order of its widgets; a new card is still."""

    kind: Any = form.STILL
    clip: str | None = None
    person: Any = 0
    webcam: str | None = None
    motion: Any = None
    strength: Any = 1.0
    regions: Any = form.REGION_NAMES
    mirror: Any = False
    clip_seen: Seen = Seen()
    webcam_seen: Seen = Seen()


@dataclass(frozen=True)
class Portrait:
    """The photo of a session.

    Attributes:
        path: where the server keeps the upload; empty when it was taken away, while its cards wait for another one.
        thumbnails: a URL with a picture for each face, left to right.
        cards: what each face's card begins with; there may be more or fewer than faces.
        edition: counts the examples loaded, whose cards replace what was chosen before.
    """

    path: str
    thumbnails: tuple[str, ...]
    cards: tuple[KeptCard, ...] = ()
    edition: int = 0

    def card(self, face: int) -> KeptCard:
        """What was chosen for a face."""
        return self.cards[face - 1] if face <= len(self.cards) else KeptCard()


def keep(values: Sequence[Any], before: Portrait | None) -> tuple[KeptCard, ...]:
    """The cards from the raw values of all their widgets; those of faces that the photo does not show stay known."""
    width = len(fields(KeptCard))
    shown = tuple(_kept(values[first : first + width]) for first in range(0, len(values), width))
    return shown + (before.cards[len(shown) :] if before else ())


def _kept(values: Sequence[Any]) -> KeptCard:
    card = KeptCard(*values)
    regions = tuple(card.regions) if isinstance(card.regions, list) else form.REGION_NAMES
    return replace(card, clip=_path(card.clip), webcam=_path(card.webcam), regions=regions)


def _path(upload: object) -> str | None:
    """The path of an uploaded file as gradio describes it."""
    return upload.get("path") if isinstance(upload, dict) else None
