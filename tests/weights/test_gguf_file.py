"""A GGUF file is checked before it is loaded."""

import sys
from pathlib import Path

import pytest

gguf = pytest.importorskip("gguf")
pytest.importorskip("diffusers")

from fantasyportrait.core.errors import DependencyError, WeightsError  # noqa: E402
from fantasyportrait.testing.tiny import tiny_transformer  # noqa: E402
from fantasyportrait.weights.gguf_file import read_gguf  # noqa: E402
from tests.factories_gguf import write_gguf  # noqa: E402


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny transformer, its matrices in Q8_0."""
    path = tmp_path_factory.mktemp("gguf") / "tiny-Q8_0.gguf"
    return write_gguf(tiny_transformer().state_dict(), 2, path)


def without(quantized: Path, path: Path, part: str) -> Path:
    """A GGUF file with the same tensors but those whose names have `part`."""
    writer = gguf.GGUFWriter(path, "wan")
    for tensor in gguf.GGUFReader(quantized).tensors:
        if part not in tensor.name:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_type_and_blocks_are_read(quantized: Path) -> None:
    found = read_gguf(quantized)
    assert (found.path, found.quantization, found.blocks) == (quantized, "Q8_0", 2)


def test_a_text_to_video_model_is_refused(quantized: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a text-to-video model"):
        read_gguf(without(quantized, tmp_path / "t2v.gguf", "_img"))


def test_another_network_is_refused(quantized: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is no transformer of Wan: it has no head.head.weight"):
        read_gguf(without(quantized, tmp_path / "other.gguf", "head.head"))


def test_what_is_no_gguf_file_is_refused(quantized: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_bytes(b"<html>")
    with pytest.raises(WeightsError, match="is not a GGUF file"):
        read_gguf(path)
    with pytest.raises(WeightsError, match="cannot be read"):
        read_gguf(tmp_path / "none.gguf")


@pytest.mark.parametrize("share", [0.01, 0.1, 0.6, 0.99])
def test_half_a_file_is_refused(quantized: Path, tmp_path: Path, share: float) -> None:
    path = tmp_path / "half.gguf"
    whole = quantized.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WeightsError, match="damaged GGUF file"):
        read_gguf(path)


def test_without_the_package_the_extra_is_named(quantized: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(DependencyError, match=r"fantasyportrait\[gguf\]"):
        read_gguf(quantized)
