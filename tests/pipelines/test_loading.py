"""Loading a pipeline from a folder: assembled, quantized, by `from_pretrained`; and prompt embeds."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanImageToVideoPipeline
from safetensors.torch import load_file, save_file
from transformers import UMT5EncoderModel

import fantasyportrait
from fantasyportrait.core.errors import WeightsError
from fantasyportrait.engines.wan_model import WanModel, prepare_model
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from fantasyportrait.pipelines.gguf_transformer import MOTION_ATTENTION
from fantasyportrait.pipelines.loading import ModelFiles, load_pipeline
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.prompt_encoder import PromptEncoder
from fantasyportrait.runtime.profiles import get_profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.sampling import Sampling
from tests.factories_gguf import write_gguf
from tests.pipelines.conftest import FaceMap, driven

CPU = RuntimeConfig(device="cpu")
RESIDENT = get_profile("resident")


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> WanModel:
    return prepare_model(tiny_model.as_posix())


def latents(pipeline: FantasyPortraitPipeline, image: np.ndarray, places: torch.Tensor) -> torch.Tensor:
    faces, sampling = [driven(1, 5), driven(2, 5)], Sampling(num_inference_steps=2)
    return pipeline(image, faces, places, num_frames=5, sampling=sampling, output_type="latent").frames


def test_load_assembled_folder(model: WanModel, tmp_path: Path) -> None:
    pipeline = load_pipeline(ModelFiles(model.folder), CPU, RESIDENT, tmp_path)
    assert pipeline.text_encoder is None and pipeline.encode_prompt("").shape == (1, 512, 32)
    assert not [name for name, weight in pipeline.transformer.named_parameters() if weight.is_meta]
    attention = load_file(model.folder / "transformer" / MOTION_ATTENTION)
    assert len(attention) == 2 * len(pipeline.transformer.blocks)
    for key, weight in attention.items():
        assert torch.equal(pipeline.transformer.state_dict()[key], weight), key
    assert {weight.dtype for weight in pipeline.vae.parameters()} == {torch.float32}
    assert pipeline.scheduler.config.shift == 5.0


def test_precision_applies_to_transformer_only(
    model: WanModel, image: np.ndarray, two_places: FaceMap, tmp_path: Path
) -> None:
    pipeline = load_pipeline(
        ModelFiles(model.folder), RuntimeConfig(device="cpu", precision="bfloat16"), RESIDENT, tmp_path
    )
    assert pipeline.transformer.blocks[0].attn2.to_k_motion.weight.dtype == torch.bfloat16
    for part in (pipeline.vae, pipeline.image_encoder, pipeline.motion_adapter):
        assert {weight.dtype for weight in part.parameters()} == {torch.float32}
    exact = latents(load_pipeline(ModelFiles(model.folder), CPU, RESIDENT, tmp_path), image, two_places)
    rough = latents(pipeline, image, two_places)
    assert rough.dtype == torch.float32, "latents stay in float32"
    assert 0 < (rough - exact).abs().mean() < 0.05


def test_from_pretrained_save_round_trip(
    model: WanModel, image: np.ndarray, two_places: FaceMap, tmp_path: Path
) -> None:
    """The package exports its classes under the names that diffusers looks up."""
    loaded = fantasyportrait.FantasyPortraitPipeline.from_pretrained(model.folder)
    loaded.set_progress_bar_config(disable=True)
    expected = latents(loaded, image, two_places)
    loaded.save_pretrained(tmp_path)
    again = fantasyportrait.FantasyPortraitPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    torch.testing.assert_close(latents(again, image, two_places), expected, atol=1e-4, rtol=0)
    with pytest.raises(AttributeError, match="no attribute"):
        fantasyportrait.Nothing  # noqa: B018


def test_load_gguf_transformer(model: WanModel, image: np.ndarray, two_places: FaceMap, tmp_path: Path) -> None:
    """GGUF in original Wan names; motion attention stays as it is, nothing is left on the meta device."""
    plain = load_pipeline(ModelFiles(model.folder), CPU, RESIDENT, tmp_path)
    state = plain.transformer.state_dict()
    gguf = write_gguf(state, len(plain.transformer.blocks), tmp_path / "wan.gguf")
    quantized = load_pipeline(ModelFiles(model.folder, gguf), CPU, get_profile("gguf-q8"), tmp_path)
    attention = quantized.transformer.blocks[0].attn2
    assert type(quantized.transformer) is FantasyPortraitTransformer3DModel
    assert type(attention.to_q).__name__ == "GGUFLinear" and attention.to_k_motion.weight.dtype == torch.float32
    assert torch.equal(attention.to_k_motion.weight, state["blocks.0.attn2.to_k_motion.weight"])
    assert not [name for name, weight in quantized.transformer.named_parameters() if weight.is_meta]
    difference = latents(quantized, image, two_places) - latents(plain, image, two_places)
    assert 0 < difference.abs().mean() < 0.05


def test_load_lora_in_original_wan_names(
    model: WanModel, image: np.ndarray, two_places: FaceMap, tmp_path: Path
) -> None:
    """Original Wan names, as lightx2v's file has them; switching it off gives the old numbers back."""
    pipeline = load_pipeline(ModelFiles(model.folder), CPU, RESIDENT, tmp_path)
    before = latents(pipeline, image, two_places)
    generator = torch.Generator().manual_seed(0)
    lora = {}
    for block in range(2):
        for layer in ("self_attn.q", "self_attn.o", "cross_attn.k", "ffn.0"):
            outs, ins = {"ffn.0": (128, 64)}.get(layer, (64, 64))
            name = f"diffusion_model.blocks.{block}.{layer}"
            lora[f"{name}.lora_down.weight"] = torch.randn(4, ins, generator=generator)
            lora[f"{name}.lora_up.weight"] = torch.randn(outs, 4, generator=generator)
    save_file(lora, tmp_path / "lora.safetensors")
    pipeline.load_lora_weights(tmp_path / "lora.safetensors", adapter_name="distilled")
    assert (latents(pipeline, image, two_places) - before).abs().max() > 1e-3
    pipeline.set_adapters("distilled", 0.0)
    torch.testing.assert_close(latents(pipeline, image, two_places), before, atol=1e-4, rtol=0)


