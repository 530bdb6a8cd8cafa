"""A pipeline onto its device, by one of diffusers' own ways. Nothing else in the program moves a module."""

from collections.abc import Callable
from types import MappingProxyType

import torch
from diffusers import DiffusionPipeline

from fantasyportrait.core.errors import RequestError
from fantasyportrait.runtime.memory import free_memory
from fantasyportrait.runtime.placement import Placement


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
    return torch.bfloat16 if not nvidia or torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def check_placement(placement: Placement) -> None:
    """Raise `RequestError` for a device that is not here, or an offload that it cannot use."""
    if placement.offload == "sequential" and device_of(placement).type == "cpu":
        raise RequestError(
            "sequential offload brings layers from the CPU to a card, and the device is the CPU: use none"
        )
    device_of(placement)


def place(pipeline: DiffusionPipeline, placement: Placement) -> None:
    """Put the pipeline where the placement says, once. An offloaded pipeline must not be moved afterwards."""
    check_placement(placement)
    device = device_of(placement)
    offload = placement.offload
    if offload == "auto":
        offload = "none" if device.type == "cpu" else "model"
    try:
        _WAYS[offload](pipeline, device)
        return
    except torch.OutOfMemoryError:
        pipeline.to(torch.device("cpu"))
    # Outside of the handler: the error would keep alive what did not fit.
    free_memory()
    raise RequestError(
        f"the model does not fit into the memory of {device}: choose offload model, stream or sequential"
    )


def _stream(pipeline: DiffusionPipeline, device: torch.device) -> None:
    pipeline.enable_group_offload(
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=device.type != "cpu",
    )


def _model(pipeline: DiffusionPipeline, device: torch.device) -> None:
    pipeline.enable_model_cpu_offload(device=device)


def _sequential(pipeline: DiffusionPipeline, device: torch.device) -> None:
    pipeline.enable_sequential_cpu_offload(device=device)


def _none(pipeline: DiffusionPipeline, device: torch.device) -> None:
    pipeline.to(device)


_WAYS: MappingProxyType[str, Callable[[DiffusionPipeline, torch.device], None]] = MappingProxyType(
    {"none": _none, "model": _model, "stream": _stream, "sequential": _sequential}
)
