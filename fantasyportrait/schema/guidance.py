"""The forward passes of a step under classifier-free and portrait guidance, and the weight of each in the velocity."""

from dataclasses import dataclass

from fantasyportrait.schema.sampling import Sampling


@dataclass(frozen=True)
class Pass:
    """One forward pass of the transformer.

    Attributes:
        motion: whether it has the motion tokens.
        negative: whether it has the negative prompt in place of the prompt.
        weight: its factor in the guided velocity.
    """

    motion: bool
    negative: bool
    weight: float

    @property
    def name(self) -> str:
        """The name of the pass's cache context in diffusers, which keeps the passes of a step apart."""
        return f"{'motion' if self.motion else 'still'}-{'negative' if self.negative else 'prompt'}"


def step_passes(sampling: Sampling, step: int, motion: bool = True) -> tuple[Pass, ...]:
    """The passes of step number `step` (from 0); the guided velocity is the weighted sum of their velocities.

    With c = `guidance_scale` and p = `portrait_guidance_scale`, v_m with motion and prompt, v_0 without motion, v_u
    without motion and with the negative prompt, v_n with motion and the negative prompt:

    - p > 1, c = 1: v_0 + p (v_m - v_0), as in the original
    - p > 1, c > 1: v_u + c (v_0 - v_u) + p (v_m - v_0)
    - p <= 1: v_n + c (v_m - v_n)

    Without motion (`motion` false), the last formula has v_0 and v_u: stock classifier-free guidance.
    """
    c, steps = sampling.guidance_scale, sampling.num_inference_steps
    guided = sampling.portrait_guidance_start * steps <= step < sampling.portrait_guidance_end * steps
    p = sampling.portrait_guidance_scale if motion and guided else 1.0
    if p > 1:
        passes = [Pass(True, False, p), Pass(False, False, c - p), Pass(False, True, 1 - c)]
    else:
        passes = [Pass(motion, False, c), Pass(motion, True, 1 - c)]
    # A pass of weight 0 is not computed: the negative prompt at c = 1, the pass without motion at c = p.
    return tuple(each for each in passes if each.weight != 0)


def total_passes(sampling: Sampling, motion: bool = True) -> int:
    """The passes of all steps together."""
    return sum(len(step_passes(sampling, step, motion)) for step in range(sampling.num_inference_steps))


def max_passes(sampling: Sampling, motion: bool = True) -> int:
    """The largest number of passes in one step."""
    return max(len(step_passes(sampling, step, motion)) for step in range(sampling.num_inference_steps))


def needs_negative_prompt(sampling: Sampling) -> bool:
    """Whether any pass has the negative prompt."""
    return sampling.guidance_scale != 1
