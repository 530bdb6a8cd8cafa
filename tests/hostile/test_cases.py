"""Hostile files found outside: each gives its expected result, in this process and in a child."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PUBLIC
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.sandbox.decoder import SandboxDecoder

PHOTOS = {
    "exifq_1000000.png": "carries 977 KiB of metadata",
    "faces144.jpg": (1260, 1260, 3),
    "i00067-p_avif-junk.avif": "is damaged or cut off",
    "i00330-an_avif-flip.avif": "is damaged or cut off",
    "i00457-p_avif-junk.avif": "is damaged or cut off",
    "i00802-p_avif-int.avif": "is damaged or cut off",
    "png_1x39999999_8_0.png": "longest side may be 12000 pixels",
    "scans_3000_3000.jpg": "more than 64 scans",
    "v_frames10k.gif": (32, 32, 3),
}
CLIPS = {
    "gap59_30f.mp4": "fewer than one in 2 s|would be used for 1711 s, and at most 600 s",
    "gap59_400f.mp4": "fewer than one in 2 s|would be used for 23541 s, and at most 600 s",
    "h264_444_10_7680x5184.mkv": "frames of 7680 x 5184 in yuv444p10le",
    "people64_2s.mp4": 50,
    "v00188-nut_nut-splice.nut": 1,
    "v01207-ivf_ivf-junk.ivf": 8,
    "v_frames10k.gif": "more than 3000 pictures",
}


@pytest.fixture(scope="module", params=[False, True], ids=["local", "sandbox"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    """The decoder of this process and the sandbox decoder."""
    if not request.param:
        yield LocalDecoder(PUBLIC)
        return
    with closing(SandboxDecoder(PUBLIC)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def folder(repository: Path) -> Path:
    """The folder of the files, which cannot be distributed."""
    place = repository.parent / "shared" / "cases" / "hostile"
    if not place.is_dir():
        pytest.skip("the hostile files of ../shared/cases are not on this machine")
    return place


@pytest.mark.parametrize(("name", "value"), PHOTOS.items())
def test_photos(decoder: Decoder, folder: Path, name: str, value: str | tuple[int, ...]) -> None:
    if isinstance(value, str):
        with pytest.raises(MediaError, match=value):
            decoder.photo(folder / name)
    else:
        assert decoder.photo(folder / name).pixels.shape == value


@pytest.mark.parametrize(("name", "value"), CLIPS.items())
def test_clips(decoder: Decoder, folder: Path, name: str, value: str | int) -> None:
    if isinstance(value, str):
        with pytest.raises(MediaError, match=value):
            decoder.probe(folder / name)
        with pytest.raises(MediaError, match=value):
            list(decoder.frames(folder / name, max_side=960))
    else:
        assert decoder.probe(folder / name).width
        assert len(list(decoder.frames(folder / name, max_side=960))) == value
