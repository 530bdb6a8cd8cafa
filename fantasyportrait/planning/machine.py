"""The machine that the diffusion engine runs on: device, free memory, installed packages."""

import importlib.util
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fantasyportrait.core.optional import require
from fantasyportrait.runtime.memory import free_device_bytes
from fantasyportrait.runtime.profiles import PROFILES

GIB = float(2**30)

# Files of a container's memory limits in the two versions of cgroups: folder, limit, usage, and the entry of
# memory.stat for the page cache, which the kernel can reclaim.
_GROUPS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


@dataclass(frozen=True)
class Machine:
    """A device and its host.

    Attributes:
        device: torch's name of the device.
        kind: torch's device type: cpu, mps, xpu ...
        name: name of the GPU or processor for messages.
        vram_gib: available memory of the device; with unified memory the same as `ram_gib`.
        ram_gib: available memory of the host, within the limits of a container.
        capability: CUDA compute capability; None for other devices.
        packages: installed packages among those of the profiles.
        device_count: number of accelerators of this kind.
        disk_gib: free disk space beside the model for the copy of its transformer; infinite if none is needed.
    """

    device: str
    kind: str
    name: str
    vram_gib: float
    ram_gib: float
    capability: tuple[int, int] | None = None
    packages: frozenset[str] = frozenset()
    device_count: int = 1
    disk_gib: float = math.inf

    @property
    def unified_memory(self) -> bool:
        """Whether device and host share one memory."""
        return self.kind in ("cpu", "mps")

    def with_memory(self, vram_gib: float | None, ram_gib: float | None) -> "Machine":
        """The same with other amounts of memory; None keeps the measured one. Unified memory takes the smaller one."""
        if self.unified_memory:
            given = [gib for gib in (vram_gib, ram_gib) if gib is not None]
            vram_gib = ram_gib = min(given, default=None)
        return replace(
            self,
            vram_gib=self.vram_gib if vram_gib is None else vram_gib,
            ram_gib=self.ram_gib if ram_gib is None else ram_gib,
        )

    def shared_by(self, processes: int) -> "Machine":
        """One process's share of the machine, where each has a GPU of its own and an equal part of the memory."""
        ram_gib = self.ram_gib / processes
        return replace(self, ram_gib=ram_gib, vram_gib=ram_gib if self.unified_memory else self.vram_gib)


def measure_machine(device: torch.device) -> Machine:
    """The machine with its memory available now; memory cached by torch's allocator counts as available."""
    ram = free_ram_gib()
    found = (each.package for each in PROFILES if each.package is not None)
    packages = frozenset(name for name in found if importlib.util.find_spec(name) is not None)
    if device.type in ("cpu", "mps"):
        name = "this computer's processor" if device.type == "cpu" else "this computer's graphics"
        return Machine(str(device), device.type, name, ram, ram, None, packages, device_count=1)
    nvidia = torch.cuda.is_available()
    return Machine(
        device=str(device),
        kind=device.type,
        name=torch.cuda.get_device_name(device) if nvidia else f"the {device.type} device",
        vram_gib=free_device_bytes(device) / GIB,
        ram_gib=ram,
        capability=torch.cuda.get_device_capability(device) if nvidia else None,
        packages=packages,
        device_count=torch.accelerator.device_count(),
    )


def zero_gpu_machine(device: torch.device) -> Machine:
    """The machine of a ZeroGPU Space: the GPU that a call is lent, whose properties `spaces` gives in advance."""
    properties = torch.cuda.get_device_properties(device)
    total_gib = properties.total_memory / GIB
    return Machine(
        device=str(device),
        kind=device.type,
        name=f"ZeroGPU ({properties.name})",
        vram_gib=total_gib,
        ram_gib=free_ram_gib(),
        capability=(properties.major, properties.minor),
    )


def free_ram_gib(groups: Path = Path("/sys/fs/cgroup")) -> float:
    """Available memory of the host: the system's, or what a container's limit leaves, whichever is less."""
    psutil = require("psutil", extra="wan", purpose="finding a profile that fits")
    free = int(psutil.virtual_memory().available)
    return min([free, *_limits(groups)]) / GIB


def _limits(groups: Path) -> list[int]:
    """Bytes that each cgroup leaves: the topmost one, which is a container's own, and those of this process."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    below = [line.split(":", 2)[2].strip("/") for line in lines if line.count(":") >= 2]
    left = []
    for folder, limit, usage, cache in _GROUPS:
        top = groups / folder
        for path in {top, *(part for name in below for part in (top / name, *(top / name).parents))}:
            if path == top or top in path.parents:
                left += _left(path / limit, path / usage, path / "memory.stat", cache)
    return left


def _left(limit: Path, usage: Path, stat: Path, cache: str) -> list[int]:
    """Bytes that one limit leaves, in a list; empty without a limit."""
    try:
        bound, used = limit.read_text(encoding="utf-8").strip(), int(usage.read_text(encoding="utf-8"))
        lines = dict(line.split(maxsplit=1) for line in stat.read_text(encoding="utf-8").splitlines())
        return [] if bound == "max" else [max(0, int(bound) - used + int(lines.get(cache, 0)))]
    except (OSError, ValueError):
        return []
