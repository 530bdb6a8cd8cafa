"""The step-distilled LoRA and the step cache: what they change, what they skip, and that they are removed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from diffusers.hooks import HookRegistry
from diffusers.hooks.group_offloading import LayerExecutionTrackerHook, ModuleGroup
from diffusers.quantizers.bitsandbytes.bnb_quantizer import BnB4BitDiffusersQuantizer
from numpy.typing import NDArray
from safetensors.torch import save_file

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, WeightsError
from fantasyportrait.engines.wan_model import prepare_model
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.loading import ModelFiles, load_pipeline
from fantasyportrait.pipelines.lora_step_cache import set_lora, set_step_cache
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline, StepCallback
from fantasyportrait.runtime.profiles import get_profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.testing.tiny import tiny_lora
from tests.factories_gguf import write_gguf
from tests.pipelines.conftest import FaceMap, driven

Pixels = NDArray[np.uint8]
Latents = Callable[..., torch.Tensor]
PROFILES = ("resident", "model-offload", "stream", "stream-disk", "sequential", "fp8", "int8", "nf4", "gguf-q8")
NAMES = {"self_attn": "attn1", "cross_attn": "attn2", "ffn.0": "ffn.net.0.proj", "ffn.2": "ffn.net.2"}
LAYERS = {"q": "to_q", "k": "to_k", "v": "to_v", "o": "to_out.0", "k_img": "add_k_proj", "v_img": "add_v_proj"}


@pytest.fixture(scope="module")
def folder(tiny_model: Path) -> Path:
    return prepare_model(tiny_model.as_posix()).folder


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lora") / "tiny.safetensors"
    save_file(tiny_lora(), path)
    return path


@pytest.fixture
def latents(image: Pixels, two_places: FaceMap) -> Latents:
    """What three steps make of two driven faces, two passes each, in a picture of half the size."""
    small, places = image[::2, ::2], two_places[::2, ::2]

    def run(
        pipeline: FantasyPortraitPipeline,
        frames: int = 5,
        cancel: CancelToken | None = None,
        callback: StepCallback | None = None,
        **options: Any,
    ) -> torch.Tensor:
        faces, sampling = [driven(1, frames), driven(2, frames)], Sampling(num_inference_steps=3, **options)
        given = {"cancel": cancel, "callback_on_step_end": callback, "output_type": "latent"}
        return pipeline(small, faces, places, frames, sampling, **given).frames

    return run


def load(folder: Path, cache: Path, name: str = "resident", precision: str = "float32") -> FantasyPortraitPipeline:
    """A pipeline loaded with the profile, on the CPU."""
    runtime_config = RuntimeConfig(device="cpu", precision=precision)
    if name == "sequential":
        pipeline = load_pipeline(ModelFiles(folder), runtime_config, get_profile("resident"), cache)
        cpu_offload(pipeline.transformer, torch.device("cpu"), offload_buffers=True)
        return pipeline
    gguf = None
    if name.startswith("gguf"):
        state = load(folder, cache).transformer.state_dict()
        gguf = write_gguf(state, 2, cache / "tiny.gguf")
    return load_pipeline(ModelFiles(folder, gguf), runtime_config, get_profile(name), cache)


def add_by_hand(transformer: FantasyPortraitTransformer3DModel, tensors: dict[str, torch.Tensor]) -> None:
    """W + up down, and the difference of the bias."""
    for key, down in tensors.items():
        name = key.removeprefix("diffusion_model.").removesuffix(".lora_down.weight")
        if name == key.removeprefix("diffusion_model."):
            continue
        block, rest = name[: len("blocks.0")], name[len("blocks.0.") :]
        kind, _, layer = rest.partition(".")
        place = NAMES[rest] if kind == "ffn" else f"{NAMES[kind]}.{LAYERS[layer]}"
        linear = transformer.get_submodule(f"{block}.{place}")
        linear.weight.data += tensors[f"diffusion_model.{name}.lora_up.weight"] @ down
        linear.bias.data += tensors[f"diffusion_model.{name}.diff_b"]


def test_lora_adds_matrices_and_biases(folder: Path, lora: Path, latents: Latents, tmp_path: Path) -> None:
    pipeline, by_hand = load(folder, tmp_path), load(folder, tmp_path)
    add_by_hand(by_hand.transformer, tiny_lora())
    plain = latents(pipeline)
    set_lora(pipeline, lora)
    torch.testing.assert_close(latents(pipeline), latents(by_hand), atol=1e-4, rtol=0)
    set_lora(pipeline, None)
    assert torch.equal(latents(pipeline), plain)


@pytest.mark.parametrize("name", PROFILES)
def test_lora_works_with_every_profile(
    folder: Path, lora: Path, latents: Latents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With any dtype and offload mode a LoRA acts as on plain weights; switched off, it leaves no trace."""
    # diffusers refuses bitsandbytes without a GPU; its layers compute on a CPU too.
    monkeypatch.setattr(BnB4BitDiffusersQuantizer, "validate_environment", lambda *_, **__: None)
    exact = load(folder, tmp_path)
    plain = latents(exact)
    set_lora(exact, lora)
    effect = latents(exact) - plain

    pipeline = load(folder, tmp_path, name, "bfloat16")
    # Before the first pass: on a CPU, bitsandbytes packs its weights then, and they can no longer be read unchanged.
    set_lora(pipeline, lora)
    set_lora(pipeline, None)
    off = latents(pipeline)
    assert torch.equal(off, latents(load(folder, tmp_path, name, "bfloat16")))
    set_lora(pipeline, lora)
    on = latents(pipeline)
    assert (on - off - effect).abs().mean() < 0.1 * effect.abs().mean()
    matrices = [weight for key, weight in pipeline.transformer.named_parameters() if ".lora_" in key]
    assert {weight.dtype for weight in matrices} == {torch.bfloat16} and len(matrices) == 2 * 12 * 3
    set_step_cache(pipeline, "first-block", 1e-4)
    assert torch.equal(latents(pipeline), on)


