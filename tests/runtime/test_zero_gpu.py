"""What ZeroGPU asks of the runtime config, of a video and of the planner."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import RequestError
from fantasyportrait.planning import planner
from fantasyportrait.planning.machine import GIB
from fantasyportrait.planning.throughput import ZERO_GPU_THROUGHPUT
from fantasyportrait.runtime.offload import resolve_device
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.runtime.zero_gpu import MAX_CALL_S, call_seconds, check_zero_gpu_video, zero_gpu_config


@pytest.fixture
def zero_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ZeroGPU Space outside of a call: `spaces` gives the properties of a GPU that is not there."""
    properties = SimpleNamespace(name="NVIDIA H200 MIG 3g.71gb", total_memory=int(70 * GIB), major=9, minor=0)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.accelerator,
        "current_accelerator",
        lambda check_available=False: None if check_available else torch.device("cuda"),
    )
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_device_on_zero_gpu_is_cuda_outside_of_a_call(zero_gpu: None, device: str) -> None:
    assert resolve_device(RuntimeConfig(device=device)) == torch.device("cuda")


def test_planner_on_zero_gpu_measures_nothing(zero_gpu: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("measure_machine", "measure_throughput", "free_memory"):
        monkeypatch.setattr(planner, name, lambda *given: pytest.fail("the GPU is not there"))
    made = planner.Planner(None, None, RuntimeConfig(), tmp_path)
    assert made.machine.vram_gib == pytest.approx(70) and made.machine.capability == (9, 0)
    assert made.throughput == ZERO_GPU_THROUGHPUT


def test_config_on_zero_gpu_is_resident() -> None:
    assert zero_gpu_config(RuntimeConfig(precision="bfloat16")) == RuntimeConfig(
        profile="resident", precision="bfloat16"
    )
    with pytest.raises(RequestError, match="--compile does not run on ZeroGPU"):
        zero_gpu_config(RuntimeConfig(compile=True))


@given(st.floats(0, 1000))
def test_gpu_time_covers_the_estimate_or_is_refused(total_s: float) -> None:
    try:
        seconds = call_seconds(total_s)
    except RequestError:
        assert 1.5 * total_s + 20 > MAX_CALL_S
    else:
        assert total_s < seconds <= MAX_CALL_S


def test_caps_of_a_video_are_inclusive() -> None:
    check_zero_gpu_video(5.0, 832)
