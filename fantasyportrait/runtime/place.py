"""A pipeline onto its device, by one of diffusers' own ways. Nothing else in the program moves a module."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MappingProxyType

import torch
from diffusers import DiffusionPipeline
from diffusers.utils.torch_utils import get_module_execution_device

from fantasyportrait.core.errors import RequestError
from fantasyportrait.runtime.memory import card_room, ran_out
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.profiles import Offload, profile_of

# bfloat16 and float16 both run on cards from here on in hardware; older ones have float16 alone.
_BF16_FROM = (8, 0)
# Device and processor share their memory.
_ONE_MEMORY = ("cpu", "mps")
# What is needed for a moment alone, and does not stay on a card with the others.
_VISITORS = ("image_encoder",)
# Beside its weights a visitor needs room to compute: so much of their size. CLIP takes 2 %, and its kernels a little.
_VISITORS_WORK = 0.1


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


@contextmanager
def visiting(module: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Inside, a module that waits on the host is on the card, if there is room for it; else it works on the host.

    One that is placed on the card, or that offloading brings there, is left alone.
    """
    home = get_module_execution_device(module)
    size = sum(weight.nbytes for weight in module.parameters())
    if home == device or card_room(device) < (1 + _VISITORS_WORK) * size:
        yield
        return
    try:
        module.to(device)
        yield
    finally:
        module.to(home)


def _none(pipeline: DiffusionPipeline, device: torch.device) -> None:
    """All of it, but on a card with memory of its own CLIP waits on the host, and comes for its portrait alone."""
    if device.type in _ONE_MEMORY:
        pipeline.to(device)
        return
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module) and name not in _VISITORS:
            part.to(device)


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
    streams = device.type not in _ONE_MEMORY
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
