"""Headers of safetensors files: shapes are read, and a hostile header is one error."""

import json
import struct
from pathlib import Path

import pytest

from fantasyportrait.core.errors import WeightsError
from fantasyportrait.weights.safetensors_header import tensor_shapes

pytest.importorskip("safetensors")


def write_file(path: Path, header: object, data: bytes = b"\0" * 8) -> Path:
    """A safetensors file with this header: bytes as they are, anything else as JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(shape: object, end: object = 8, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}


@pytest.mark.parametrize(("dtype", "shape"), [("F32", [2, 1]), ("BF16", [1, 4]), ("F8_E4M3", [8]), ("I64", [])])
def test_shapes_of_every_type(dtype: str, shape: list[int], tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.safetensors", {"__metadata__": {"by": "me"}, "a.b": entry(shape, dtype=dtype)})
    assert tensor_shapes(path) == {"a.b": tuple(shape)}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        [1, 2],
        None,
        {"a": 1},
        {"a": entry([-2])},
        {"a": entry([3])},
        {"a": entry([2**62, 2**62])},
        {"a": entry([2], end="8")},
        {"a": entry([2], end=2**64)},
        {"a": entry([2, 2], end=16)},
        {"a": entry([1], end=4)},
        {"a": entry([2], dtype="F\n99")},
        {"__metadata__": {"a": [1]}},
    ],
    ids=lambda header: str(header)[:40],
)
def test_a_hostile_header_is_one_sentence(header: object, tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.safetensors", header)
    with pytest.raises(WeightsError, match="damaged or is not a safetensors file .*: fetch it again") as caught:
        tensor_shapes(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 8, struct.pack("<Q", 2**40) + b"{}", b"<html>not found</html>"])
def test_header_longer_than_file_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=f"has {len(data)} bytes and is damaged"):
        tensor_shapes(path)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.safetensors"):
        with pytest.raises(WeightsError, match=f"{path.name} cannot be read .*: fetch it again"):
            tensor_shapes(path)
