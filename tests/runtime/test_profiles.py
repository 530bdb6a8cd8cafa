"""The profiles on real classes at tiny size: dtypes of the weights, and that each renders a video."""

import shutil
from pathlib import Path

import bitsandbytes
import numpy as np
import pytest
import torch
from diffusers.quantizers.bitsandbytes.bnb_quantizer import BnB4BitDiffusersQuantizer

from fantasyportrait.core.errors import DependencyError, OutputError
from fantasyportrait.core.locked_folder import WORK_PREFIX
from fantasyportrait.engines.wan_model import prepare_model
from fantasyportrait.pipelines.cast_weights import cast_folder
from fantasyportrait.pipelines.loading import ModelFiles, load_pipeline
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.runtime import quantization
from fantasyportrait.runtime.profiles import PROFILES, get_profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.events import Message
from fantasyportrait.schema.sampling import Sampling
from tests.pipelines.conftest import FaceMap, driven, image, two_places

__all__ = ["image", "two_places"]  # fixtures

HALF = RuntimeConfig(device="cpu", precision="bfloat16")
KEPT = ("to_k_motion", "to_v_motion", "proj_out", "time_embedder", "time_proj", "text_embedder", "image_embedder")


@pytest.fixture(scope="module")
def files(tiny_model: Path) -> ModelFiles:
    return ModelFiles(prepare_model(tiny_model.as_posix()).folder)


def load(files: ModelFiles, name: str, cache: Path) -> FantasyPortraitPipeline:
    return load_pipeline(files, HALF, get_profile(name), cache)


def latents(pipeline: FantasyPortraitPipeline, image: np.ndarray, places: torch.Tensor) -> torch.Tensor:
    faces, sampling = [driven(1, 5), driven(2, 5)], Sampling(num_inference_steps=2)
    return pipeline(image, faces, places, num_frames=5, sampling=sampling, output_type="latent").frames


@pytest.fixture
def without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers refuses bitsandbytes where there is no GPU, although its layers compute on a CPU too."""
    monkeypatch.setattr(BnB4BitDiffusersQuantizer, "validate_environment", lambda *_, **__: None)


@pytest.mark.parametrize(
    ("name", "farthest"),
    [("model-offload", 0.0), ("stream", 0.0), ("stream-disk", 1e-5), ("fp8", 0.05), ("int8", 0.02), ("nf4", 0.1)],
)
@pytest.mark.usefixtures("without_a_gpu")
def test_profile_renders_video(
    files: ModelFiles, image: np.ndarray, two_places: FaceMap, tmp_path: Path, name: str, farthest: float
) -> None:
    expected = latents(load(files, "resident", tmp_path), image, two_places)
    pipeline = load(files, name, tmp_path)
    found = latents(pipeline, image, two_places)
    assert (found - expected).abs().mean() <= farthest
    assert torch.equal(found, expected) or not get_profile(name).exact or name == "stream-disk"
    assert not [key for key, weight in pipeline.transformer.named_parameters() if weight.is_meta]


@pytest.mark.parametrize("name", ["fp8", "int8", "nf4"])
@pytest.mark.usefixtures("without_a_gpu")
def test_quantization_covers_block_matrices_only(files: ModelFiles, tmp_path: Path, name: str) -> None:
    transformer = load(files, name, tmp_path).transformer
    fewer, whole = set(), set()
    for key, layer in transformer.named_modules():
        if isinstance(layer, torch.nn.Linear):
            weight = layer.weight
            narrow = (
                weight.dtype == torch.float8_e4m3fn
                or type(weight.data).__name__ == "Int8Tensor"
                or isinstance(layer, bitsandbytes.nn.Linear4bit)
            )
            (fewer if narrow else whole).add(key)
    assert all(key.startswith("blocks.") for key in fewer) and len(fewer) == 2 * 12
    assert all(any(kept in key for kept in KEPT) for key in whole)


def test_nf4_is_quantized_on_onload_device(files: ModelFiles) -> None:
    arguments = quantization.pretrained_kwargs(get_profile("nf4"), torch.bfloat16, torch.device("meta"))
    config = arguments["quantization_config"]
    assert arguments["device_map"] == {"": torch.device("meta")}
    assert (config.load_in_4bit, config.bnb_4bit_quant_type, config.bnb_4bit_compute_dtype) == (
        True, "nf4", torch.bfloat16,
    )  # fmt: skip


def test_profile_names_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchao", None)
    with pytest.raises(DependencyError, match=r"profile int8.*\[int8\]"):
        quantization.pretrained_kwargs(get_profile("int8"), torch.bfloat16, torch.device("cpu"))


def test_cast_weights_equal_loaded_weights_and_are_cached(files: ModelFiles, tmp_path: Path) -> None:
    """Cast weights are written shard by shard, each tensor in the dtype that loading would give it."""
    messages: list[Message] = []
    shutil.rmtree(files.folder / "transformer-bfloat16", ignore_errors=True)
    for _ in range(2):
        half = cast_folder(files.folder / "transformer", torch.bfloat16, messages.append)
    assert len(messages) == 1 and "written once more beside the model" in messages[0].text
    times = {path: path.stat().st_mtime_ns for path in half.iterdir()}
    mapped, plain = load(files, "stream-disk", tmp_path).transformer, load(files, "resident", tmp_path).transformer
    assert {path: path.stat().st_mtime_ns for path in half.iterdir()} == times
    for (key, found), (same, expected) in zip(mapped.named_parameters(), plain.named_parameters(), strict=True):
        assert key == same and found.dtype == expected.dtype and torch.equal(found, expected)
    # Nothing is a copy in memory: the numbers lie in the files' own pages.
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert all(path.name in maps.read_text() for path in half.glob("*.safetensors"))


def test_cast_weights_report_full_disk(tmp_path: Path, files: ModelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fantasyportrait.pipelines.cast_weights.save_file", full)
    with pytest.raises(OutputError, match=r"No space left.*choose another profile"):
        cast_folder(files.folder / "transformer", torch.float16, lambda _: None)
    assert not [path for path in files.folder.iterdir() if path.name.startswith(WORK_PREFIX)]


def test_profile_names_and_descending_gpu_sizes() -> None:
    assert [profile.name for profile in PROFILES] == [
        "resident", "model-offload", "fp8", "int8", "nf4", "gguf-q8", "gguf-q4", "stream", "stream-disk", "sequential",
    ]  # fmt: skip
    assert PROFILES[0].gpu_gib == (80,) and PROFILES[-1].gpu_gib == (6,)
