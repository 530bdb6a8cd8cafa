"""Request and sampling with a field more each, as somebody would add an option."""

from dataclasses import field, make_dataclass
from typing import Annotated

from fantasyportrait.schema.options import Option
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling

GLOW = Option("How much the faces glow", "light", limits=(0, 1), slider=(0, 1, 0.1))
GRAIN = Option("Kind of grain", "light", choices={"none": "None", "film": "As of film"})


def extended_sampling() -> type[Sampling]:
    """`Sampling` with `grain`, one of two words."""
    return make_dataclass("Extended", [("grain", Annotated[str, GRAIN], "none")], bases=(Sampling,), frozen=True)


def extended_request(sampling: type[Sampling]) -> type[AnimationRequest]:
    """`AnimationRequest` with `glow`, a number from 0 to 1, and this sampling."""
    added = [("glow", Annotated[float, GLOW], 0.25), ("sampling", sampling, field(default_factory=sampling))]
    return make_dataclass("Extended", added, bases=(AnimationRequest,), frozen=True)
