"""Paths of the engine's files by name or folder; the error names what is missing and how to get it."""

import json
import shutil
import struct
from pathlib import Path

import pytest

from fantasyportrait.core.errors import RequestError, WeightsError
from fantasyportrait.weights.original_files import ADAPTER_PICKLE, ENCODER_PICKLE, FACE_NETS
from fantasyportrait.weights.wan_paths import CONFIGS, WEIGHTS_NAMES, wan_lora, wan_paths

GGUF = "wan2.1-i2v-14b-720p-Q4_K_M.gguf"


def write_tensors(path: Path) -> None:
    """A safetensors file with one number."""
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0\0\0")


def write_base(folder: Path) -> Path:
    """A base as the hub has it: every component, the transformer in two shards."""
    for part in (*WEIGHTS_NAMES, *CONFIGS):
        (folder / part).mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    for part, name in CONFIGS.items():
        (folder / part / name).write_text("{}")
    for part, name in WEIGHTS_NAMES.items():
        (folder / part / "config.json").write_text("{}")
        if part != "transformer":
            write_tensors(folder / part / f"{name}.safetensors")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (folder / "transformer/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    for shard in ("a", "b"):
        write_tensors(folder / f"transformer/{shard}.safetensors")
    return folder


def write_adapter(folder: Path) -> Path:
    """The names of the adapter's files."""
    folder.mkdir(parents=True)
    for name in (ADAPTER_PICKLE, ENCODER_PICKLE, *FACE_NETS):
        (folder / name).touch()
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder into which wan-720p was fetched."""
    write_base(tmp_path / "wan/base-720p")
    write_adapter(tmp_path / "wan/adapter")
    return tmp_path


def test_a_name(models: Path) -> None:
    sources = wan_paths("wan-720p", models)
    assert (sources.base, sources.adapter) == (models / "wan/base-720p", models / "wan/adapter")
    assert sources.gguf is None


def test_the_usual_folder(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FANTASYPORTRAIT_MODELS_DIR", str(models))
    assert wan_paths("wan-720p").base == models / "wan/base-720p"


def test_a_gguf_name_needs_no_shards(models: Path) -> None:
    with pytest.raises(WeightsError, match="gguf-q4 is not in .*run  fantasyportrait weights fetch gguf-q4"):
        wan_paths("gguf-q4", models)
    (models / "wan/gguf").mkdir()
    (models / "wan/gguf" / GGUF).touch()
    for shard in (models / "wan/base-720p/transformer").glob("*.safetensors"):
        shard.unlink()
    sources = wan_paths("gguf-q4", models)
    assert sources.gguf == models / "wan/gguf" / GGUF and sources.base == models / "wan/base-720p"


@pytest.mark.parametrize(
    "lost",
    [
        "model_index.json",
        "transformer/config.json",
        "transformer/b.safetensors",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer_config.json",
    ],
)
def test_what_the_base_lacks_is_named(models: Path, lost: str) -> None:
    (models / "wan/base-720p" / lost).unlink()
    with pytest.raises(WeightsError, match=f"lacks {lost}: run  fantasyportrait weights fetch wan-720p"):
        wan_paths("wan-720p", models)


def test_what_the_adapter_lacks_is_named(models: Path) -> None:
    (models / "wan/adapter/face_landmark.onnx").unlink()
    with pytest.raises(WeightsError, match="lacks face_landmark.onnx"):
        wan_paths("wan-720p", models)
    (models / "wan/adapter" / ENCODER_PICKLE).unlink()
    with pytest.raises(WeightsError, match=f"lacks {ENCODER_PICKLE}"):
        wan_paths("wan-720p", models)


def test_an_index_that_points_elsewhere_is_refused(models: Path) -> None:
    index = models / "wan/base-720p/transformer/diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "../vae/a.safetensors"}}))
    with pytest.raises(WeightsError, match="points out of its folder"):
        wan_paths("wan-720p", models)
    index.write_text("[]")
    with pytest.raises(WeightsError, match="is not an index of shards"):
        wan_paths("wan-720p", models)


def test_a_folder(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(models / "wan/base-720p", folder / "base")
    shutil.copytree(models / "wan/adapter", folder / "adapter")
    assert wan_paths(folder, models).base == folder / "base"
    (folder / "gguf").mkdir()
    (folder / "gguf" / "small.gguf").touch()
    assert wan_paths(str(folder)).gguf == folder / "gguf" / "small.gguf"
    (folder / "gguf" / "smaller.gguf").touch()
    with pytest.raises(WeightsError, match="holds 2 files where one is used"):
        wan_paths(folder)


LORA = "loras/Wan21_I2V_14B_lightx2v_cfg_step_distill_lora_rank64.safetensors"


@pytest.mark.parametrize("model", ["wan-720p", "gguf-q4"])
def test_lora_of_a_catalog_name(tmp_path: Path, model: str) -> None:
    with pytest.raises(WeightsError, match="lightx2v is not in .*run  fantasyportrait weights fetch lightx2v"):
        wan_lora(model, "lightx2v", tmp_path)
    file = tmp_path / "wan/lora" / LORA
    file.parent.mkdir(parents=True)
    file.touch()
    assert wan_lora(model, "lightx2v", tmp_path) == file


def test_lora_of_a_model_folder(tmp_path: Path) -> None:
    """The fetched one need not fit it."""
    (tmp_path / "models/wan/lora/loras").mkdir(parents=True)
    (tmp_path / "models/wan/lora" / LORA).touch()
    with pytest.raises(WeightsError, match="no LoRA in .*mine.*fantasyportrait weights fetch lightx2v"):
        wan_lora(tmp_path / "mine", "lightx2v", tmp_path / "models")
    (tmp_path / "mine/lora").mkdir(parents=True)
    (tmp_path / "mine/lora/a.safetensors").touch()
    assert wan_lora(str(tmp_path / "mine"), "lightx2v", tmp_path / "models") == tmp_path / "mine/lora/a.safetensors"
    (tmp_path / "mine/lora/b.safetensors").touch()
    with pytest.raises(WeightsError, match="holds 2 files where one is used"):
        wan_lora(tmp_path / "mine", "lightx2v")


def test_neither_a_name_nor_a_folder(tmp_path: Path) -> None:
    with pytest.raises(
        RequestError, match=r"no model 'wan-8k' \(did you mean wan-480p\?\): give one of wan-720p, wan-480p, gguf-q4"
    ):
        wan_paths("wan-8k", tmp_path)
    with pytest.raises(WeightsError, match="there is no model folder .*nowhere"):
        wan_paths(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="lacks model_index.json: put it there, or name a model"):
        wan_paths(tmp_path)


def test_a_bare_name_is_of_the_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is written with a slash or a dot before it, so that a saved request means the same elsewhere."""
    monkeypatch.chdir(tmp_path)
    for name in ("tiny", "my.model"):
        (tmp_path / name).mkdir()
        with pytest.raises(RequestError, match=rf"write \./{name}"):
            wan_paths(name)
        with pytest.raises(WeightsError, match="lacks model_index.json"):
            wan_paths(f"./{name}")
