"""The diffusion engine on ZeroGPU, with a stand-in for `spaces` that pickles what crosses, as its processes do."""

import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fantasyportrait.core.errors import Cancelled, DependencyError, RequestError, WeightsError
from fantasyportrait.engines.wan_engine import WanEngine
from fantasyportrait.faces.analyser import FaceAnalyser
from fantasyportrait.images.images import load_photo
from fantasyportrait.models.motion_encoder import CropEncoder
from fantasyportrait.pipelines import zero_gpu
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.prompt_encoder import PromptEncoder
from fantasyportrait.planning import planner
from fantasyportrait.planning.planner import Planner
from fantasyportrait.planning.throughput import ZERO_GPU_THROUGHPUT
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.runtime.zero_gpu import call_seconds
from fantasyportrait.schema import events
from fantasyportrait.schema.cast import ClipSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.service.animator import Animator
from tests.conftest import Inputs

CPU = RuntimeConfig(device="cpu")


@dataclass
class Spaces:
    """Records the calls that are wrapped by `spaces.GPU`, and raises `refusal` in their place."""

    calls: list[int] = field(default_factory=list)
    running: bool = False
    refusal: Exception | None = None

    def gpu(self, task: Callable[..., Iterator[Any]], *, duration: Callable[..., int]) -> Callable[..., Iterator[Any]]:
        def call(*arguments: Any) -> Iterator[Any]:
            self.calls.append(duration(*arguments))
            if self.refusal is not None:
                raise self.refusal
            self.running = True
            try:
                items = task(*pickle.loads(pickle.dumps(arguments)))
                try:
                    for item in items:
                        yield pickle.loads(pickle.dumps(item))
                finally:
                    items.close()  # type: ignore[attr-defined]
            finally:
                self.running = False

        return call


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Spaces:
    """A ZeroGPU Space, whose package `spaces` is the stand-in."""
    stand_in, module = Spaces(), ModuleType("spaces")
    module.GPU = stand_in.gpu  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spaces", module)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    # A slow machine would be refused: its estimate exceeds what ZeroGPU gives.
    monkeypatch.setattr(planner, "measure_throughput", lambda *given: ZERO_GPU_THROUGHPUT)
    return stand_in


