"""The features of diffusers' transformers work with ours, motion included."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import (
    FirstBlockCacheConfig,
    MagCacheConfig,
    TaylorSeerCacheConfig,
)
from diffusers.hooks import apply_group_offloading
from peft import LoraConfig

from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel
from tests.models.factories import tiny_inputs, tiny_labels, tiny_motion, tiny_transformer
from tests.models.test_motion_attention import key_mask

Model = FantasyPortraitTransformer3DModel


@pytest.fixture
def model() -> Model:
    return tiny_transformer()


def arguments(batch: int = 1) -> dict[str, torch.Tensor]:
    """Two faces with a mask."""
    return {
        **tiny_inputs(batch),
        "motion_hidden_states": tiny_motion(2).expand(batch, -1, -1, -1),
        "motion_attention_mask": key_mask(tiny_labels(2), [1, 2]),
        "motion_scale": torch.ones(batch),
    }


@torch.no_grad()
def output(model: Model, **changes: torch.Tensor) -> torch.Tensor:
    return model(**{**arguments(), **changes}).sample


def test_transformer_save_and_load(model: Model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    again = Model.from_pretrained(tmp_path)
    assert again.config.num_layers == len(again.blocks) == 2
    assert all(torch.equal(weight, again.state_dict()[key]) for key, weight in model.state_dict().items())
    torch.testing.assert_close(output(again), output(model), atol=1e-5, rtol=1e-5)  # memory is aligned otherwise


def test_gradient_checkpointing_gives_same_gradients(model: Model) -> None:
    checked = copy.deepcopy(model)
    checked.enable_gradient_checkpointing()
    for each in (model, checked):
        each.train()
        each(**arguments()).sample.square().mean().backward()
    for (name, plain), (_, other) in zip(model.named_parameters(), checked.named_parameters(), strict=True):
        torch.testing.assert_close(plain.grad, other.grad, msg=lambda text, name=name: f"{name}: {text}")
    assert model.blocks[0].attn2.to_v_motion.weight.grad.abs().max() > 0


def test_repeated_blocks_compile_into_one_graph(model: Model) -> None:
    expected = output(model)
    model.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(output(model), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("way", ["block_level", "leaf_level"])
def test_group_offload_gives_same_output(model: Model, way: str) -> None:
    expected = output(model)
    blocks = {"num_blocks_per_group": 1} if way == "block_level" else {}
    apply_group_offloading(model, onload_device=torch.device("cpu"), offload_type=way, **blocks)
    assert torch.equal(output(model), expected)


def test_group_offload_to_disk_gives_same_output(model: Model, tmp_path: Path) -> None:
    expected = output(model)
    apply_group_offloading(
        model,
        onload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        offload_to_disk_path=str(tmp_path),
    )
    torch.testing.assert_close(output(model), expected, atol=1e-5, rtol=1e-5)  # memory is aligned otherwise
    assert any(tmp_path.iterdir())


def test_layerwise_casting_skips_motion_projections(model: Model) -> None:
    expected = output(model)
    model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    kept = {name for name, weight in model.named_parameters() if weight.dtype == torch.float32}
    assert {"blocks.0.attn2.to_k_motion.weight", "blocks.1.attn2.to_v_motion.weight"} <= kept
    assert model.blocks[0].attn2.to_q.weight.dtype == torch.float8_e4m3fn
    difference = output(model) - expected
    assert 0 < difference.abs().mean() < 0.2 * expected.abs().mean()


def test_lora_targets_motion_and_text_attention(model: Model) -> None:
    before = output(model)
    model.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v_motion"], init_lora_weights=False))
    changed = output(model)
    assert (changed != before).any(dim=1).all()
    model.disable_adapters()
    assert torch.equal(output(model), before)
    model.enable_adapters()
    model.fuse_lora()
    torch.testing.assert_close(output(model), changed, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        lambda: FirstBlockCacheConfig(threshold=10.0),
        lambda: MagCacheConfig(num_inference_steps=4, mag_ratios=[1.0] * 4, threshold=10.0, max_skip_steps=2),
    ],
    ids=["first block", "magnitude"],
)
def test_step_caches_skip_blocks(model: Model, config: Callable[[], object]) -> None:
    """With a wide threshold the last block does not run in every step; each pass has a context of its own."""
    model.enable_cache(config())
    runs = []
    model.blocks[-1].attn2.register_forward_hook(lambda *_: runs.append(1))
    for step in range(4):
        for name in ("motion-prompt-0", "still-prompt-0"):
            with model.cache_context(name):
                assert torch.isfinite(output(model, timestep=torch.tensor([900.0 - 100 * step]))).all()
    assert 2 <= len(runs) < 8


def test_taylorseer_without_identifiers_is_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="cache_identifiers"):
        model.enable_cache(TaylorSeerCacheConfig())
