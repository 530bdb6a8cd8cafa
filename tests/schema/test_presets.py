"""The presets Draft, Balanced, Faithful: their values, their descriptions, and that they render."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.images.images import load_photo
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.cast import BuiltinSource, Role
from fantasyportrait.schema.presets import PRESETS, get_preset, match_preset
from fantasyportrait.schema.request import AnimationRequest, from_json
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.service.animator import Animator
from tests.conftest import Inputs

Job = Callable[..., AnimationRequest]


@pytest.mark.parametrize(("name", "passes"), [("draft", 6), ("balanced", 32), ("faithful", 60)])
def test_preset_tradeoff_states_its_passes(name: str, passes: int) -> None:
    preset = get_preset(name)
    assert preset.passes == passes
    assert f"{passes} passes" in preset.tradeoff or passes == 2 * preset.sampling.num_inference_steps


def test_preset_is_recognized_by_its_values() -> None:
    own = Sampling("wan-480p", seed=9, prompt="a choir", face_mask="head", batch_passes=True)
    for preset in PRESETS:
        made = replace(own, **preset.changes)
        assert match_preset(made) == preset.name
        assert (made.seed, made.prompt, made.face_mask, made.batch_passes) == (9, "a choir", "head", True)
        assert match_preset(replace(made, num_inference_steps=made.num_inference_steps + 1)) is None
    assert match_preset(Sampling()) == "faithful"
    assert match_preset(Sampling(cache_threshold=0.3)) == "faithful", "no cache, so its threshold means nothing"
    assert (
        match_preset(
            replace(
                Sampling(),
                **get_preset("balanced").changes,
            )
        )
        == "balanced"
    )
    assert match_preset(replace(Sampling(), **{**get_preset("balanced").changes, "cache_threshold": 0.3})) is None


def test_request_without_preset_fields_loads_old_sampling() -> None:
    """A request that was saved before presets existed samples as before."""
    request = AnimationRequest(Path("photo.png"), (Role(1, BuiltinSource("nod")),), engine="wan")
    data = json.loads(request.to_json())
    for name in ("lora", "step_cache", "cache_threshold"):
        del data["sampling"][name]
    data["sampling"]["batch_passes"] = False
    old = from_json(json.dumps(data)).sampling
    assert old == Sampling(batch_passes=False) and match_preset(old) == "faithful"
    assert from_json(request.to_json()).sampling == Sampling()


@pytest.fixture(scope="module")
def animator(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Animator:
    return Animator(cache_dir=tmp_path_factory.mktemp("presets-cache"), runtime_config=RuntimeConfig(device="cpu"))


@pytest.fixture
def job(inputs: Inputs, tiny_model: Path) -> Job:
    """One face of five frames that nods."""

    def make(**changes: object) -> AnimationRequest:
        sampling = Sampling(**{"model": tiny_model.as_posix(), **changes})
        return AnimationRequest(
            inputs.photo, (Role(1, BuiltinSource("nod")),), engine="wan", duration=0.2, max_side=96,
            side_by_side=False, sampling=sampling,
        )  # fmt: skip

    return make


def frames(animator: Animator, request: AnimationRequest, place: Path) -> list[bytes]:
    animator.animate(request, place)
    return [load_photo(picture).pixels.tobytes() for picture in sorted(place.iterdir()) if picture.suffix == ".png"]


def test_preset_renders_with_stated_passes(
    animator: Animator, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the stated number of passes; LoRA and step cache of one preset do not affect the next."""
    calls: list[int] = []
    real = FantasyPortraitPipeline.denoise

    def count(self: FantasyPortraitPipeline, *args: object, **given: object) -> object:
        hook = self.transformer.register_forward_hook(lambda *_: calls.append(1))
        try:
            return real(self, *args, **given)
        finally:
            hook.remove()

    monkeypatch.setattr(FantasyPortraitPipeline, "denoise", count)
    made = {}
    for turn, name in enumerate(("faithful", "draft", "balanced", "draft", "faithful")):
        preset = get_preset(name)
        calls.clear()
        video = frames(animator, job(batch_passes=False, **preset.changes), tmp_path / str(turn))
        assert len(calls) == preset.passes and len(video) == 5
        assert made.setdefault(name, video) == video
    assert len({video[-1] for video in made.values()}) == len(PRESETS)
    without = job(**{**get_preset("draft").changes, "lora": "none"})
    assert frames(animator, without, tmp_path / "without") != made["draft"]


def test_missing_lora_is_refused_early(animator: Animator, job: Job, tmp_path: Path) -> None:
    """The error comes before any slow work."""
    seen: list[object] = []
    folder = tmp_path / "model"
    shutil.copytree(job().sampling.model, folder, ignore=shutil.ignore_patterns("lora", "assembled-*"))
    with pytest.raises(WeightsError, match="weights fetch lightx2v"):
        animator.animate(job(model=folder.as_posix(), lora="lightx2v"), tmp_path / "out.mp4", on_event=seen.append)
    assert not seen
