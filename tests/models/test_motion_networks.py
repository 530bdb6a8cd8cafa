"""The motion adapter and the motion encoder: the paper's ablations, shapes, saving, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fantasyportrait.models.motion_adapter import MotionAdapter
from fantasyportrait.models.motion_encoder import CropEncoder, MotionEncoder
from fantasyportrait.models.shapes import adapter_shapes, encoder_shapes, full_config
from fantasyportrait.schema.motion_code import FEATURE_GROUPS
from fantasyportrait.testing.tiny import tiny_adapter, tiny_encoder

SMALL = {"motion_dim": 32, "dim": 32, "num_layers": 1, "num_heads": 2, "head_dim": 16}


@torch.no_grad()
@pytest.mark.parametrize(
    ("augmented", "tokens"),
    [((), 4), ((("mouth", 16), ("emotion", 4)), 24), (tuple((name, 4) for name in FEATURE_GROUPS), 20)],
    ids=["none", "emotion and mouth", "all"],
)
def test_adapter_config_sets_augmented_groups(
    augmented: tuple[tuple[str, int], ...], tokens: int, tmp_path: Path
) -> None:
    """The paper's ablations: a token for each group, and those that the augmented groups add."""
    model = MotionAdapter(augmented=augmented, **SMALL).eval()
    features = torch.randn(2, 9, 554)
    assert model.frame_tokens(features).shape == (2, 9, tokens, 32)
    windows = model(features)
    assert windows.shape == (2, 3, 4 * tokens + 1, 32) and model.window_tokens == 4 * tokens + 1
    assert len(model.token_groups) == tokens and list(model.resamplers) == [name for name, _ in augmented]
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(MotionAdapter.from_pretrained(tmp_path)(features), windows)


@torch.no_grad()
def test_adapter_group_changes_own_tokens_only() -> None:
    model = tiny_adapter()
    features = torch.randn(1, 5, 554)
    plain = model.frame_tokens(features)
    edges = {"head_pose": (0, 6), "eyes": (6, 12), "emotion": (12, 42), "mouth": (42, 554)}
    for name, (begin, end) in edges.items():
        changed = features.clone()
        changed[..., begin:end] += 1
        moved = (model.frame_tokens(changed) != plain).any(dim=-1)[0, 0].tolist()
        assert moved == [group == name for group in model.token_groups]


def test_adapter_refuses_unknown_group() -> None:
    with pytest.raises(ValueError, match="names 'nose'"):
        MotionAdapter(augmented=(("nose", 4),), **SMALL)
    with pytest.raises(ValueError, match="554 are needed"):
        tiny_adapter()(torch.zeros(1, 5, 500))
    with pytest.raises(ValueError, match="4 k \\+ 1"):
        tiny_adapter()(torch.zeros(1, 6, 554))


def test_motion_networks_stay_float32_in_half_precision(tmp_path: Path) -> None:
    for model, kind in ((tiny_adapter(), MotionAdapter), (tiny_encoder(), MotionEncoder)):
        model.save_pretrained(tmp_path)
        again = kind.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
        assert {weight.dtype for weight in again.parameters()} == {torch.float32}


def test_motion_encoder_batch_equals_single_crops(tmp_path: Path) -> None:
    """NumPy in, NumPy out; a batch equals single crops."""
    model = tiny_encoder()
    model.save_pretrained(tmp_path)
    encode = CropEncoder(tmp_path)
    crops = np.random.default_rng(0).uniform(-1, 1, (3, 3, 224, 224)).astype(np.float32)
    features = encode(crops)
    assert features.shape == (3, 554) and features.dtype == np.float32
    for crop, row in zip(crops, features, strict=True):
        np.testing.assert_allclose(encode(crop[None])[0], row, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="224"):
        encode(crops[:, :, :100])
    with pytest.raises(ValueError, match="the embedding: give 512"):
        MotionEncoder(feature_dims=(6, 6, 30, 100))


def test_default_configs_have_original_shapes() -> None:
    """80 attention tensors belong to the transformer; here the original counts, in millions."""

    def millions(shapes: dict[str, tuple[int, ...]]) -> float:
        return sum(int(np.prod(shape)) for key, shape in shapes.items() if "running" not in key) / 1e6

    assert millions(adapter_shapes({})) == pytest.approx(164.5, abs=0.1)
    # 9.05 of the original file, less the head that nothing reads.
    assert millions(encoder_shapes({})) == pytest.approx(9.05 - 500 * 513 / 1e6, abs=0.02)
    assert full_config(MotionAdapter, {})["motion_dim"] == 2048
