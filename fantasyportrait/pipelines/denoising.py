"""One step of one window: the guided velocity from the transformer's passes, one by one, as a batch, or by a process
group."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, RequestError
from fantasyportrait.models.diffusers_compat import step_cache_name
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.motion_conditioning import MotionConditioning
from fantasyportrait.pipelines.time_windows import TimeWindow
from fantasyportrait.runtime.process_group import ProcessGroup, configure_ulysses
from fantasyportrait.schema.guidance import Pass

# They decide by their own tokens whether blocks run: with context parallelism the ranks could decide differently, and
# one would wait forever.
_DATA_DEPENDENT_CACHES = ("FirstBlockCacheConfig",)


@dataclass(frozen=True, eq=False)
class WindowInputs:
    """The inputs of one window: image condition (1, 20, F_lat, h, w), and motion (None without driven faces)."""

    window: TimeWindow
    condition: torch.Tensor
    motion: MotionConditioning | None


@dataclass(frozen=True, eq=False)
class Conditioning:
    """The conditions that all windows and steps share.

    Attributes:
        prompt_embeds, negative_prompt_embeds: (1, 512, text_dim); the negative one is None where no pass has it.
        image_embeds: CLIP's hidden states (1, 257, dim); None without CLIP.
    """

    prompt_embeds: torch.Tensor
    negative_prompt_embeds: torch.Tensor | None
    image_embeds: torch.Tensor | None

    def text(self, one: Pass) -> torch.Tensor:
        """The prompt embeddings of a pass."""
        if not one.negative:
            return self.prompt_embeds
        if self.negative_prompt_embeds is None:
            raise ValueError(
                "a pass has the negative prompt, and there are no negative_prompt_embeds: encode it, or set "
                "guidance_scale to 1"
            )
        return self.negative_prompt_embeds


def prepare_windows(windows: Sequence[WindowInputs], device: torch.device, dtype: torch.dtype) -> list[WindowInputs]:
    """The windows with motion tokens in the transformer's dtype, placed for the loop over the steps.

    The motion of a single window stays on the device. Motions of several windows stay in pinned memory, from which each
    is copied asynchronously when its window runs.
    """
    ready = []
    for inputs in windows:
        motion = inputs.motion
        if motion is not None:
            motion = replace(motion, tokens=motion.tokens.to(dtype))
            if len(windows) == 1:
                motion = motion.to(device)
            elif device.type != "cpu" and torch.cuda.is_available():
                motion = _pinned(motion)
        ready.append(replace(inputs, motion=motion))
    return ready


def guided_velocity(
    transformer: FantasyPortraitTransformer3DModel,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    inputs: WindowInputs,
    context: Conditioning,
    groups: Sequence[tuple[Pass, ...]],
    cancel: CancelToken | None = None,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """The velocity (1, 16, F_lat, h, w), float32: the weighted sum of its passes.

    Each of `groups` is one run of the transformer: a single pass, or several as a batch. All ranks of a process group
    call it with the same arguments and get the same result. Raises `Cancelled` between runs, on all ranks at once.
    """
    process_group = process_group or ProcessGroup(0, 1, latents.device)
    motion = None if inputs.motion is None else _fetched(inputs.motion, latents.device)
    states = torch.cat([latents, inputs.condition], dim=1).to(transformer.dtype)
    _prepare_context_parallel(transformer, process_group, states)
    passes = [each for group in groups for each in group]
    velocities = torch.zeros(len(passes), *latents.shape[1:], device=latents.device)
    for turn in process_group.assign_passes([len(group) for group in groups]):
        _check(cancel, process_group)
        mine = [passes[number] for number in turn]
        if mine:
            velocities[list(turn)] = _run(transformer, states, timestep, motion, context, mine, inputs.window).float()
    total = torch.zeros_like(latents)
    for each, velocity in zip(passes, process_group.all_reduce(velocities), strict=True):
        total += each.weight * velocity.unsqueeze(0)
    return total


def _run(
    transformer: FantasyPortraitTransformer3DModel,
    states: torch.Tensor,
    timestep: torch.Tensor,
    motion: MotionConditioning | None,
    context: Conditioning,
    passes: Sequence[Pass],
    window: TimeWindow,
) -> torch.Tensor:
    """The velocities (passes, 16, F_lat, h, w) of one run of the transformer."""
    count = len(passes)
    # Step caches keep a state for each pass of each window.
    with transformer.cache_context(f"{'+'.join(each.name for each in passes)}-{window.start}"):
        out: torch.Tensor = transformer(
            hidden_states=states.expand(count, *states.shape[1:]),
            timestep=timestep.expand(count),
            encoder_hidden_states=torch.cat([context.text(each) for each in passes]),
            encoder_hidden_states_image=_repeat(context.image_embeds, count),
            return_dict=False,
            **_motion_arguments(motion, [each.motion for each in passes], states),
        )[0]
    return out


def _check(cancel: CancelToken | None, process_group: ProcessGroup) -> None:
    """Raise `Cancelled` if the job was cancelled; in a process group, if rank 0 cancelled it, on all ranks."""
    if process_group.sync_stop(cancel is not None and cancel.cancelled):
        if cancel is not None:
            cancel.check()
        raise Cancelled("stopped by the main process")


def _prepare_context_parallel(
    transformer: FantasyPortraitTransformer3DModel, process_group: ProcessGroup, states: torch.Tensor
) -> None:
    """Set up a pass with context parallelism; `RequestError` for a step cache with which it would hang."""
    if process_group.mode != "context" or process_group.size == 1:
        return
    if step_cache_name(transformer) in _DATA_DEPENDENT_CACHES:
        raise RequestError(
            "FirstBlockCache decides by the tokens it sees, and processes that share them would decide differently: "
            "choose another step cache or none, or --parallel cfg"
        )
    frames, height, width = (
        size // patch for size, patch in zip(states.shape[2:], transformer.config.patch_size, strict=True)
    )
    configure_ulysses(transformer, frames * height * width)


def _motion_arguments(
    motion: MotionConditioning | None, wanted: Sequence[bool], like: torch.Tensor
) -> dict[str, torch.Tensor | None]:
    """The transformer's motion arguments for a batch of passes; empty if no pass has motion."""
    if motion is None or not any(wanted):
        return {}
    on = torch.tensor(wanted, dtype=torch.float32, device=motion.scale.device)[:, None]
    return {
        "motion_hidden_states": _repeat(motion.tokens.to(like.dtype), len(wanted)),
        "motion_attention_mask": motion.mask,
        "motion_scale": on * motion.scale,
    }


def _pinned(motion: MotionConditioning) -> MotionConditioning:
    mask = None if motion.mask is None else motion.mask.pin_memory()
    return MotionConditioning(motion.tokens.pin_memory(), mask, motion.scale.pin_memory())


def _fetched(motion: MotionConditioning, device: torch.device) -> MotionConditioning:
    """The same on the device, copied asynchronously from pinned memory, which is not written to again."""

    def fetch(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(device, non_blocking=tensor.device.type == "cpu" and tensor.is_pinned())

    mask = None if motion.mask is None else fetch(motion.mask)
    return MotionConditioning(fetch(motion.tokens), mask, fetch(motion.scale))


def _repeat(tensor: torch.Tensor | None, count: int) -> torch.Tensor | None:
    return None if tensor is None else tensor.expand(count, *tensor.shape[1:])
