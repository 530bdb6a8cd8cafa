"""What this machine has for the diffusion engine: memory that is free now, the GPU, installed packages."""

import importlib.util
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fantasyportrait.core.optional import require
from fantasyportrait.runtime.memory import free_device_bytes
from fantasyportrait.runtime.profiles import PROFILES

GIB = float(2**30)

# Where Linux shows the memory limits of a container, in the two layouts that there are: folder, limit, usage, and the
# entry of memory.stat with the page cache, which is given back when memory is short.
_GROUPS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


@dataclass(frozen=True)
class Machine:
    """A device and what stands around it.

    Attributes:
        device: as torch writes it.
        kind: its type: cpu, mps, xpu ...
        name: of the GPU or processor, for people.
        vram_gib: free for us on the device; where device and processor share one memory, the same as `ram_gib`.
        ram_gib: free for us, within the limits of a container.
        capability: compute capability; None where the device has none.
        packages: those of the profiles' packages that are installed.
        device_count: accelerators of this kind.
        disk_gib: free where the model lies, for a copy of its transformer; endless where none has to be made.
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
        """Whether device and processor share their memory."""
        return self.kind in ("cpu", "mps")

    def with_memory(self, vram_gib: float | None, ram_gib: float | None) -> "Machine":
        """The same with so much memory as is said, instead of what was found; of one memory both mean all of it."""
        if self.unified_memory:
            said = [gib for gib in (vram_gib, ram_gib) if gib is not None]
            vram_gib = ram_gib = min(said, default=None)
        return replace(
            self,
            vram_gib=self.vram_gib if vram_gib is None else vram_gib,
            ram_gib=self.ram_gib if ram_gib is None else ram_gib,
        )

    def shared_by(self, processes: int) -> "Machine":
        """What each of so many may count on that work here at the same time, on GPUs of their own where there are."""
        ram_gib = self.ram_gib / processes
        return replace(self, ram_gib=ram_gib, vram_gib=ram_gib if self.unified_memory else self.vram_gib)


def measure_machine(device: torch.device) -> Machine:
    """The machine as it is now, with `device` to compute on. What our own allocator keeps unused counts as free."""
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


def free_ram_gib(groups: Path = Path("/sys/fs/cgroup")) -> float:
    """Memory that can still be had: what the system has available, or what a container's limit leaves (the less)."""
    psutil = require("psutil", extra="wan", purpose="finding a profile that fits")
    free = int(psutil.virtual_memory().available)
    return min([free, *_limits(groups)]) / GIB


def _limits(groups: Path) -> list[int]:
    """Bytes that each limit leaves: of the group at the top, which is a container's own, and of those around us."""
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
    """What one limit leaves; nothing where there is none."""
    try:
        bound, used = limit.read_text(encoding="utf-8").strip(), int(usage.read_text(encoding="utf-8"))
        lines = dict(line.split(maxsplit=1) for line in stat.read_text(encoding="utf-8").splitlines())
        return [] if bound == "max" else [max(0, int(bound) - used + int(lines.get(cache, 0)))]
    except (OSError, ValueError):
        return []
