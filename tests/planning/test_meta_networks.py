"""Costs that are counted from configs: the original figures, and the real modules at tiny size."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.engines.wan_model import prepare_model
from fantasyportrait.pipelines.loading import ModelFiles, assemble_pipeline, load_transformer
from fantasyportrait.planning.meta_networks import MetaNetworks, original_configs, read_configs
from fantasyportrait.planning.workload import Workload
from fantasyportrait.runtime.profiles import get_profile
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema.sampling import Sampling

GIB = 2**30
USUAL = Workload(832, 480, 81)


@pytest.fixture(scope="module")
def original() -> MetaNetworks:
    """The original sizes in bfloat16."""
    return MetaNetworks(original_configs(), torch.bfloat16)


@pytest.fixture(scope="module")
def tiny(tiny_model: Path) -> Path:
    """The tiny model's assembled folder."""
    return prepare_model(str(tiny_model)).folder


def test_meta_networks_original_parameter_counts(original: MetaNetworks) -> None:
    """16.4 billion numbers and 0.84 of motion attention; a block 424.8 million, 241 million outside."""
    found = original.model_size
    assert found.blocks == 40
    assert found.whole == pytest.approx(34.5e9, rel=2e-3)
    assert found.block / 2 == pytest.approx(424.8e6, rel=1e-3)
    assert found.other_components == pytest.approx(4 * (0.631e9 + 0.127e9 + 0.1645e9), rel=5e-3)
    assert found.held(get_profile("fp8")) == pytest.approx(18.3e9, rel=0.02)
    assert found.held(get_profile("nf4")) == pytest.approx(11.2e9, rel=0.03)
    assert 1.3 * found.whole < found.pinned < 2 * (found.whole + found.other_components)


@pytest.mark.parametrize(
    ("job", "tflop", "peak_gib"),
    [(Workload(512, 512, 81), 915, 2.30), (USUAL, 1692, 3.50), (Workload(1280, 720, 81), 6550, 8.05)],
)
def test_meta_networks_original_work_and_peak(
    original: MetaNetworks, job: Workload, tflop: float, peak_gib: float
) -> None:
    """Work and peak of a forward pass: eleven times the tokens in bfloat16, plus the inputs."""
    found = original.activations(job).forward
    assert found.flop / 1e12 == pytest.approx(tflop, rel=2e-3)
    tokens = 21 * (job.height // 16) * (job.width // 16) * 5120 * 2
    assert 11 * tokens < found.peak < 11.5 * tokens and found.peak / GIB == pytest.approx(peak_gib, abs=0.01)


def test_activations_grow_with_workload(original: MetaNetworks) -> None:
    usual = original.activations(USUAL)
    assert original.activations(USUAL) is usual
    for change in ({"width": 1024, "frames": 121}, {"faces": 3, "sampling": Sampling(guidance_scale=5)}):
        larger = original.activations(replace(USUAL, **change))
        pairs = [(getattr(larger, name), getattr(usual, name)) for name in ("forward", "batched", "decode", "encode")]
        assert all(large.peak >= small.peak and large.flop >= small.flop for large, small in pairs)
        assert any(large.peak > small.peak for large, small in pairs), change
    assert 1.9 * usual.forward.peak < usual.batched.peak < 2 * usual.forward.peak
    assert usual.encode_tiled.peak < usual.encode.peak / 3


def test_long_videos_are_traced_in_windows(original: MetaNetworks) -> None:
    long = Workload(256, 256, 201)
    whole, cut = (original.activations(each) for each in (long, long.in_windows()))
    assert whole.windows == 1 and cut.windows == 3
    assert cut.forward.peak < whole.forward.peak / 2 and cut.decode == whole.decode


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_traced_bytes_equal_loaded_tiny_model(tiny: Path, precision: str) -> None:
    runtime_config = RuntimeConfig(device="cpu", precision=precision)
    transformer = load_transformer(ModelFiles(tiny), runtime_config, get_profile("resident"))
    pipeline = assemble_pipeline(transformer, tiny)
    found = MetaNetworks(read_configs(tiny), getattr(torch, precision)).model_size

    def size(module: torch.nn.Module) -> int:
        return sum(weight.nbytes for weight in module.parameters())

    assert found.whole == size(transformer) and found.block == size(transformer.blocks[0])
    assert found.outside == size(transformer) - sum(map(size, transformer.blocks))
    assert (found.vae, found.image_encoder, found.motion_adapter) == tuple(
        map(size, (pipeline.vae, pipeline.image_encoder, pipeline.motion_adapter))
    )


def test_decode_estimate_extrapolates_tile_count(tiny: Path) -> None:
    """The estimate is compared with decoding that is traced with all tiles."""
    networks = MetaNetworks(read_configs(tiny), torch.float32)
    job = Workload(640, 448, 81)
    found = networks.activations(job).decode_tiled
    networks._vae.enable_tiling()
    with torch.device("meta"), torch.no_grad():
        assert found.peak == pytest.approx(networks._decoded(3, 56, 80).peak, rel=0.05)


def test_gguf_weights_count_file_size(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "model-Q4.gguf"
    file.write_bytes(bytes(1000))
    whole = MetaNetworks(read_configs(tiny), torch.float32).model_size
    found = MetaNetworks(read_configs(tiny), torch.float32, file).model_size
    assert found.name == "model-Q4" and found.gguf == 1000 + 2 * 2 * 64 * 64 * 4 and whole.gguf is None
    assert found.held(get_profile("resident")) == found.gguf
    with pytest.raises(WeightsError, match="cannot be read"):
        _ = MetaNetworks(read_configs(tiny), torch.float32, tmp_path / "none.gguf").model_size


def test_read_configs_refuses_folder_without_configs(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="transformer"):
        read_configs(tmp_path)


def test_threads_that_trace_different_jobs_get_costs_of_one_thread(tiny: Path) -> None:
    """The page estimates the next job while the engine plans one; the networks keep caches while they are traced."""
    jobs = [Workload(256 + 64 * number, 256, 21 + 4 * number) for number in range(6)]
    alone, shared = (MetaNetworks(read_configs(tiny), torch.float32) for _ in range(2))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(shared.activations, jobs))
    assert found == [alone.activations(job) for job in jobs]
