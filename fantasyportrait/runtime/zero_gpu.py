"""What a ZeroGPU Space asks of the diffusion engine: one profile, no compiler, short calls. It imports no torch."""

from dataclasses import replace

from fantasyportrait.core.errors import RequestError
from fantasyportrait.runtime.runtime_config import RuntimeConfig

MAX_CALL_S = 120
"""Seconds of GPU time that a job may ask for: a visitor has a few minutes a day."""
MAX_DURATION_S = 5.0
"""Seconds of a video."""
MAX_SIDE = 832
"""Pixels of the longest side of a video."""
PRESET = "draft"
"""The preset that the app starts with there."""
# The estimate of the first job was never compared with a run, and the weights are copied to the GPU within the call.
_MARGIN, _START_S = 1.5, 20


def zero_gpu_config(runtime_config: RuntimeConfig) -> RuntimeConfig:
    """The runtime config with the profile resident: the weights are moved to the GPU once, before the app starts.

    Raises `RequestError` for another profile, whose hooks move weights between forward passes, and for `compile`.
    """
    if runtime_config.profile not in ("auto", "resident"):
        raise RequestError(
            "the profile {profile} does not run on ZeroGPU, which moves weights itself: use resident",
            profile=runtime_config.profile,
        )
    if runtime_config.compile:
        raise RequestError("--compile does not run on ZeroGPU, where each call has a new process: leave it out")
    return replace(runtime_config, profile="resident")


def check_zero_gpu_video(duration_s: float, side: int) -> None:
    """Raise `RequestError` for a video that is longer or larger than ZeroGPU renders."""
    if duration_s > MAX_DURATION_S:
        raise RequestError(
            "the video lasts {duration_s:g} s, and with wan at most {max_duration_s:g} s on this Space: choose a "
            "shorter duration, or the engine preview",
            duration_s=duration_s,
            max_duration_s=MAX_DURATION_S,
        )
    if side > MAX_SIDE:
        raise RequestError(
            "max_side is {side}, and with wan at most {max_side} on this Space: choose a smaller one, or the engine "
            "preview",
            side=side,
            max_side=MAX_SIDE,
        )


def call_seconds(total_s: float) -> int:
    """The GPU time to ask for, from the estimate of a job in seconds; `RequestError` where it exceeds `MAX_CALL_S`."""
    seconds = round(_MARGIN * total_s + _START_S)
    if seconds > MAX_CALL_S:
        raise RequestError(
            "the video needs about {seconds} s of GPU time, and this Space gives {max_call_s} s: choose the preset "
            "{preset}, a shorter duration or a smaller max_side",
            seconds=seconds,
            max_call_s=MAX_CALL_S,
            preset=PRESET,
        )
    return seconds
