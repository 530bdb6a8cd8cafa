"""Devices, dtypes, and offloading: a pipeline is placed on its device with one of diffusers' methods."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MappingProxyType

import torch
from diffusers import DiffusionPipeline
from diffusers.utils.torch_utils import get_module_execution_device

from fantasyportrait.core.errors import RequestError
from fantasyportrait.core.hosting import on_zero_gpu
from fantasyportrait.runtime.memory import free_device_bytes, is_out_of_memory
from fantasyportrait.runtime.profiles import Offload, get_profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig

# GPUs from this compute capability on have bfloat16 in hardware; older ones have float16 only.
_BF16_CAPABILITY = (8, 0)
# Device types with unified memory.
_UNIFIED_MEMORY = ("cpu", "mps")
# Components that are needed once a video, and do not stay on the GPU.
_ONLOADED_ON_DEMAND = ("image_encoder",)
# Memory for activations, as a share of the weights. CLIP takes 2 %, and its kernels a little.
_ONLOAD_OVERHEAD = 0.1


def resolve_device(runtime_config: RuntimeConfig) -> torch.device:
    """The torch device; `RequestError` if this machine does not have it."""
    # On ZeroGPU torch finds the GPU only while a call runs.
    accelerator = torch.accelerator.current_accelerator(check_available=not on_zero_gpu())
    if runtime_config.device == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(runtime_config.device)
    except RuntimeError as error:
        raise RequestError(
            "device is {device!r}: torch knows no such device ({error})", device=runtime_config.device, error=error
        ) from error
    if device.type != "cpu" and (accelerator is None or device.type != accelerator.type):
        raise RequestError(
            "device is {device!r}, which this machine does not have: use auto or cpu", device=runtime_config.device
        )
    return device


def resolve_dtype(runtime_config: RuntimeConfig, device: torch.device) -> torch.dtype:
    """The compute dtype of the transformer on that device."""
    if runtime_config.precision != "auto":
        chosen: torch.dtype = getattr(torch, runtime_config.precision)
        return chosen
    if device.type == "cpu":
        return torch.float32
    nvidia = torch.cuda.is_available()
    return (
        torch.bfloat16 if not nvidia or torch.cuda.get_device_capability(device) >= _BF16_CAPABILITY else torch.float16
    )


def check_runtime_config(runtime_config: RuntimeConfig) -> None:
    """Raise `RequestError` for a device that this machine does not have, or a profile that the device cannot use."""
    device = resolve_device(runtime_config)
    if device.type == "cpu" and runtime_config.profile != "auto" and get_profile(runtime_config.profile).gpu_only:
        raise RequestError(
            "the profile {profile} needs a GPU, and the device is the CPU: use auto or resident",
            profile=runtime_config.profile,
        )


def apply_offload(pipeline: DiffusionPipeline, offload: Offload, device: torch.device) -> None:
    """Place a pipeline on its device, once; an offloaded pipeline must not be moved afterwards.

    If it does not fit, it raises an error for which `is_out_of_memory` is true, and leaves nothing on the device.
    """
    try:
        _OFFLOAD_METHODS[offload](pipeline, device)
    except RuntimeError as error:
        if is_out_of_memory(error):
            pipeline.to(torch.device("cpu"))
        raise


@contextmanager
def onloaded(module: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Inside, a module of the host is on the GPU if it fits there; otherwise it computes on the host.

    A module that is on the GPU already, or that offloading brings there, is not moved.
    """
    home = get_module_execution_device(module)
    size = sum(weight.nbytes for weight in module.parameters())
    if home == device or free_device_bytes(device) < (1 + _ONLOAD_OVERHEAD) * size:
        yield
        return
    try:
        module.to(device)
        yield
    finally:
        module.to(home)


def _none(pipeline: DiffusionPipeline, device: torch.device) -> None:
    """All components on the device, but CLIP, which stays on the host unless memory is unified."""
    if device.type in _UNIFIED_MEMORY:
        pipeline.to(device)
        return
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module) and name not in _ONLOADED_ON_DEMAND:
            part.to(device)


def _model(pipeline: DiffusionPipeline, device: torch.device) -> None:
    pipeline.enable_model_cpu_offload(device=device)


def _stream(pipeline: DiffusionPipeline, device: torch.device) -> None:
    _group_offload(pipeline, device, mapped=False)


def _disk(pipeline: DiffusionPipeline, device: torch.device) -> None:
    _group_offload(pipeline, device, mapped=True)


def _sequential(pipeline: DiffusionPipeline, device: torch.device) -> None:
    pipeline.enable_sequential_cpu_offload(device=device)


def _group_offload(pipeline: DiffusionPipeline, device: torch.device, mapped: bool) -> None:
    """The current block on the device and the next one being copied there.

    The copies start from memory that is pinned once, or, if `mapped`, from a file, pinned block by block. Without
    `record_stream`, with which the CPU runs ahead and finished blocks fill the GPU.
    """
    streams = device.type not in _UNIFIED_MEMORY
    pipeline.enable_group_offload(
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        non_blocking=streams,
        use_stream=streams,
        low_cpu_mem_usage=mapped,
    )


_OFFLOAD_METHODS: MappingProxyType[Offload, Callable[[DiffusionPipeline, torch.device], None]] = MappingProxyType(
    {"none": _none, "model": _model, "stream": _stream, "disk": _disk, "sequential": _sequential}
)
