"""What this machine has, within a container's limits, and how fast it is."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fantasyportrait.planning.machine import GIB, Machine, free_ram_gib, measure_machine
from fantasyportrait.planning.throughput import measure_throughput

CPU = torch.device("cpu")


def test_measure_machine_cpu_has_shared_memory() -> None:
    found = measure_machine(CPU)
    assert found.unified_memory and found.kind == "cpu" and found.capability is None
    assert 0 < found.vram_gib == found.ram_gib < 100_000
    assert found.packages <= {"torchao", "bitsandbytes", "gguf"}


@pytest.mark.parametrize(
    ("folder", "limit", "usage", "cache"),
    [
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_measure_machine_respects_container_limit(
    tmp_path: Path, folder: str, limit: str, usage: str, cache: str
) -> None:
    """Of 3 MiB, 2 are in use, half a MiB of that by the page cache, which can be reclaimed."""
    group = tmp_path / folder
    group.mkdir(exist_ok=True)
    (group / limit).write_text(f"{3 << 20}\n")
    (group / usage).write_text(f"{2 << 20}\n")
    (group / "memory.stat").write_text(f"anon 7\n{cache} {1 << 19}\n")
    assert free_ram_gib(tmp_path) == (1.5 * 2**20) / GIB
    (group / limit).write_text("max\n")
    assert free_ram_gib(tmp_path) > 2**21 / GIB


def test_measure_machine_without_limit_uses_system_memory(tmp_path: Path) -> None:
    assert free_ram_gib(tmp_path / "none") > 2**21 / GIB


def test_given_memory_replaces_detected_memory() -> None:
    gpu = Machine("0", "gpu", "A GPU", 23, 60, (8, 9))
    assert gpu.with_memory(None, None) == gpu
    assert gpu.with_memory(8, None) == replace(gpu, vram_gib=8) and gpu.with_memory(None, 99).ram_gib == 99
    one = Machine("mps", "mps", "one", 28, 28)
    for named in ((12, None), (None, 12), (12, 40)):
        assert one.with_memory(*named) == replace(one, vram_gib=12, ram_gib=12)
    assert one.with_memory(None, None) == one


def test_measure_throughput_of_cpu() -> None:
    found = measure_throughput(CPU, torch.float32)
    assert 0.0001 < found.tflops < 1000 and 0.01 < found.memory_gib_s < 10_000
    assert found.h2d_gib_s == float("inf")
