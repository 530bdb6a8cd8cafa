"""Offload modes: which component is resident when, and what is refused."""

import sys
from pathlib import Path

import accelerate
import numpy as np
import pytest
import torch
from accelerate.hooks import CpuOffload

import fantasyportrait
from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, RequestError
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.runtime.offload import apply_offload, check_runtime_config, onloaded, resolve_device, resolve_dtype
from fantasyportrait.runtime.profiles import Offload
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.sampling import Sampling
from tests.pipelines.conftest import FaceMap, base_folder, driven, image, pipeline, two_places

__all__ = ["base_folder", "image", "pipeline", "two_places"]  # fixtures

CPU = torch.device("cpu")


def frames(pipeline: FantasyPortraitPipeline, image: np.ndarray, places: torch.Tensor) -> np.ndarray:
    faces = [driven(1, 5), driven(2, 5)]
    return pipeline(image, faces, places, num_frames=5, sampling=Sampling(num_inference_steps=2, seed=1)).frames


def size_of(module: torch.nn.Module) -> int:
    return sum(weight.nbytes for weight in module.parameters())


@pytest.mark.parametrize("offload", ["none", "model", "stream", "disk"])
def test_offload_modes_give_same_frames(
    pipeline: FantasyPortraitPipeline, image: np.ndarray, two_places: FaceMap, offload: Offload
) -> None:
    expected = frames(pipeline, image, two_places)
    apply_offload(pipeline, offload, CPU)
    for _ in range(2):
        np.testing.assert_array_equal(frames(pipeline, image, two_places), expected)


@pytest.fixture
def here() -> dict[str, int]:
    """Bytes of each component on the onload device now."""
    return {}


@pytest.fixture
def resident(
    pipeline: FantasyPortraitPipeline, here: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, int]]:
    """Bytes of each component on the onload device, noted whenever one arrives.

    The device is the CPU, where nothing really moves, so its hooks are recorded: a component that is onloaded
    offloads the one before it in the chain, and `maybe_free_model_hooks` offloads all.
    """
    history: list[dict[str, int]] = []
    names = {id(module): name for name, module in pipeline.components.items()}
    arrive, free = CpuOffload.pre_forward, FantasyPortraitPipeline.maybe_free_model_hooks

    def arrived(self: CpuOffload, module: torch.nn.Module, *args: object, **kwargs: object) -> object:
        if self.prev_module_hook is not None:
            here.pop(names[id(self.prev_module_hook.model)], None)
        here[names[id(module)]] = size_of(module)
        history.append(dict(here))
        return arrive(self, module, *args, **kwargs)

    def freed(self: FantasyPortraitPipeline) -> None:
        free(self)
        here.clear()

    monkeypatch.setattr(CpuOffload, "pre_forward", arrived)
    monkeypatch.setattr(FantasyPortraitPipeline, "maybe_free_model_hooks", freed)
    return history


def test_model_offload_keeps_only_active_component_resident(
    pipeline: FantasyPortraitPipeline,
    image: np.ndarray,
    two_places: FaceMap,
    resident: list[dict[str, int]],
) -> None:
    """While the transformer samples nothing else is there; while the VAE decodes the transformer is gone."""
    apply_offload(pipeline, "model", CPU)
    frames(pipeline, image, two_places)
    sampling = [stage for stage in resident if "transformer" in stage]
    assert sampling and all(set(stage) == {"transformer"} for stage in sampling)
    assert set(resident[-1]) == {"vae"}
    largest = max(size_of(getattr(pipeline, name)) for name in ("transformer", "text_encoder", "image_encoder"))
    assert max(sum(stage.values()) for stage in sampling) == size_of(pipeline.transformer)
    assert max(sum(stage.values()) for stage in resident) <= largest + size_of(pipeline.motion_adapter)
    assert {name for stage in resident for name in stage} == {
        "text_encoder", "image_encoder", "motion_adapter", "vae", "transformer",
    }  # fmt: skip


@pytest.mark.parametrize("how", ["cancelled", "a callback that raises"])
def test_cancelled_offload_leaves_nothing_resident(
    pipeline: FantasyPortraitPipeline, image: np.ndarray, resident: list[dict[str, int]], here: dict[str, int], how: str
) -> None:
    apply_offload(pipeline, "model", CPU)
    token = CancelToken()

    def stop(*_: object) -> dict[str, torch.Tensor]:
        token.cancel()
        if how != "cancelled":
            raise RuntimeError("the callback broke")
        return {}

    with pytest.raises((Cancelled, RuntimeError)):
        three = Sampling(num_inference_steps=3)
        pipeline(image, [driven(1, 5)], None, 5, three, callback_on_step_end=stop, cancel=token)
    assert any("transformer" in stage for stage in resident) and not here


