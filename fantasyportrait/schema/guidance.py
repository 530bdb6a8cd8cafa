"""Text guidance c and portrait guidance p: which forward passes a step needs, and how they add up."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pass:
    """One forward pass: with motion or without, with the negative text or the prompt, and its share of the velocity."""

    motion: bool
    negative: bool
    share: float

    @property
    def name(self) -> str:
        """For diffusers' cache contexts, which keep the passes of a step apart."""
        return f"{'motion' if self.motion else 'still'}-{'negative' if self.negative else 'prompt'}"


@dataclass(frozen=True)
class Guidance:
    """The two scales, and the part of the steps on which portrait guidance works.

    Attributes:
        text: c; 1 needs no pass with the negative text.
        portrait: p; 1 or less needs no pass without motion.
        start, end: shares of the steps, 0 to 1; outside of them p is taken as 1.
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
        v_n + c (v_m - v_n) where v_n has the negative text WITH motion. Without any motion: stock guidance.
        """
        c = self.text
        p = self.portrait if motion and self.start * steps <= step < self.end * steps else 1.0
        if p > 1:
            guided = [Pass(True, False, p), Pass(False, False, c - p), Pass(False, True, 1 - c)]
        else:
            guided = [Pass(motion, False, c), Pass(motion, True, 1 - c)]
        # What counts for nothing is not computed: the negative text at c = 1, the pass without motion at c = p.
        return tuple(each for each in guided if each.share != 0)


def needs_negative_prompt(guidance: Guidance) -> bool:
    """Whether any pass reads the negative text."""
    return guidance.text != 1
