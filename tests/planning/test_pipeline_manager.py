"""One pipeline at a time: planned, loaded, kept, and one profile lower when memory runs out, by the real loader."""

import itertools
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, RequestError, WeightsError
from fantasyportrait.engines.wan_model import prepare_model
from fantasyportrait.pipelines import loading
from fantasyportrait.pipelines.loading import ModelFiles
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.rank_loop import LoadCommand
from fantasyportrait.pipelines.video_sampling import VideoJob, sample_video
from fantasyportrait.planning import machine as machine_module, pipeline_manager as pipeline_manager_module
from fantasyportrait.planning.pipeline_manager import PipelineManager
from fantasyportrait.planning.planner import STEP_TIME_LOG, ExecutionPlan, Planner
from fantasyportrait.planning.step_time_log import StepTimeLog
from fantasyportrait.planning.workload import Workload
from fantasyportrait.runtime.attention import AttentionChoice
from fantasyportrait.runtime.process_group import ProcessGroup
from fantasyportrait.runtime.profiles import get_profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.events import Message
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.testing.tiny_faces import tiny_driven_face

SIZE = Workload(48, 32, 9, sampling=Sampling(num_inference_steps=3))
LOWER = {"resident": "stream", "stream": "stream-disk"}


@pytest.fixture
def pipeline_manager(tiny_model: Path, tmp_path: Path) -> PipelineManager:
    return PipelineManager(
        ModelFiles(prepare_model(tiny_model.as_posix()).folder), RuntimeConfig(device="cpu"), tmp_path
    )


@pytest.fixture
def lower_needs_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU every profile takes the same memory; here they descend as on a GPU."""

    def fall_back(self: Planner, plan: ExecutionPlan) -> ExecutionPlan | None:
        name = LOWER.get(plan.estimate.profile.name)
        return None if name is None else self.plan_with(get_profile(name), plan.job)

    monkeypatch.setattr(Planner, "fall_back", fall_back)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The profiles that were loaded, each while no other pipeline was alive."""
    names: list[str] = []
    alive: list[weakref.ref[FantasyPortraitPipeline]] = []
    real = pipeline_manager_module.load_pipeline

    def load(*args: object) -> FantasyPortraitPipeline:
        assert not [each for each in alive if each() is not None], "two pipelines at once"
        names.append(args[2].name)
        pipeline = real(*args)
        alive.append(weakref.ref(pipeline.transformer))
        return pipeline

    monkeypatch.setattr(pipeline_manager_module, "load_pipeline", load)
    return names


def job(steps: int = 3) -> VideoJob:
    places = np.zeros((32, 48), np.int32)
    places[:, :16] = 1
    features = np.random.default_rng(0).normal(size=(9, 554)).astype(np.float32)
    sampling = Sampling(num_inference_steps=steps)
    return VideoJob(np.full((32, 48, 3), 120, np.uint8), (tiny_driven_face(1, features),), places, 9, sampling)


def video(pipeline_manager: PipelineManager, messages: list[Message]) -> np.ndarray:
    return np.concatenate(list(sample_video(pipeline_manager, job(), lambda *_: None, messages.append, CancelToken())))


def test_pipeline_manager_reports_profile_and_keeps_pipeline(
    pipeline_manager: PipelineManager, loaded: list[str]
) -> None:
    told: list[Message] = []
    for size in (SIZE, SIZE, Workload(96, 64, 9)):
        plan = pipeline_manager.ready(size, told.append)
        assert plan.job == size and plan.estimate.profile.name == "resident"
    assert (
        loaded == ["resident"] and len(told) == 3 and all("profile resident: about" in message.text for message in told)
    )
    pipeline_manager.record(2.0)
    pipeline_manager.ready(SIZE, told.append)
    assert "from earlier runs here" in told[-1].text


