"""One step of one window: the guided velocity from the transformer's passes, one by one or as a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.guidance import Pass
from fantasyportrait.pipelines.motion_inputs import MotionInputs
from fantasyportrait.pipelines.time_windows import TimeWindow


@dataclass(frozen=True, eq=False)
class WindowInputs:
    """What is known of one window of time before sampling: condition (1, 20, F_lat, h, w) and motion (None: none)."""

    window: TimeWindow
    condition: torch.Tensor
    motion: MotionInputs | None


@dataclass(frozen=True, eq=False)
class Context:
    """What every window and step share: texts (1, 512, text_dim), negative None where unused; CLIP (1, 257, dim)."""

    text: torch.Tensor
    negative: torch.Tensor | None
    image: torch.Tensor | None

    def of(self, one: Pass) -> torch.Tensor:
        """The text that a pass reads."""
        if not one.negative:
            return self.text
        if self.negative is None:
            raise ValueError("a pass reads the negative text, and there is none: encode it, or set text guidance to 1")
        return self.negative


def guided_velocity(
    transformer: FantasyPortraitTransformer3DModel,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    inputs: WindowInputs,
    context: Context,
    groups: Sequence[tuple[Pass, ...]],
    cancel: CancelToken | None = None,
) -> torch.Tensor:
    """The velocity (1, 16, F_lat, h, w), float32: each pass times its share.

    Each of `groups` is one run of the transformer: a single pass, or several as a batch. Raises `Cancelled` between.
    """
    motion = None if inputs.motion is None else inputs.motion.to(latents.device)
    states = torch.cat([latents, inputs.condition], dim=1).to(transformer.dtype)
    total = torch.zeros_like(latents)
    for group in groups:
        if cancel is not None:
            cancel.check()
        # Step caches keep what each pass of each window saw last.
        with transformer.cache_context(f"{'+'.join(each.name for each in group)}-{inputs.window.start}"):
            out = transformer(
                hidden_states=states.expand(len(group), *states.shape[1:]),
                timestep=timestep.expand(len(group)),
                encoder_hidden_states=torch.cat([context.of(each) for each in group]),
                encoder_hidden_states_image=_repeat(context.image, len(group)),
                return_dict=False,
                **_motion_arguments(motion, [each.motion for each in group], states),
            )[0]
        for each, velocity in zip(group, out, strict=True):
            total += each.share * velocity.float().unsqueeze(0)
    return total


def _motion_arguments(
    motion: MotionInputs | None, wanted: Sequence[bool], like: torch.Tensor
) -> dict[str, torch.Tensor | None]:
    """The transformer's motion arguments for a batch of passes; none at all where no pass has motion."""
    if motion is None or not any(wanted):
        return {}
    on = torch.tensor(wanted, dtype=torch.float32, device=motion.scale.device)[:, None]
    return {
        "motion_hidden_states": _repeat(motion.tokens.to(like.dtype), len(wanted)),
        "motion_attention_mask": motion.mask,
        "motion_scale": on * motion.scale,
    }


def _repeat(tensor: torch.Tensor | None, count: int) -> torch.Tensor | None:
    return None if tensor is None else tensor.expand(count, *tensor.shape[1:])
