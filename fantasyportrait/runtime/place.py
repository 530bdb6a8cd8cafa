"""A pipeline onto its device, by one of diffusers' own ways. Nothing else in the program moves a module."""

from collections.abc import Callable
from types import MappingProxyType

import torch
from diffusers import DiffusionPipeline

from fantasyportrait.core.errors import RequestError
from fantasyportrait.runtime.memory import ran_out
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.profiles import Offload, profile_of

# bfloat16 and float16 both run on cards from here on in hardware; older ones have float16 alone.
_BF16_FROM = (8, 0)


def device_of(placement: Placement) -> torch.device:
    """The torch device; `RequestError` for one that this machine does not have."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if placement.device == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(placement.device)
    except RuntimeError as error:
        raise RequestError(f"device is {placement.device!r}: torch knows no such device ({error})") from error
    if device.type != "cpu" and (accelerator is None or device.type != accelerator.type):
        raise RequestError(f"device is {placement.device!r}, which this machine does not have: use auto or cpu")
    return device


def precision_of(placement: Placement, device: torch.device) -> torch.dtype:
    """The transformer's dtype on that device."""
    if placement.precision != "auto":
        chosen: torch.dtype = getattr(torch, placement.precision)
        return chosen
    if device.type == "cpu":
        return torch.float32
    nvidia = torch.cuda.is_available()
    return torch.bfloat16 if not nvidia or torch.cuda.get_device_capability(device) >= _BF16_FROM else torch.float16


def check_placement(placement: Placement) -> None:
    """Raise `RequestError` for a device that is not here, or a profile that it cannot use."""
    device = device_of(placement)
    if device.type == "cpu" and placement.profile != "auto" and profile_of(placement.profile).card:
        raise RequestError(
            f"the profile {placement.profile} needs a card, and the device is the CPU: use auto or resident"
        )


def place(pipeline: DiffusionPipeline, offload: Offload, device: torch.device) -> None:
    """Put the pipeline where the profile says, once. An offloaded pipeline must not be moved afterwards.

    Raises an error that `ran_out` knows where it does not fit, and then holds nothing on the device.
    """
    try:
        _WAYS[offload](pipeline, device)
    except RuntimeError as error:
        if ran_out(error):
            pipeline.to(torch.device("cpu"))
        raise


def _none(pipeline: DiffusionPipeline, device: torch.device) -> None:
    pipeline.to(device)


def _model(pipeline: DiffusionPipeline, device: torch.device) -> None:
    pipeline.enable_model_cpu_offload(device=device)


def _stream(pipeline: DiffusionPipeline, device: torch.device) -> None:
    _by_blocks(pipeline, device, mapped=False)


def _disk(pipeline: DiffusionPipeline, device: torch.device) -> None:
    _by_blocks(pipeline, device, mapped=True)


def _sequential(pipeline: DiffusionPipeline, device: torch.device) -> None:
    pipeline.enable_sequential_cpu_offload(device=device)


def _by_blocks(pipeline: DiffusionPipeline, device: torch.device, mapped: bool) -> None:
    """One block on the device and the next on its way, from memory that is pinned once, or block by block (mapped).

    Without `record_stream`: with it the processor would run ahead, and blocks that are done with would fill the card.
    """
    streams = device.type not in ("cpu", "mps")  # there, both sides are one memory
    pipeline.enable_group_offload(
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        non_blocking=streams,
        use_stream=streams,
        low_cpu_mem_usage=mapped,
    )


_WAYS: MappingProxyType[Offload, Callable[[DiffusionPipeline, torch.device], None]] = MappingProxyType(
    {"none": _none, "model": _model, "stream": _stream, "disk": _disk, "sequential": _sequential}
)
