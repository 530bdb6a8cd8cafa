"""Assembly of base and adapter into one folder that diffusers loads: made once, whole or not at all."""

import json
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import AutoencoderKLWan, WanTransformer3DModel  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from fantasyportrait.core.errors import OutputError, WeightsError  # noqa: E402
from fantasyportrait.models.motion_adapter import MotionAdapter  # noqa: E402
from fantasyportrait.models.motion_encoder import MotionEncoder  # noqa: E402
from fantasyportrait.models.transformer import FantasyPortraitTransformer3DModel  # noqa: E402
from fantasyportrait.weights.assemble import MANIFEST, MOTION_ATTENTION, WanNetworkSpecs, assemble  # noqa: E402
from fantasyportrait.weights.wan_paths import WanPaths  # noqa: E402
from tests.weights.original import (  # noqa: E402
    original_adapter,
    original_encoder,
    tiny_networks,
    tiny_sources,
    write_pickles,
    write_repack,
)

SHARD = "diffusion_pytorch_model.safetensors"
INDEX = f"{SHARD}.index.json"


@pytest.fixture(scope="module")
def networks() -> WanNetworkSpecs:
    return tiny_networks()


@pytest.fixture
def sources(tmp_path: Path) -> WanPaths:
    return tiny_sources(tmp_path / "model")


def test_the_networks_load_with_base_and_adapter(sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path) -> None:
    out = assemble(sources, networks, tmp_path / "out")
    state = FantasyPortraitTransformer3DModel.from_pretrained(out / "transformer").state_dict()
    stock = WanTransformer3DModel.from_pretrained(sources.base / "transformer").state_dict()
    assert all(torch.equal(state[key], value) for key, value in stock.items())
    groups = original_adapter()
    name = "blocks.1.cross_attn.processor.ip_adapter_single_stream_v_proj.weight"
    assert torch.equal(state["blocks.1.attn2.to_v_motion.weight"], groups["ip_adapter"][name].float())
    adapter = MotionAdapter.from_pretrained(out / "motion_adapter")
    assert torch.equal(adapter.resamplers["emotion"].queries, groups["emo_proj_model"]["latents"])
    encoder = MotionEncoder.from_pretrained(out / "motion_encoder")
    assert torch.equal(encoder.heads["head_pose"][3].bias, original_encoder()["to_headpose.3.bias"])
    AutoencoderKLWan.from_pretrained(out / "vae")
    assert (
        load_file(out / "transformer" / MOTION_ATTENTION)["blocks.0.attn2.to_k_motion.weight"].dtype == torch.bfloat16
    ), "attention keeps its type"
    for part in ("text_encoder", "tokenizer", "image_encoder", "image_processor", "scheduler"):
        names = sorted(path.name for path in (sources.base / part).iterdir())
        assert sorted(path.name for path in (out / part).iterdir()) == names
    assert (out / "face_det.onnx").read_bytes() == b"face_det.onnx"


def test_the_repack_gives_the_same_folder(sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path) -> None:
    first = assemble(sources, networks, tmp_path / "first")
    repack = WanPaths(sources.base, write_repack(tmp_path / "repack"))
    second = assemble(repack, networks, tmp_path / "second")
    for part in ("motion_adapter", "motion_encoder"):
        one, other = load_file(first / part / SHARD), load_file(second / part / SHARD)
        assert one.keys() == other.keys()
        assert all(torch.allclose(one[key].double(), other[key].double(), atol=2e-3) for key in one)


def test_shards_with_an_index_work_too(sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path) -> None:
    stock = WanTransformer3DModel.from_pretrained(sources.base / "transformer")
    (sources.base / "transformer" / SHARD).unlink()
    stock.save_pretrained(sources.base / "transformer", max_shard_size="100KB")
    shards = {path.name for path in (sources.base / "transformer").glob("*.safetensors")}
    assert len(shards) > 2
    out = assemble(sources, networks, tmp_path / "out")
    index = json.loads((out / "transformer" / INDEX).read_text())
    assert set(index["weight_map"].values()) == {*shards, MOTION_ATTENTION}
    assert index["weight_map"].keys() == networks.transformer.shapes.keys()
    state = FantasyPortraitTransformer3DModel.from_pretrained(out / "transformer").state_dict()
    assert all(torch.equal(state[key], value) for key, value in stock.state_dict().items())


