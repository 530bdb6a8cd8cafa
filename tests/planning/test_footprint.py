"""What is counted from configs: the published figures, and the real modules at toy size."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.engines.wan_model import prepare_model
from fantasyportrait.pipelines.loading import ModelFiles, assemble_pipeline, load_transformer
from fantasyportrait.planning.footprint import Networks, folder_configs, published_configs
from fantasyportrait.planning.job_needs import JobSize
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.profiles import profile_of

GIB = 2**30
USUAL = JobSize(832, 480, 81)


@pytest.fixture(scope="module")
def published() -> Networks:
    """The published sizes in bfloat16."""
    return Networks(published_configs(), torch.bfloat16)


@pytest.fixture(scope="module")
def toy(toy_model: Path) -> Path:
    """The toy model's assembled folder."""
    return prepare_model(str(toy_model)).folder


def test_the_published_weights(published: Networks) -> None:
    """16.4 billion numbers and 0.84 of motion attention; a block 424.8 million, 241 million outside."""
    found = published.footprint
    assert found.blocks == 40
    assert found.whole == pytest.approx(34.5e9, rel=2e-3)
    assert found.block / 2 == pytest.approx(424.8e6, rel=1e-3)
    assert found.around == pytest.approx(4 * (0.631e9 + 0.127e9 + 0.1645e9), rel=5e-3)
    assert found.held(profile_of("fp8")) == pytest.approx(18.3e9, rel=0.02)
    assert found.held(profile_of("nf4")) == pytest.approx(11.2e9, rel=0.03)
    assert 1.3 * found.whole < found.pinned < 2 * (found.whole + found.around)


@pytest.mark.parametrize(
    ("job", "tflop", "peak_gib"),
    [(JobSize(512, 512, 81), 915, 2.30), (USUAL, 1692, 3.50), (JobSize(1280, 720, 81), 6550, 8.05)],
)
def test_the_published_floors(published: Networks, job: JobSize, tflop: float, peak_gib: float) -> None:
    """A forward pass's work, and its peak: eleven times the tokens in bfloat16, and what a pass is given."""
    found = published.activations(job).forward
    assert found.flop / 1e12 == pytest.approx(tflop, rel=2e-3)
    tokens = 21 * (job.height // 16) * (job.width // 16) * 5120 * 2
    assert 11 * tokens < found.peak < 11.5 * tokens and found.peak / GIB == pytest.approx(peak_gib, abs=0.01)


def test_activations_grow_with_the_job(published: Networks) -> None:
    usual = published.activations(USUAL)
    assert published.activations(USUAL) is usual
    for change in ({"width": 1024, "frames": 121}, {"faces": 3, "most_passes": 3}):
        larger = published.activations(replace(USUAL, **change))
        pairs = [(getattr(larger, name), getattr(usual, name)) for name in ("forward", "batched", "decode", "encode")]
        assert all(large.peak >= small.peak and large.flop >= small.flop for large, small in pairs)
        assert any(large.peak > small.peak for large, small in pairs), change
    assert 1.9 * usual.forward.peak < usual.batched.peak < 2 * usual.forward.peak
    assert usual.encode_tiled.peak < usual.encode.peak / 3


def test_long_videos_are_windows(published: Networks) -> None:
    whole, cut = (published.activations(JobSize(256, 256, 201, longest_pass=n)) for n in (201, 81))
    assert whole.windows == 1 and cut.windows == 3
    assert cut.forward.peak < whole.forward.peak / 2 and cut.decode == whole.decode


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_toys_bytes_are_those_of_the_loaded_modules(toy: Path, precision: str) -> None:
    placement = Placement(device="cpu", precision=precision)
    transformer = load_transformer(ModelFiles(toy), placement, profile_of("resident"))
    pipeline = assemble_pipeline(transformer, toy)
    found = Networks(folder_configs(toy), getattr(torch, precision)).footprint

    def size(module: torch.nn.Module) -> int:
        return sum(weight.nbytes for weight in module.parameters())

    assert found.whole == size(transformer) and found.block == size(transformer.blocks[0])
    assert found.outside == size(transformer) - sum(map(size, transformer.blocks))
    assert (found.vae, found.image_encoder, found.motion_adapter) == tuple(
        map(size, (pipeline.vae, pipeline.image_encoder, pipeline.motion_adapter))
    )


def test_tiles_are_counted_for_a_few_and_hold_for_many(toy: Path) -> None:
    """Against the same decoding traced with all of its tiles."""
    networks = Networks(folder_configs(toy), torch.float32)
    job = JobSize(640, 448, 81)
    found = networks.activations(job).decode_tiled
    networks._vae.enable_tiling()
    with torch.device("meta"), torch.no_grad():
        assert found.peak == pytest.approx(networks._decoded(3, 56, 80).peak, rel=0.05)


def test_a_gguf_file_counts_as_it_is(toy: Path, tmp_path: Path) -> None:
    file = tmp_path / "model-Q4.gguf"
    file.write_bytes(bytes(1000))
    whole = Networks(folder_configs(toy), torch.float32).footprint
    found = Networks(folder_configs(toy), torch.float32, file).footprint
    assert found.name == "model-Q4" and found.gguf == 1000 + 2 * 2 * 64 * 64 * 4 and whole.gguf is None
    assert found.held(profile_of("resident")) == found.gguf
    with pytest.raises(WeightsError, match="cannot be read"):
        _ = Networks(folder_configs(toy), torch.float32, tmp_path / "none.gguf").footprint


def test_a_folder_without_configs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="transformer"):
        folder_configs(tmp_path)
