"""Every original key maps to one key of ours and back; other keys do not map."""

import pytest

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.weights.key_mapping import Component, convert_keys, converted_key, original_key
from tests.parity.cases import Cases

PARTS: dict[str, Component] = {
    "adapter": "motion_adapter",
    "motion_encoder": "motion_encoder",
    "dit": "motion_attention",
}
BLOCKS, LAYERS = 40, 4


def adapter_keys() -> list[str]:
    """Four projections and a norm, two resamplers of four layers."""
    norm, linear = (".weight", ".bias"), (".weight",)
    layer = {"0.norm1": norm, "0.norm2": norm, "0.to_q": linear, "0.to_kv": linear, "0.to_out": linear, "1.0": norm}
    layer |= {"1.1": linear, "1.3": linear}
    keys = [f"proj_model.{name}_proj.weight" for name in ("headpose", "eye", "emo", "mouth")]
    keys += ["proj_model.norm.weight", "proj_model.norm.bias"]
    for model in ("mouth_proj_model", "emo_proj_model"):
        keys += [f"{model}.latents"]
        keys += [f"{model}.{name}{leaf}" for name in ("proj_in", "proj_out", "norm_out") for leaf in norm]
        keys += [
            f"{model}.layers.{i}.{name}{leaf}"
            for i in range(LAYERS)
            for name, leaves in layer.items()
            for leaf in leaves
        ]
    return keys


def attention_keys() -> list[str]:
    """The 80 tensors of forty blocks."""
    name = "blocks.{}.cross_attn.processor.ip_adapter_single_stream_{}_proj.weight"
    return [name.format(block, kind) for block in range(BLOCKS) for kind in "kv"]


def test_every_adapter_key() -> None:
    keys = adapter_keys()
    ours = convert_keys("motion_adapter", dict.fromkeys(keys))
    assert len(ours) == len(keys) == 108
    assert [original_key("motion_adapter", key) for key in ours] == keys
    assert "resamplers.emotion.layers.3.feed_forward.down.weight" in ours
    assert ours.keys() >= {"projections.head_pose.weight", "norm.bias", "resamplers.mouth.queries"}


def test_every_attention_key() -> None:
    keys = attention_keys()
    ours = convert_keys("motion_attention", dict.fromkeys(keys))
    assert len(ours) == 80
    assert list(ours)[-1] == "blocks.39.attn2.to_v_motion.weight"
    assert [original_key("motion_attention", key) for key in ours] == keys


@pytest.mark.parametrize(
    ("original", "ours"),
    [
        ("model.m0.b2_plus_1.conv1.weight", "backbone.m0.b2_plus_1.conv1.weight"),
        ("to_headpose.2.num_batches_tracked", "heads.head_pose.2.num_batches_tracked"),
        ("to_mouth.3.bias", "heads.mouth.3.bias"),
        ("emo_embed.1.weight", "embeddings.emotion.weight"),
        ("eye_embed.1.bias", "embeddings.eyes.bias"),
    ],
)
def test_encoder_keys(original: str, ours: str) -> None:
    assert convert_keys("motion_encoder", {original: 1}) == {ours: 1}
    assert original_key("motion_encoder", ours) == original


def test_the_unused_mouth_head_is_dropped_by_name() -> None:
    assert convert_keys("motion_encoder", {"mouth_embed.1.weight": 1, "mouth_embed.1.bias": 2}) == {}
    with pytest.raises(WeightsError, match=r"motion encoder has no mouth_embed\.2\.weight"):
        convert_keys("motion_encoder", {"mouth_embed.2.weight": 1})


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("motion_adapter", "norm.weight"),
        ("motion_adapter", "mouth_proj_model.layers.0.2.0.weight"),
        ("motion_adapter", "eye_proj_model.latents"),
        ("motion_attention", "blocks.0.attn2.to_k_motion.weight"),
        ("motion_attention", "blocks.x.cross_attn.processor.ip_adapter_single_stream_k_proj.weight"),
        ("motion_attention", "blocks.0.cross_attn.processor.ip_adapter_single_stream_k_proj.weights"),
        ("motion_encoder", "to_eye.1.weight"),
        ("motion_encoder", "epoch"),
    ],
)
def test_a_strange_key_is_refused_by_name(part: Component, key: str) -> None:
    assert converted_key(part, key) is None
    with pytest.raises(WeightsError, match=f"has no {key}"):
        convert_keys(part, {key: 1})


def test_many_strange_keys_are_counted() -> None:
    with pytest.raises(WeightsError, match="x0, x1, x2, x3, x4 and 3 more"):
        convert_keys("motion_adapter", {f"x{i}": i for i in range(8)})


@pytest.mark.parametrize("listed", PARTS)
def test_the_listed_keys_of_the_public_code(listed: str) -> None:
    rows = Cases.from_environment().json("keys")[listed]
    keys = [str(key) for key, _, _ in rows if listed != "dit" or "ip_adapter" in key]
    ours = convert_keys(PARTS[listed], dict.fromkeys(keys))
    left_out = [key for key in keys if key not in {original_key(PARTS[listed], name) for name in ours}]
    assert left_out == (["mouth_embed.1.weight", "mouth_embed.1.bias"] if listed == "motion_encoder" else [])
    assert keys and len(ours) == len(keys) - len(left_out)