@pytest.fixture
def request_for_pair(inputs: Inputs, tiny_model: Path) -> AnimationRequest:
    """Both people, five frames, two steps."""
    cast = (Role(1, ClipSource(inputs.talking)), Role(2, ClipSource(inputs.nodding_pair, person=2)))
    sampling = Sampling(model=tiny_model.as_posix(), num_inference_steps=2, seed=3)
    return AnimationRequest(
        inputs.pair, cast, sampling=sampling, duration=0.2, max_side=128, side_by_side=False, engine="wan"
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests: clips are tracked once."""
    return tmp_path_factory.mktemp("zero-gpu-cache")


def preloaded(cache: Path, tiny_model: Path) -> Animator:
    animator = Animator(cache_dir=cache, runtime_config=CPU)
    animator.preload(tiny_model.as_posix())
    return animator


def frames(animator: Animator, request: AnimationRequest, folder: Path) -> np.ndarray:
    video = animator.animate(request, folder).video
    return np.stack([load_photo(picture).pixels for picture in sorted(video.iterdir())])


def record(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, into: dict[str, set[bool]], spaces: Spaces) -> None:
    """Note whether a GPU call is under way whenever the method is called."""
    real = getattr(owner, name)

    def recorded(*arguments: Any, **options: Any) -> Any:
        into.setdefault(f"{owner.__name__}.{name}", set()).add(spaces.running)
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, recorded)


def test_only_the_diffusion_is_inside_the_gpu_call(
    spaces: Spaces,
    request_for_pair: AnimationRequest,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, set[bool]] = {}
    inside = [(FantasyPortraitPipeline, "__call__"), (FantasyPortraitPipeline, "decode")]
    outside = [
        (CropEncoder, "__call__"),
        (FaceAnalyser, "analyse"),
        (PromptEncoder, "_compute"),
        (Planner, "plan"),
    ]
    animator = preloaded(tmp_path, tiny_model)
    for owner, name in inside + outside:
        record(monkeypatch, owner, name, seen, spaces)
    frames(animator, request_for_pair, tmp_path / "frames")
    where = {(owner, name): seen.get(f"{owner.__name__}.{name}") for owner, name in inside + outside}
    assert where == {each: {True} for each in inside} | {each: {False} for each in outside}
    assert len(spaces.calls) == 1 and not spaces.running


def test_zero_gpu_makes_the_frames_of_a_usual_run(
    spaces: Spaces,
    request_for_pair: AnimationRequest,
    tiny_model: Path,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lent = frames(preloaded(cache, tiny_model), request_for_pair, tmp_path / "lent")
    monkeypatch.delenv("SPACES_ZERO_GPU")
    usual = Animator(cache_dir=cache, runtime_config=CPU)
    usual.preload("no such model: elsewhere nothing is loaded")
    np.testing.assert_array_equal(lent, frames(usual, request_for_pair, tmp_path / "usual"))
    assert len(spaces.calls) == 1


def test_gpu_time_follows_from_the_estimate(
    spaces: Spaces,
    request_for_pair: AnimationRequest,
    tiny_model: Path,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    animator, plan, seconds = preloaded(cache, tiny_model), Planner.plan_with, 20.0

    def estimated(self: Planner, *given: Any) -> Any:
        found = plan(self, *given)
        return replace(found, estimate=replace(found.estimate, total_s=seconds))

    monkeypatch.setattr(Planner, "plan_with", estimated)
    frames(animator, request_for_pair, tmp_path / "short")
    assert spaces.calls == [call_seconds(20.0)]
    seconds = 900.0
    with pytest.raises(RequestError, match="needs about 1370 s of GPU time.*choose the preset draft"):
        frames(animator, request_for_pair, tmp_path / "long")
    assert len(spaces.calls) == 1


def test_cancel_ends_the_gpu_call_after_a_step(
    spaces: Spaces, request_for_pair: AnimationRequest, tiny_model: Path, tmp_path: Path, cache: Path
) -> None:
    animator = preloaded(cache, tiny_model)
    running = animator.events(request_for_pair, tmp_path / "frames")
    for event in running:
        if isinstance(event, events.Step) and event.stage == "sample":
            running.close()
    assert len(spaces.calls) == 1 and not spaces.running and not (tmp_path / "frames").exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "fantasyportrait-zero-gpu"]


@pytest.mark.parametrize("error", [WeightsError("the LoRA does not fit the model"), Cancelled("stopped")])
def test_an_error_inside_the_call_keeps_its_sentence(
    spaces: Spaces,
    request_for_pair: AnimationRequest,
    tiny_model: Path,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def failing(*given: object) -> Iterator[np.ndarray]:
        raise error
        yield

    animator = preloaded(cache, tiny_model)
    monkeypatch.setattr(zero_gpu, "sample_video", failing)
    with pytest.raises(type(error), match=str(error)):
        frames(animator, request_for_pair, tmp_path / "frames")
    assert not spaces.running


def test_a_used_up_quota_is_a_request_error(
    spaces: Spaces, request_for_pair: AnimationRequest, tiny_model: Path, tmp_path: Path, cache: Path
) -> None:
    gradio = pytest.importorskip("gradio")
    animator = preloaded(cache, tiny_model)
    spaces.refusal = gradio.Error("60s requested vs. 10s left", title="ZeroGPU quota exceeded")
    with pytest.raises(RequestError, match="ZeroGPU quota exceeded: 60s requested vs. 10s left"):
        frames(animator, request_for_pair, tmp_path / "frames")


def test_a_bug_inside_the_call_stays_a_bug(
    spaces: Spaces, request_for_pair: AnimationRequest, tiny_model: Path, tmp_path: Path, cache: Path
) -> None:
    animator = preloaded(cache, tiny_model)
    spaces.refusal = KeyError("bug")
    with pytest.raises(KeyError, match="bug"):
        frames(animator, request_for_pair, tmp_path / "frames")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"duration": 6.0}, "lasts 6 s, and with wan at most 5 s"),
        ({"max_side": 1280}, "max_side is 1280, .*at most 832"),
    ],
)
def test_a_video_over_the_caps_is_refused(
    spaces: Spaces,
    request_for_pair: AnimationRequest,
    tiny_model: Path,
    tmp_path: Path,
    cache: Path,
    changes: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(RequestError, match=words):
        frames(preloaded(cache, tiny_model), replace(request_for_pair, **changes), tmp_path / "frames")
    assert not spaces.calls


def test_a_model_that_was_not_loaded_at_the_start_is_refused(
    spaces: Spaces, request_for_pair: AnimationRequest, tmp_path: Path, cache: Path
) -> None:
    with pytest.raises(RequestError, match="is not loaded, and a ZeroGPU Space loads one at its start"):
        frames(Animator(cache_dir=cache, runtime_config=CPU), request_for_pair, tmp_path / "frames")


def test_preload_names_the_missing_package(
    tiny_model: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spaces", None)
    monkeypatch.setenv("SPACES_ZERO_GPU", "1")
    with pytest.raises(DependencyError, match=r"the package spaces.*fantasyportrait\[zerogpu\]"):
        preloaded(cache, tiny_model)


def test_preload_needs_the_resident_profile(spaces: Spaces, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="the profile nf4 does not run on ZeroGPU"):
        Animator(cache_dir=tmp_path, runtime_config=replace(CPU, profile="nf4"))


def test_engine_decides_for_zero_gpu_when_it_is_made(spaces: Spaces, tmp_path: Path) -> None:
    engine = Animator(cache_dir=tmp_path, runtime_config=CPU).engine("wan")
    assert isinstance(engine, WanEngine) and engine._runtime_config.profile == "resident"
