"""Pictures in memory become the same photos as files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fantasyportrait.core.errors import RequestError
from fantasyportrait.images.images import load_photo
from fantasyportrait.images.memory_images import photo_in_memory

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def test_an_rgb_array_is_copied_as_it_is() -> None:
    given = RGB.copy()
    photo = photo_in_memory(given, "portrait")
    given[:] = 0
    assert np.array_equal(photo.pixels, RGB) and photo.pixels.dtype == np.uint8 and photo.messages == ()


def test_views_and_grey_and_transparency() -> None:
    bgr = RGB[..., ::-1]
    assert np.array_equal(photo_in_memory(bgr, "portrait").pixels, bgr)
    grey = RGB[..., 0]
    for array in (grey, grey[..., None]):
        assert np.array_equal(photo_in_memory(array, "portrait").pixels, np.stack([grey] * 3, axis=-1))
    clear = np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)])
    photo = photo_in_memory(clear, "portrait")
    assert (photo.pixels == 255).all() and photo.messages == ("transparent parts were laid on white",)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((512, 512)),
        np.zeros((6, 8, 3), np.float32),
        np.zeros((6, 8, 3), np.uint16),
        np.zeros((6, 8), bool),
        np.zeros((6, 8, 2), np.uint8),
        np.zeros((3, 6, 8), np.uint8),
        np.zeros((1, 6, 8, 3), np.uint8),
        np.zeros((6, 0, 3), np.uint8),
        np.zeros(6, np.uint8),
        np.array(None),
    ],
)
def test_invalid_array_error_names_dtype_and_shape(array: np.ndarray) -> None:
    with pytest.raises(RequestError) as caught:
        photo_in_memory(array, "portrait")
    assert str(caught.value) == (
        f"portrait is a {array.dtype} array {array.shape}: give uint8 RGB (H, W, 3), RGBA (H, W, 4) or grey (H, W)"
    )


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_pillow_image_is_read_as_its_file(mode: str, tmp_path: Path) -> None:
    grey = Image.fromarray(RGB[..., 0].astype(np.uint16) * 257)
    image = grey if mode == "I;16" else Image.fromarray(RGB).convert(mode)
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    image.save(path)
    with Image.open(path) as opened:
        assert np.array_equal(photo_in_memory(opened, "portrait").pixels, load_photo(path).pixels)


def test_a_pillow_image_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert np.array_equal(photo_in_memory(opened, "portrait").pixels, np.rot90(RGB, -1))


def test_an_image_of_floats_is_refused() -> None:
    with pytest.raises(RequestError, match="portrait is an image of mode F"):
        photo_in_memory(Image.new("F", (4, 4)), "portrait")


def test_an_image_that_pillow_cannot_read_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    closed = Image.open(tmp_path / "whole.png")
    closed.close()
    for image in (closed, Image.open(tmp_path / "cut.png"), Image.new("La", (8, 8))):
        with pytest.raises(RequestError, match=f"portrait is an image of mode {image.mode} that cannot be read"):
            photo_in_memory(image, "portrait")
