"""Numbers of the people in a clip: the same for every part of the clip.

A clip is always analysed from its beginning, in order, as far as is needed, so its first seconds have the same result
however far the analysis goes. The rules:

- A tracklet is confirmed when its observations, each until the next frame, last 0.4 s in total (5 % of a clip under
  8 s); shorter ones are false detections. At that moment, and never later, it is merged with the tracklet of a known
  person of similar appearance who was never seen in the same frame.
- People are numbered in the order of confirmation. Those confirmed within 0.5 s of the first of them are numbered from
  left to right, by the place of their first observation.
- A part of a clip lists the people who are seen in it and confirmed by 0.5 s after its end. For these numbers the clip
  is analysed up to 1 s after the part's end; later frames cannot change them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

LOOKAHEAD_S = 1.0
_LATE_S = 0.5
_TOGETHER_S = 0.5
_CONFIRM_S = 0.4
_CONFIRM_SHARE = 0.05
# Frame lengths add up to a little less than they should.
_ROUNDING_S = 1e-6


@dataclass(frozen=True)
class TrackletIdentity:
    """What the numbering needs from a tracklet.

    Attributes:
        x: where it was first seen, in pixels.
        confirmed_s: time from which it counts, infinite for what was not seen for long enough.
        person: id of the identity whose number it has: its own, or that of the one it was joined to.
    """

    x: float
    confirmed_s: float
    person: int


def confirm_after_s(clip_length_s: float) -> float:
    """Return for how many seconds a person must be seen to be confirmed, in a clip of that length."""
    return min(_CONFIRM_S, _CONFIRM_SHARE * clip_length_s) - _ROUNDING_S


def person_numbers(identities: Mapping[int, TrackletIdentity], end_s: float) -> dict[int, int]:
    """The person's number for the id of each identity that counts in a part of the clip that ends at `end_s`."""
    counting = {own: identity for own, identity in identities.items() if isfinite(identity.confirmed_s)}
    first = sorted(
        (identity.confirmed_s, identity.x, own) for own, identity in counting.items() if identity.person == own
    )
    order: list[int] = []
    while first:
        together = [entry for entry in first if entry[0] <= first[0][0] + _TOGETHER_S]
        order += [own for _, own in sorted((x, own) for _, x, own in together)]
        first = first[len(together) :]
    number = {own: place for place, own in enumerate(order, start=1)}
    return {
        own: number[identity.person] for own, identity in counting.items() if identity.confirmed_s <= end_s + _LATE_S
    }