def test_weights_are_linked_and_settings_copied(sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path) -> None:
    out = assemble(sources, networks, tmp_path / "out")
    for place in (f"transformer/{SHARD}", f"vae/{SHARD}"):
        assert os.path.samefile(out / place, sources.base / place)
    settings = sources.base / "scheduler/scheduler_config.json"
    before = settings.read_text()
    (out / "scheduler/scheduler_config.json").write_text("{}")
    assert settings.read_text() == before


def test_where_links_are_forbidden_files_are_copied(
    sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(source: Path, target: Path) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "link", forbidden)
    linked = assemble(sources, networks, tmp_path / "linked") / "transformer" / SHARD
    assert linked.is_symlink() and os.path.samefile(linked, sources.base / "transformer" / SHARD)
    monkeypatch.setattr(os, "symlink", forbidden)
    copied = assemble(sources, networks, tmp_path / "copied") / "transformer" / SHARD
    assert not copied.is_symlink() and not os.path.samefile(copied, sources.base / "transformer" / SHARD)
    assert copied.read_bytes() == (sources.base / "transformer" / SHARD).read_bytes()


def test_folder_is_remade_only_when_a_source_changes(
    sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path
) -> None:
    out = assemble(sources, networks, tmp_path / "out")
    (out / "model_index.json").write_text("{}")  # what the pipelines add stays
    assemble(sources, networks, out)
    assert (out / "model_index.json").is_file()
    write_pickles(sources.adapter, adapter=original_adapter(seed=5))
    assemble(sources, networks, out)
    assert not (out / "model_index.json").exists()
    queries = MotionAdapter.from_pretrained(out / "motion_adapter").resamplers["mouth"].queries
    assert torch.equal(queries, original_adapter(seed=5)["mouth_proj_model"]["latents"])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_nothing_is_left_of_a_folder_that_failed(sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path) -> None:
    out = assemble(sources, networks, tmp_path / "out")
    encoder = original_encoder()
    del encoder["to_emo.0.bias"]
    write_pickles(sources.adapter, encoder=encoder)
    with pytest.raises(WeightsError, match=r"pd_fpg\.pth is not .*missing: to_emo\.0\.bias \(512,\)"):
        assemble(sources, networks, out)
    with pytest.raises(WeightsError):
        assemble(sources, networks, tmp_path / "fresh")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]
    assert (out / MANIFEST).is_file()


def test_a_folder_of_somebody_else_is_left_alone(sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary.txt").write_text("dear diary")
    with pytest.raises(OutputError, match="was not made from a base and an adapter"):
        assemble(sources, networks, tmp_path / "out")
    assert (tmp_path / "out" / "diary.txt").read_text() == "dear diary"
    (tmp_path / "empty").mkdir()
    assert (assemble(sources, networks, tmp_path / "empty") / MANIFEST).is_file()


def test_base_of_other_size_is_refused(sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path) -> None:
    path = sources.base / "transformer" / SHARD
    state = load_file(path)
    lost = state.pop("blocks.0.attn1.to_q.bias")
    state["blocks.7.attn1.to_q.bias"] = lost
    state["proj_out.bias"] = torch.zeros(3)
    save_file(state, path)
    with pytest.raises(WeightsError) as caught:
        assemble(sources, networks, tmp_path / "out")
    said = str(caught.value)
    assert "missing: blocks.0.attn1.to_q.bias (64,)" in said and "unexpected: blocks.7.attn1.to_q.bias (64,)" in said
    assert "of another shape: proj_out.bias (3,) instead of (64,)" in said


def test_unused_stock_norm_is_accepted(sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path) -> None:
    path = sources.base / "transformer" / SHARD
    save_file({**load_file(path), "blocks.0.attn2.norm_added_q.weight": torch.ones(64)}, path)
    out = assemble(sources, networks, tmp_path / "out")
    FantasyPortraitTransformer3DModel.from_pretrained(out / "transformer")


def test_half_a_shard_is_refused(sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path) -> None:
    path = sources.base / "transformer" / SHARD
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=f"{SHARD} has .* damaged"):
        assemble(sources, networks, tmp_path / "out")
    path.write_bytes(b"<html>")
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        assemble(sources, networks, tmp_path / "out")


def test_a_gguf_model_needs_no_shards(sources: WanPaths, networks: WanNetworkSpecs, tmp_path: Path) -> None:
    (sources.base / "transformer" / SHARD).unlink()
    out = assemble(WanPaths(sources.base, sources.adapter, gguf=tmp_path / "x.gguf"), networks, tmp_path / "out")
    assert sorted(path.name for path in (out / "transformer").iterdir()) == ["config.json", MOTION_ATTENTION]