def test_our_code_never_moves_offloaded_module(
    pipeline: FantasyPortraitPipeline, image: np.ndarray, two_places: FaceMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The public code calls `dit.to("cuda")` after offload is set up, so that everything stays on the GPU."""
    apply_offload(pipeline, "model", CPU)
    movers: list[str] = []
    real = torch.nn.Module.to

    def spy(self: torch.nn.Module, *args: object, **kwargs: object) -> torch.nn.Module:
        movers.append(Path(sys._getframe(1).f_code.co_filename).as_posix())
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "to", spy)
    frames(pipeline, image, two_places)
    ours = Path(fantasyportrait.__file__).parent.as_posix()
    assert movers and not [name for name in movers if name.startswith(ours)]


def test_sequential_offload_holds_one_layer(
    pipeline: FantasyPortraitPipeline, image: np.ndarray, two_places: FaceMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """accelerate's layer by layer offload of every component, with the CPU as the GPU: on meta until used."""
    expected = frames(pipeline, image, two_places)
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    whole = sum(map(size_of, parts))
    for part in parts:
        accelerate.cpu_offload(part, execution_device=CPU)
    held: list[int] = []
    linear = torch.nn.functional.linear

    def count(states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        held.append(sum(each.nbytes for part in parts for each in part.parameters() if not each.is_meta))
        return linear(states, weight, bias)

    monkeypatch.setattr(torch.nn.functional, "linear", count)
    np.testing.assert_array_equal(frames(pipeline, image, two_places), expected)
    largest = max(size_of(layer) for part in parts for layer in part.modules() if isinstance(layer, torch.nn.Linear))
    assert len(parts) == 5 and held and largest <= max(held) < whole / 4


def test_resolve_devices_and_precisions() -> None:
    assert resolve_device(RuntimeConfig(device="cpu")) == CPU
    assert resolve_dtype(RuntimeConfig(), CPU) == torch.float32
    assert resolve_dtype(RuntimeConfig(precision="bfloat16"), CPU) == torch.bfloat16
    for name in ("meta-gpu", "meta"):
        with pytest.raises(RequestError, match="device is"):
            resolve_device(RuntimeConfig(device=name))


@pytest.mark.parametrize(
    "given", [{"profile": "magic"}, {"precision": "int3"}, {"attention": "eyes"}, {"parallel": "all"}]
)
def test_runtime_config_refuses_unknown_settings(given: dict[str, str]) -> None:
    with pytest.raises(RequestError, match="choose (auto or )?one of"):
        RuntimeConfig(**given)


@pytest.mark.parametrize("name", ["sequential", "nf4"])
def test_gpu_profiles_are_refused_on_cpu(name: str) -> None:
    with pytest.raises(RequestError, match=f"the profile {name} needs a GPU"):
        check_runtime_config(RuntimeConfig(device="cpu", profile=name))


def test_oversized_model_is_moved_back(pipeline: FantasyPortraitPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    moves = []

    def full(device: torch.device) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(pipeline.transformer, "to", full)
    monkeypatch.setattr(FantasyPortraitPipeline, "to", lambda self, device: moves.append(str(device)))
    with pytest.raises(torch.OutOfMemoryError):
        apply_offload(pipeline, "none", torch.device("meta"))
    assert moves == ["cpu"]


def test_clip_stays_on_host_without_offload(pipeline: FantasyPortraitPipeline) -> None:
    apply_offload(pipeline, "none", torch.device("meta"))
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    devices = {name: {weight.device.type for weight in part.parameters()} for name, part in parts.items()}
    assert devices.pop("image_encoder") == {"cpu"} and set.union(*devices.values()) == {"meta"}


@pytest.mark.parametrize(
    ("room", "device", "moves"),
    [(1.1, "meta", ["meta", "cpu"]), (1.09, "meta", []), (0, "cpu", [])],
    ids=["room", "no room", "there already"],
)
def test_gpu_visit_requires_free_memory(
    monkeypatch: pytest.MonkeyPatch, room: float, device: str, moves: list[str]
) -> None:
    """Needs memory for the weights plus a tenth; the module is moved back also after an error."""
    module, seen = torch.nn.Linear(10, 10, bias=False), []
    monkeypatch.setattr(module, "to", lambda device: seen.append(str(device)))
    monkeypatch.setattr("fantasyportrait.runtime.offload.free_device_bytes", lambda device: room * 400)
    with pytest.raises(RuntimeError, match="on the way"), onloaded(module, torch.device(device)):
        assert seen == moves[:1]
        raise RuntimeError("on the way")
    assert seen == moves
