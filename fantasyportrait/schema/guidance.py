"""Text guidance c and portrait guidance p: the forward passes of a step and their weights in the velocity."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pass:
    """One forward pass, with or without motion, with prompt or negative prompt; `share`: its weight in the sum."""

    motion: bool
    negative: bool
    share: float

    @property
    def name(self) -> str:
        """Name of the pass as a cache context of diffusers, one for each pass of a step."""
        return f"{'motion' if self.motion else 'still'}-{'negative' if self.negative else 'prompt'}"


@dataclass(frozen=True)
class Guidance:
    """The two scales, and the part of the steps with portrait guidance.

    Attributes:
        text: c; 1 needs no pass with the negative prompt.
        portrait: p; 1 or less needs no pass without motion.
        start, end: fractions of the steps, 0 to 1; outside of them p is 1.
    """

    text: float = 1.0
    portrait: float = 4.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(
                f"portrait guidance runs from {self.start} to {self.end}: give shares of the steps, start before end"
            )

    def passes(self, step: int, steps: int, motion: bool = True) -> tuple[Pass, ...]:
        """The passes of one of `steps` steps. The velocity is the sum of each pass times its share; none has share 0.

        p > 1, c = 1: v_0 + p (v_m - v_0). p > 1, c != 1: v_u + c (v_0 - v_u) + p (v_m - v_0). Else v_m, or
        v_n + c (v_m - v_n) where v_n has the negative prompt WITH motion. Without motion: the guidance of Wan.
        """
        c = self.text
        p = self.portrait if motion and self.start * steps <= step < self.end * steps else 1.0
        if p > 1:
            guided = [Pass(True, False, p), Pass(False, False, c - p), Pass(False, True, 1 - c)]
        else:
            guided = [Pass(motion, False, c), Pass(motion, True, 1 - c)]
        # Passes of share 0 are skipped: the negative prompt at c = 1, the pass without motion at c = p.
        return tuple(each for each in guided if each.share != 0)


def needs_negative_prompt(guidance: Guidance) -> bool:
    """Whether any pass uses the negative prompt."""
    return guidance.text != 1