def test_load_gguf_reports_mismatched_tensors(model: WanModel, tmp_path: Path) -> None:
    """A missing, an extra and a misshapen tensor are named, before anything is built."""
    state = dict(load_pipeline(ModelFiles(model.folder), CPU, RESIDENT, tmp_path).transformer.state_dict())
    third = {key.replace("blocks.1.", "blocks.2."): value for key, value in state.items()}
    cases = {
        "missing: blocks.1.": write_gguf(state, 1, tmp_path / "short.gguf"),
        "of another shape: proj_out.weight": write_gguf(
            {**state, "proj_out.weight": torch.zeros(32, 64)}, 2, tmp_path / "narrow.gguf"
        ),
        "unexpected: blocks.2.": write_gguf(state | third, 3, tmp_path / "long.gguf"),
    }
    for words, path in cases.items():
        with pytest.raises(WeightsError, match=words.replace(".", r"\.")):
            load_pipeline(ModelFiles(model.folder, path), CPU, get_profile("gguf-q8"), tmp_path)


@pytest.fixture
def rows(base_folder: Path, tmp_path: Path) -> PromptEncoder:
    return PromptEncoder(base_folder / "text_encoder", base_folder / "tokenizer", tmp_path)


@torch.no_grad()
@pytest.mark.parametrize(("prompt", "count"), [("", 1), ("people talk and smile", 5), ("  people  ", 2)])
def test_prompt_embeds_equal_stock_pipeline(base_folder: Path, rows: PromptEncoder, prompt: str, count: int) -> None:
    """The prompt embeds of the stock pipeline without padding, to the precision of bfloat16."""
    found = rows(prompt)
    stock = WanImageToVideoPipeline.from_pretrained(base_folder)
    stock.text_encoder.to(torch.bfloat16)
    states = stock._get_t5_prompt_embeds(prompt, max_sequence_length=512)[0].float()
    assert found.shape == (count, 32) and found.dtype == torch.float32
    torch.testing.assert_close(found, states[:count], atol=0.03, rtol=0.03)
    assert not states[count:].any()


def test_prompt_is_cleaned_and_truncated(rows: PromptEncoder) -> None:
    """As the stock pipeline does: entities and doubled spaces, and no more rows than the transformer takes."""
    assert torch.equal(rows("people&nbsp;  talk"), rows("people talk"))
    assert rows("people " * 700).shape == (512, 32)


def test_prompt_embeds_are_cached(rows: PromptEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rows("")

    def never(*_: object, **__: object) -> Callable[..., object]:
        raise AssertionError("the text encoder was loaded again")

    monkeypatch.setattr(UMT5EncoderModel, "from_pretrained", never)
    assert torch.equal(rows(""), first)
    with pytest.raises(WeightsError, match="was loaded again"):
        rows("another prompt")


@pytest.mark.parametrize("name", ["text_encoder/model.safetensors", "tokenizer/tokenizer.json"])
def test_prompt_embeds_refuse_damaged_encoder_files(base_folder: Path, tmp_path: Path, name: str) -> None:
    base = tmp_path / "base"
    shutil.copytree(base_folder, base)
    rows = PromptEncoder(base / "text_encoder", base / "tokenizer", tmp_path)
    rows("people talk")
    size = (base / name).stat().st_size
    (base / name).write_bytes(b"x" * size)
    with pytest.raises(WeightsError, match="fetch the base model again"):
        rows("people talk")


def test_prompt_embeds_load_encoder_layer_by_layer(rows: PromptEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer is on the meta device except while it runs."""
    held: list[float] = []
    real, linear = UMT5EncoderModel.from_pretrained, torch.nn.functional.linear
    models = []

    def loaded(*args: object, **kwargs: object) -> UMT5EncoderModel:
        models.append(real(*args, **kwargs))
        return models[-1]

    def count(*args: object) -> torch.Tensor:
        weights = list(models[-1].parameters())
        held.append(sum(w.nbytes for w in weights if not w.is_meta) / sum(w.nbytes for w in weights))
        return linear(*args)

    monkeypatch.setattr(UMT5EncoderModel, "from_pretrained", loaded)
    monkeypatch.setattr(torch.nn.functional, "linear", count)
    rows("")
    assert held and max(held) < 0.25


def test_missing_text_encoder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="even the empty prompt needs them once"):
        PromptEncoder(tmp_path, tmp_path, tmp_path / "cache")("")
