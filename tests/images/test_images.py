"""Photos of every kind are read as upright sRGB on white; hostile ones are refused."""

import struct
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image, ImageCms

from fantasyportrait.core.errors import DependencyError, MediaError, OutputError
from fantasyportrait.images.images import even_size, load_photo, resize, save_image, save_photo
from tests.factories_media import quadrants

PICTURE = quadrants(64, 48)


def close(pixels: np.ndarray, expected: np.ndarray, most: float = 6.0) -> bool:
    return pixels.shape == expected.shape and bool(np.abs(pixels.astype(int) - expected).mean() < most)


@pytest.mark.parametrize(("suffix", "options"), [
    ("png", {}), ("jpg", {"quality": 95}), ("webp", {"quality": 95}), ("avif", {"quality": 95}), ("gif", {}),
])  # fmt: skip
def test_formats(tmp_path: Path, suffix: str, options: dict[str, int]) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(PICTURE).save(path, **options)
    photo = load_photo(path)
    assert close(photo.pixels, PICTURE) and photo.pixels.dtype == np.uint8
    assert photo.messages == () and len(photo.sha256) == 64


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    undo = [
        lambda p: p,
        lambda p: p[:, ::-1],
        lambda p: p[::-1, ::-1],
        lambda p: p[::-1],
        lambda p: p.transpose(1, 0, 2),
        lambda p: np.rot90(p, 1),
        lambda p: np.rot90(p, 2).transpose(1, 0, 2),
        lambda p: np.rot90(p, -1),
    ]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undo[orientation - 1](PICTURE))).save(tmp_path / "a.png", exif=exif)
    assert (load_photo(tmp_path / "a.png").pixels == PICTURE).all()


def test_cmyk_grey_and_bilevel(tmp_path: Path) -> None:
    image = Image.fromarray(PICTURE)
    image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert close(load_photo(tmp_path / "cmyk.jpg").pixels, PICTURE, 8)
    image.convert("L").save(tmp_path / "grey.png")
    grey = load_photo(tmp_path / "grey.png").pixels
    assert grey.shape == (48, 64, 3) and (grey[..., 0] == np.asarray(image.convert("L"))).all()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16) > 99).save(tmp_path / "one.png")
    assert set(np.unique(load_photo(tmp_path / "one.png").pixels)) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(np.zeros((8, 8, 3), np.uint8)).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 4, 8))
    image.convert(mode).save(tmp_path / "a.png")
    photo = load_photo(tmp_path / "a.png")
    assert (photo.pixels[:, :4] == 255).all() and (photo.pixels[:, 4:] == 0).all()
    assert "white" in photo.messages[0]


def test_palette_and_sixteen_bits(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).quantize(8).save(tmp_path / "p.png")
    assert close(load_photo(tmp_path / "p.png").pixels, PICTURE, 3)
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    photo = load_photo(tmp_path / "deep.png")
    assert (photo.pixels[..., 0].ravel() == np.arange(256)).all() and "16-bit" in photo.messages[0]