@pytest.mark.usefixtures("lower_needs_less")
def test_loading_out_of_memory_falls_back(
    pipeline_manager: PipelineManager, loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading the first profile runs out of memory; the second one fits."""
    to = FantasyPortraitPipeline.to

    def full(self: FantasyPortraitPipeline, *args: object, **kwargs: object) -> FantasyPortraitPipeline:
        monkeypatch.setattr(FantasyPortraitPipeline, "to", to)
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(FantasyPortraitPipeline, "to", full)
    messages: list[Message] = []
    assert pipeline_manager.ready(SIZE, messages.append).estimate.profile.name == "stream"
    assert loaded == ["resident", "stream"]
    plan, change, *_ = messages
    assert not plan.keep and "profile resident: about" in plan.text
    assert change.text.startswith("the model does not fit with the profile resident; ") and "stream" in change.text
    assert len(video(pipeline_manager, messages)) == 9 and all(message.keep for message in messages[1:])
    assert all("written once more" in message.text for message in messages[2:])


@pytest.mark.usefixtures("lower_needs_less")
def test_step_out_of_memory_falls_back_and_resumes(pipeline_manager: PipelineManager, loaded: list[str]) -> None:
    """The next profile resumes at the same step, and the frames equal those of an undisturbed run."""
    messages: list[Message] = []
    pipeline_manager.ready(SIZE, messages.append)
    expected = video(pipeline_manager, messages)
    calls: list[int] = []

    def full(*_: object) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise torch.OutOfMemoryError("no room")

    pipeline_manager.pipeline.transformer.register_forward_pre_hook(full)
    found = video(pipeline_manager, messages)
    assert np.abs(found.astype(int) - expected).max() <= 1 and len(calls) == 4
    assert loaded == ["resident", "stream"]
    change, *others = [message.text for message in messages if message.keep]
    assert all("written once more" in other for other in others)
    assert change.startswith("the profile resident does not fit into the memory of this device after all: going on")


def test_out_of_memory_in_lowest_profile_is_reported(
    pipeline_manager: PipelineManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(pipeline_manager_module, "load_pipeline", full)
    with pytest.raises(RequestError, match="with the profile resident, and there is none that needs less") as caught:
        pipeline_manager.ready(SIZE, lambda _: None)
    assert caught.value.__context__ is None, "it would keep alive what did not fit"
    assert not pipeline_manager.fall_back(lambda _: None)


def test_pipeline_manager_refuses_oversized_job_before_loading(
    tiny_model: Path, tmp_path: Path, loaded: list[str]
) -> None:
    folder = prepare_model(tiny_model.as_posix()).folder
    manager = PipelineManager(ModelFiles(folder), RuntimeConfig(device="cpu", profile="sequential"), tmp_path)
    with pytest.raises(RequestError, match="the profile sequential needs a GPU"):
        manager.ready(SIZE, lambda _: None)
    assert not loaded


class CancelAfter(CancelToken):
    """A token that cancels at a later check."""

    def __init__(self, checks: int) -> None:
        super().__init__()
        self.left = checks

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.cancel()
        super().check()


def test_pipeline_manager_cancels_between_loaded_components(
    pipeline_manager: PipelineManager, loaded: list[str]
) -> None:
    """Loading can be cancelled between components and started again."""
    for checks in itertools.count():
        try:
            pipeline_manager.ready(SIZE, lambda _: None, CancelAfter(checks))
        except Cancelled:
            continue
        break
    assert checks == 2 and pipeline_manager.pipeline.transformer is not None and loaded == ["resident"] * 3


@dataclass(frozen=True, eq=False)
class RecordingGroup(ProcessGroup):
    """The main process of a process group; records what it broadcasts."""

    sent: list[object] = field(default_factory=list)

    def broadcast_object(self, message: object) -> None:
        self.sent.append(message)

    def barrier(self) -> None:
        self.sent.append("met")


def in_process_group(
    tiny_model: Path, cache: Path, size: int = 2, **settings: Any
) -> tuple[PipelineManager, RecordingGroup]:
    process_group = RecordingGroup(0, size, torch.device("cpu"), local_size=size)
    files = ModelFiles(prepare_model(tiny_model.as_posix()).folder)
    return PipelineManager(files, RuntimeConfig(device="cpu", **settings), cache, process_group), process_group


def test_process_group_loads_after_main_process_prepares(
    tiny_model: Path, tmp_path: Path, loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others load after the cast weights and the attention kernel are ready; the plan is for two processes."""
    pipeline_manager, process_group = in_process_group(
        tiny_model, tmp_path, profile="stream-disk", attention="auto", parallel="cfg"
    )
    real = pipeline_manager_module.transformer_folder
    monkeypatch.setattr(
        pipeline_manager_module, "transformer_folder", lambda *given: process_group.sent.append(real(*given).name)
    )
    monkeypatch.setattr(machine_module, "free_ram_gib", lambda: 64.0)
    told: list[Message] = []
    pipeline_manager.ready(SIZE, told.append)
    copied, order, met = process_group.sent
    assert isinstance(order, LoadCommand) and (copied, met) == ("transformer-float32", "met")
    assert order.runtime_config.attention == "native" and told[-1].text.startswith("attention is computed by native")
    assert loaded == ["stream-disk"] and "of 32.0 GiB of memory" in told[0].text
    pipeline_manager.record(2.0)
    assert StepTimeLog(tmp_path / STEP_TIME_LOG).runs()[-1].key.processes == 2


@pytest.mark.parametrize(
    ("size", "settings", "message"),
    [
        (3, {"parallel": "context"}, "3 processes cannot share 4 attention heads"),
        (2, {"parallel": "context"}, "on GPUs only"),
        (3, {"parallel": "auto", "cache": "first-block"}, "does not go with FirstBlockCache"),
        (2, {"parallel": "cfg", "attention": "flash"}, "needs flash-attn"),
        (2, {"parallel": "cfg", "compile": True, "profile": "fp8"}, "the profile fp8 does not go with --compile"),
    ],
)
def test_refused_job_is_not_broadcast(
    tiny_model: Path, tmp_path: Path, loaded: list[str], size: int, settings: dict[str, Any], message: str
) -> None:
    wanted = replace(SIZE, sampling=replace(SIZE.sampling, step_cache=settings.pop("cache", "none")))
    pipeline_manager, process_group = in_process_group(tiny_model, tmp_path, size, **settings)
    with pytest.raises(RequestError, match=message):
        pipeline_manager.ready(wanted, lambda _: None)
    assert not process_group.sent and not loaded


def test_invalid_lora_is_refused_before_broadcast(tiny_model: Path, tmp_path: Path) -> None:
    pipeline_manager, process_group = in_process_group(tiny_model, tmp_path, parallel="cfg")
    pipeline_manager.ready(SIZE, lambda _: None)
    process_group.sent.clear()
    lora = tmp_path / "lora.safetensors"
    lora.write_text("none")
    with pytest.raises(WeightsError, match="cannot be read"):
        next(sample_video(pipeline_manager, replace(job(), lora=lora), lambda *_: None, lambda _: None, CancelToken()))
    assert not process_group.sent


def test_process_group_uses_attention_kernel_of_main_process(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        loading,
        "resolve_attention",
        lambda *_: AttentionChoice("native", ("attention flash is not used: wrong results",)),
    )
    files, flash = (
        ModelFiles(prepare_model(tiny_model.as_posix()).folder),
        RuntimeConfig(device="cpu", attention="flash"),
    )
    with pytest.raises(RequestError, match="rank 0 computes attention by flash.* wrong results"):
        loading.load_pipeline(
            files, flash, get_profile("resident"), tmp_path, RecordingGroup(1, 2, torch.device("cpu"))
        )
