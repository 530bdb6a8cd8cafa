"""TIFF and BMP of scanners, cameras and Windows are read on the user's own machine."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PUBLIC
from fantasyportrait.images.images import load_photo
from tests.factories_media import quadrants

PICTURE = quadrants(64, 48)


def close(pixels: np.ndarray, expected: np.ndarray = PICTURE, most: float = 2.0) -> bool:
    return pixels.shape == expected.shape and bool(np.abs(pixels.astype(int) - expected).mean() < most)


@pytest.mark.parametrize(("compression", "most"), [
    (None, 0.1), ("tiff_lzw", 0.1), ("tiff_adobe_deflate", 0.1), ("packbits", 0.1), ("jpeg", 8.0),
])  # fmt: skip
def test_tiff_compressions(tmp_path: Path, compression: str | None, most: float) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "scan.tif", compression=compression)
    photo = load_photo(tmp_path / "scan.tif")
    assert close(photo.pixels, most=most) and photo.messages == ()


@pytest.mark.parametrize(("mode", "most"), [("CMYK", 3), ("P", 40), ("RGBA", 0.1), ("LAB", 6)])
def test_tiff_colours(tmp_path: Path, mode: str, most: float) -> None:
    image = Image.fromarray(PICTURE)
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
        assert converted is not None
        image = converted
    else:
        image = image.convert(mode)
    image.save(tmp_path / "scan.tif")
    assert close(load_photo(tmp_path / "scan.tif").pixels, most=most)


def test_sixteen_bit_grey_and_one_bit_fax(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.tif")
    photo = load_photo(tmp_path / "deep.tif")
    assert (photo.pixels[..., 0].ravel() == np.arange(256)).all() and "16-bit" in photo.messages[0]
    Image.fromarray(ramp > 30_000).save(tmp_path / "fax.tif", compression="group4")
    assert set(np.unique(load_photo(tmp_path / "fax.tif").pixels)) == {0, 255}


def sixteen_bit_rgb(path: Path, pixels: np.ndarray) -> Path:
    """An uncompressed TIFF of three channels of 16 bits, which Pillow reads but does not write."""
    height, width = pixels.shape[:2]
    data = (pixels.astype("<u2") * 257).tobytes()
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8 + len(data)), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, 8), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(data))]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<I", 8 + len(data) + 6)
    path.write_bytes(head + data + struct.pack("<3H", 16, 16, 16) + directory + b"\0\0\0\0")
    return path


def test_sixteen_bit_colour(tmp_path: Path) -> None:
    assert close(load_photo(sixteen_bit_rgb(tmp_path / "deep.tif", PICTURE)).pixels, most=0.1)


def test_multi_page_scan_uses_first_page_with_message(tmp_path: Path) -> None:
    others = [Image.fromarray(PICTURE[::-1].copy()) for _ in range(2)]
    Image.fromarray(PICTURE).save(tmp_path / "scan.tif", save_all=True, append_images=others)
    photo = load_photo(tmp_path / "scan.tif")
    assert close(photo.pixels) and photo.messages == ("scan.tif has 3 pages: the first is used",)


@pytest.mark.parametrize(("kind", "said"), [(np.float32, "floating-point values"), (np.int32, "beyond 16 bits")])
def test_values_that_are_no_colours_are_refused(tmp_path: Path, kind: type, said: str) -> None:
    Image.fromarray(np.linspace(-1, 99_999, 64).reshape(8, 8).astype(kind)).save(tmp_path / "height.tif")
    with pytest.raises(MediaError, match=f"{said}.*8 or 16 bits"):
        load_photo(tmp_path / "height.tif")


@pytest.mark.parametrize("suffix", ["tif", "webp", "jpg"])
@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 1), (8, 3)])
def test_orientation_of_other_formats(tmp_path: Path, suffix: str, orientation: int, turns: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"exif": exif, **({"lossless": True} if suffix == "webp" else {})}
    Image.fromarray(np.ascontiguousarray(np.rot90(PICTURE, turns))).save(tmp_path / f"a.{suffix}", **options)
    assert close(load_photo(tmp_path / f"a.{suffix}").pixels, most=8)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_bmp(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(PICTURE).convert(mode)
    image.save(tmp_path / "paint.bmp")
    assert close(load_photo(tmp_path / "paint.bmp").pixels, np.asarray(image.convert("RGB")), 0.1)


@pytest.mark.parametrize(("alpha", "white"), [(255, False), (0, False), (None, True)])
def test_bmp_with_alpha(tmp_path: Path, alpha: int | None, white: bool) -> None:
    """A bitmap with a mask for alpha; zero everywhere means that the channel was not used."""
    channel = np.full(PICTURE.shape[:2], alpha or 0, np.uint8)
    if alpha is None:
        channel[:, 32:] = 255
    rows = np.dstack([PICTURE[..., ::-1], channel])[::-1].tobytes()
    head = struct.pack("<IiiHHIIiiII", 108, 64, 48, 1, 32, 3, len(rows), 0, 0, 0, 0)
    head += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52)
    (tmp_path / "paint.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 122 + len(rows), 0, 0, 122) + head + rows)
    photo = load_photo(tmp_path / "paint.bmp")
    assert close(photo.pixels[:, 32:], PICTURE[:, 32:], 0.1)
    assert close(photo.pixels[:, :32], np.full_like(PICTURE[:, :32], 255) if white else PICTURE[:, :32], 0.1)
    assert bool(photo.messages) == white


def test_a_run_length_encoded_bmp(tmp_path: Path) -> None:
    palette = bytes([0, 0, 0, 0, 30, 30, 220, 0])  # blue, green, red: black, and red
    rows = b"".join(bytes([40, 1, 24, 0, 0, 0]) for _ in range(48)) + bytes([0, 1])
    head = struct.pack("<IiiHHIIiiII", 40, 64, 48, 1, 8, 1, len(rows), 0, 0, 2, 2)
    begin = 14 + len(head) + len(palette)
    file_head = b"BM" + struct.pack("<IHHI", begin + len(rows), 0, 0, begin)
    (tmp_path / "a.bmp").write_bytes(file_head + head + palette + rows)
    pixels = load_photo(tmp_path / "a.bmp").pixels
    assert (pixels[:, :40] == [220, 30, 30]).all() and (pixels[:, 40:] == 0).all()


@pytest.mark.parametrize("suffix", ["tif", "bmp"])
def test_visitors_of_an_app_cannot_upload_them(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(PICTURE).save(tmp_path / f"a.{suffix}")
    with pytest.raises(MediaError, match="use PNG, JPEG, WebP, AVIF or GIF"):
        load_photo(tmp_path / f"a.{suffix}", PUBLIC)


@pytest.mark.parametrize("suffix", ["tif", "bmp"])
def test_cut_off_files_are_refused_in_words(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=path.name):
        load_photo(path)


@pytest.mark.parametrize("name", ["12_scan.tif", "12_paint.bmp"])
def test_the_cases_are_read(cases_dir: Path, name: str) -> None:
    if not (cases_dir / name).is_file():
        pytest.skip(f"{name} is not in the folder")
    assert load_photo(cases_dir / name).pixels.shape == (300, 300, 3)