def test_colour_profiles(tmp_path: Path) -> None:
    image = Image.fromarray(PICTURE)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "srgb.png", icc_profile=srgb)
    assert close(load_photo(tmp_path / "srgb.png").pixels, PICTURE, 1.5)
    image.save(tmp_path / "lab.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())
    image.save(tmp_path / "junk.png", icc_profile=b"not a profile at all")
    for name in ("lab.png", "junk.png"):
        photo = load_photo(tmp_path / name)
        assert (photo.pixels == PICTURE).all() and "profile" in photo.messages[0]


def test_a_swapped_profile_changes_the_pixels(tmp_path: Path) -> None:
    """A profile whose red and green primaries are exchanged: red must come out green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    Image.fromarray(PICTURE).save(tmp_path / "a.png", icc_profile=bytes(profile))
    corner = load_photo(tmp_path / "a.png").pixels[4, 4].astype(int)
    assert corner[1] > 150 > corner[0]


def test_animation_uses_first_picture_with_message(tmp_path: Path) -> None:
    frames = [Image.fromarray(PICTURE), Image.fromarray(PICTURE[::-1].copy())]
    for suffix in ("gif", "webp"):
        frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
        photo = load_photo(tmp_path / f"a.{suffix}")
        assert close(photo.pixels, PICTURE) and "first" in photo.messages[0]


def huge_png(path: Path, side: int) -> Path:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = b""
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


@pytest.mark.parametrize("side", [6_400, 10_000, 50_000])
def test_a_huge_header_is_refused_before_decoding(tmp_path: Path, side: int) -> None:
    with pytest.raises(MediaError, match="40 million"):
        load_photo(huge_png(tmp_path / "huge.png", side))


def test_broken_photos_are_refused_in_words(tmp_path: Path) -> None:
    for suffix in ("png", "jpg", "webp", "avif", "gif"):
        path = tmp_path / f"cut.{suffix}"
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(MediaError, match=path.name):
            load_photo(path)
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").touch()
    Image.fromarray(PICTURE).save(tmp_path / "a.pcx")
    for name in ("text.png", "empty.png", "a.pcx", "missing.png", "."):
        with pytest.raises(MediaError):
            load_photo(tmp_path / name)


@given(st.data())
def test_damaged_bytes_never_crash(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a"
        Image.fromarray(PICTURE).save(path, data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP"])))
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 6))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        with suppress(MediaError, DependencyError):
            assert load_photo(path).pixels.ndim == 3


def test_heic_names_its_extra(tmp_path: Path) -> None:
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        path = tmp_path / "photo.heic"
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100)
        with pytest.raises(DependencyError, match=r"fantasyportrait\[heic\]"):
            load_photo(path)
    Image.fromarray(PICTURE).save(tmp_path / "really_a_png.heic", "PNG")
    assert (load_photo(tmp_path / "really_a_png.heic").pixels == PICTURE).all()


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(2, 4_000))
def test_even_sizes(width: int, height: int, cap: int) -> None:
    size = even_size(width, height, cap)
    assert all(side % 2 == 0 and 2 <= side <= cap for side in size)
    if width % 2 == height % 2 == 0 and max(width, height) <= cap:
        assert size == (width, height)
    scale = min(1, cap / max(width, height))
    assert all(abs(got - max(2, side * scale)) <= 2 for got, side in zip(size, (width, height), strict=True))


def test_saving(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", PICTURE)
    assert (load_photo(tmp_path / "a.png").pixels == PICTURE).all()
    assert resize(PICTURE, (64, 48)) is PICTURE and resize(PICTURE, (10, 6)).shape == (6, 10, 3)
    for bad in (tmp_path / "a.bmp", tmp_path / "no" / "a.png"):
        with pytest.raises(OutputError):
            save_image(bad, PICTURE)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_real_photos(media_dir: Path) -> None:
    assert load_photo(media_dir / "two_person.png").pixels.shape == (610, 1084, 3)
    for name in ("woman.jpg", "man.jpeg", "cat.jpg", "statue.jpg"):
        assert load_photo(media_dir / name).pixels.shape[2] == 3


@given(st.binary(min_size=48, max_size=48), st.binary(min_size=16, max_size=16))
def test_saved_transparent_photo_is_read_unchanged(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, a: bytes
) -> None:
    path = tmp_path_factory.mktemp("photo") / "a.png"
    colours, alpha = np.frombuffer(raw, np.uint8).reshape(4, 4, 3), np.frombuffer(a, np.uint8).reshape(4, 4)
    Image.fromarray(np.dstack([colours, alpha])).save(path)
    first = load_photo(path)
    save_photo(path, first)
    again = load_photo(path)
    np.testing.assert_array_equal(again.pixels, first.pixels)
    assert (first.alpha is None) == (again.alpha is None)
    if first.alpha is not None:
        np.testing.assert_array_equal(again.alpha, first.alpha)