def test_lora_is_loaded_once_and_replaced(
    folder: Path, lora: Path, latents: Latents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(tiny_lora(seed=1, rank=2), tmp_path / "other.safetensors")
    pipeline, other = load(folder, tmp_path), load(folder, tmp_path)
    set_lora(other, tmp_path / "other.safetensors")
    loads: list[str] = []
    real = FantasyPortraitTransformer3DModel.load_lora_adapter

    def count(self: FantasyPortraitTransformer3DModel, *args: object, adapter_name: str, **given: object) -> None:
        loads.append(adapter_name)
        real(self, *args, adapter_name=adapter_name, **given)

    monkeypatch.setattr(FantasyPortraitTransformer3DModel, "load_lora_adapter", count)
    for file in (lora, None, None, lora, lora):
        set_lora(pipeline, file)
    first = latents(pipeline)
    assert len(loads) == 1
    set_lora(pipeline, tmp_path / "other.safetensors")
    assert len(loads) == 2 and list(pipeline.transformer.peft_config) == loads[1:]
    assert torch.equal(latents(pipeline), latents(other)) and not torch.equal(latents(pipeline), first)


def test_mismatched_lora_changes_no_weight(folder: Path, lora: Path, latents: Latents, tmp_path: Path) -> None:
    key = "diffusion_model.blocks.1.ffn.0.lora_down.weight"
    tensors = tiny_lora()
    third = {name.replace("blocks.1.", "blocks.2."): tensor.clone() for name, tensor in tensors.items()}
    cases = {
        r"blocks\.1\.ffn\.net\.0\.proj\.lora_A\.weight of it is not": {**tensors, key: torch.zeros(4, 32)},
        r"blocks\.2\..* of it is not": {**tensors, **third},
        "cannot be read": {"diffusion_model.blocks.0.self_attn.tail.weight": torch.zeros(1)},
        "it has no tensors": {"diffusion_model.blocks.0.diff_m": torch.zeros(1)},
    }
    pipeline = load(folder, tmp_path)
    set_lora(pipeline, lora)
    on = latents(pipeline)
    for words, held in cases.items():
        save_file(held, tmp_path / "wrong.safetensors")
        with pytest.raises(WeightsError, match=words):
            set_lora(pipeline, tmp_path / "wrong.safetensors")
    (tmp_path / "wrong.safetensors").write_bytes(b"no tensors")
    for path in (tmp_path / "wrong.safetensors", tmp_path / "absent.safetensors"):
        with pytest.raises(WeightsError, match="cannot be read"):
            set_lora(pipeline, path)
    assert torch.equal(latents(pipeline), on)


def test_failed_lora_load_leaves_no_lora(
    folder: Path, lora: Path, latents: Latents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load(folder, tmp_path)
    plain = latents(pipeline)
    real, biases = torch.nn.Module.register_parameter, []

    def full(self: torch.nn.Module, name: str, value: torch.nn.Parameter | None) -> None:
        biases.extend([name] if name == "bias" and value is not None and not value.requires_grad else [])
        if len(biases) == 3:
            raise torch.OutOfMemoryError("injected")
        real(self, name, value)

    with monkeypatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
        patch.setattr(torch.nn.Module, "register_parameter", full)
        set_lora(pipeline, lora)
    assert torch.equal(latents(pipeline), plain) and not hasattr(pipeline.transformer, "peft_config")
    whole = load(folder, tmp_path)
    for each in (whole, pipeline):
        set_lora(each, lora)
    assert torch.equal(latents(pipeline), latents(whole)) and not torch.equal(latents(pipeline), plain)


def whole_passes(pipeline: FantasyPortraitPipeline) -> list[int]:
    """A list that gets an item whenever the last block runs."""
    calls: list[int] = []
    pipeline.transformer.blocks[-1].attn1.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("batch", [False, True])
def test_step_cache_skips_blocks_per_pass(folder: Path, latents: Latents, tmp_path: Path, batch: bool) -> None:
    """At the largest threshold each pass of each window is computed once, and never reuses that of another."""
    pipeline = load(folder, tmp_path)
    calls = whole_passes(pipeline)
    given = {"frames": 101, "max_window_frames": 81, "batch_passes": batch}
    plain = latents(pipeline, **given)
    windows, passes = 2, 1 if batch else 2
    assert len(calls) == 3 * windows * passes
    calls.clear()
    set_step_cache(pipeline, "first-block", 1.0)
    cached = latents(pipeline, **given)
    assert len(calls) == windows * passes and not torch.equal(cached, plain)
    set_step_cache(pipeline, "first-block", 1e-4)
    assert torch.equal(latents(pipeline, **given), plain), "nothing is left out where nothing is about the same"
    set_step_cache(pipeline, "none")
    assert torch.equal(latents(pipeline, **given), plain) and not pipeline.transformer.is_cache_enabled


def test_step_cache_is_reset_between_videos(folder: Path, latents: Latents, tmp_path: Path) -> None:
    """Also after a video that was cancelled."""
    pipeline = load(folder, tmp_path)
    set_step_cache(pipeline, "first-block", 1.0)
    calls = whole_passes(pipeline)
    first = latents(pipeline)
    assert torch.equal(latents(pipeline), first) and len(calls) == 2 + 2
    token = CancelToken()

    def stop(*_: object) -> dict[str, torch.Tensor]:
        token.cancel()
        return {}

    with pytest.raises(Cancelled):
        latents(pipeline, cancel=token, callback=stop)
    calls.clear()
    assert torch.equal(latents(pipeline), first) and len(calls) == 2


def test_step_cache_does_not_load_skipped_blocks(
    folder: Path, lora: Path, latents: Latents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where offload was set up again for a LoRA."""
    pipeline = load(folder, tmp_path, "stream")
    set_step_cache(pipeline, "first-block", 1.0)
    set_lora(pipeline, lora)
    set_step_cache(pipeline, "first-block", 1.0)
    last, brought = pipeline.transformer.blocks[-1], []
    real = ModuleGroup.onload_

    def count(self: ModuleGroup) -> None:
        brought.append(last in self.modules)
        real(self)

    monkeypatch.setattr(ModuleGroup, "onload_", count)
    latents(pipeline)
    assert sum(brought) == 2


def test_step_cache_wraps_streamed_blocks_after_first_pass(folder: Path, tmp_path: Path) -> None:
    """In the first pass diffusers removes the hooks that record the block order, and every wrapper around them."""
    pipeline = load(folder, tmp_path)
    first, noted = pipeline.transformer.blocks[0], []
    set_step_cache(pipeline, "first-block")
    passes: list[int] = []
    first.register_forward_pre_hook(lambda *_: passes.append(1))
    set_step_cache(pipeline, "first-block")
    assert not passes, "nothing is streamed"
    set_step_cache(pipeline, "none")
    for block in pipeline.transformer.blocks:
        registry = HookRegistry.check_if_exists_or_initialize(block)
        registry.register_hook(LayerExecutionTrackerHook(lambda: noted.append(1)), "layer_execution_tracker")
    set_step_cache(pipeline, "first-block")
    assert len(passes) == 1 and len(noted) == len(pipeline.transformer.blocks)
