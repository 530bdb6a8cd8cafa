"""A reel: clips of different sizes, rates and formats become one video with card, fades, captions, sound and music."""

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from fantasyportrait.core import optional
from fantasyportrait.core.errors import DependencyError, FantasyPortraitError, MediaError, OutputError, RequestError
from fantasyportrait.images.images import save_image
from fantasyportrait.media.clips import native_rate, probe_clip, read_clip
from fantasyportrait.media.request_files import REQUEST_KEY
from fantasyportrait.media.sound import SAMPLE_RATE, SoundSegment, sound_blocks
from fantasyportrait.media.writer import VideoWriter
from fantasyportrait.reel import title_cards
from fantasyportrait.reel.reel import Reel, make_reel, music_levels
from fantasyportrait.reel.reel_scene import fitted
from fantasyportrait.reel.title_cards import caption, title_card, usable_font
from fantasyportrait.schema.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sound_file import SoundFile
from tests.factories_media import ClipSpec, counting, make_clip, make_sound, number_of, tone

RED, GREEN, BLUE = (220, 20, 20), (20, 200, 20), (20, 20, 220)


def plain(colour: tuple[int, int, int], width: int, height: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


@pytest.fixture
def clips(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two seconds each: a red landscape with a tone, a green portrait without sound, a blue square as GIF."""
    red = ClipSpec(sound=tone(2, 440, 0.5))
    make_clip(tmp_path / "red.mp4", [plain(RED, 192, 108)] * 50, red)
    options = (("deadline", "realtime"),)
    make_clip(
        tmp_path / "green.webm",
        [plain(GREEN, 60, 108)] * 30,
        ClipSpec("libvpx-vp9", rate=Fraction(15), options=options),
    )
    with VideoWriter(tmp_path / "blue.gif", (64, 64), Fraction(10)) as writer:
        for number in range(20):
            writer.write(plain(BLUE if number % 2 else (20, 20, 200), 64, 64))
    return tmp_path / "red.mp4", tmp_path / "green.webm", tmp_path / "blue.gif"


def frames_of(path: Path) -> list[NDArray[np.uint8]]:
    return list(read_clip(path, probe_clip(path).rate))


def middle(frame: NDArray[np.uint8]) -> list[int]:
    height, width = frame.shape[:2]
    return [
        round(float(value)) for value in frame[height // 2 - 4 : height // 2, width // 2 - 4 : width // 2].mean((0, 1))
    ]


def near(colour: Sequence[int], expected: Sequence[int], most: int = 14) -> bool:
    return max(abs(a - b) for a, b in zip(colour, expected, strict=True)) <= most


def test_clips_of_any_size_and_rate_are_joined(clips: tuple[Path, ...], tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    timeline = make_reel(Reel(clips, title="Three", fade_s=0.4), tmp_path / "reel.mp4", lambda *step: done.append(step))
    assert timeline.frames == 75 + 3 * 50 - 3 * 10 and done[-1] == (195, 195)
    info = probe_clip(tmp_path / "reel.mp4")
    assert (info.width, info.height, info.has_sound) == (192, 108, True) and native_rate(info.path) == (
        Fraction(25),
        True,
    )
    frames = frames_of(info.path)
    assert len(frames) == 195
    assert near(middle(frames[90]), RED) and near(middle(frames[130]), GREEN) and near(middle(frames[170]), BLUE, 30)
    mixed = middle(frames[110])  # half way from red to green
    assert near(mixed, [120, 110, 20], 40)
    assert max(middle(frames[-1])) < 30
    assert frames[130][50, 5].max() < 100 and frames[130][50, 5, 1] > 40  # beside the portrait: its own dark copy


def test_without_fades_cuts_are_exact(clips: tuple[Path, ...], tmp_path: Path) -> None:
    make_reel(Reel(clips, fade_s=0), tmp_path / "reel.mp4")
    frames = frames_of(tmp_path / "reel.mp4")
    assert len(frames) == 150
    shown = [max(range(3), key=lambda i, frame=frame: middle(frame)[i]) for frame in frames]
    assert shown == [0] * 50 + [1] * 50 + [2] * 50


def test_every_frame_of_a_clip_is_shown_once(tmp_path: Path) -> None:
    """At its own rate nothing is doubled or lost, fractions of a rate included."""
    clip = make_clip(
        tmp_path / "a.mp4", [counting(number) for number in range(24)], ClipSpec(rate=Fraction(30000, 1001))
    )
    make_reel(Reel((clip, clip), fade_s=0), tmp_path / "reel.mp4")
    assert [number_of(frame) for frame in frames_of(tmp_path / "reel.mp4")] == [*range(24)] * 2


def test_clip_sound_fades_and_music_is_lowered(clips: tuple[Path, ...], tmp_path: Path) -> None:
    music = make_sound(tmp_path / "music.wav", tone(1.0, 110, 0.5))
    reel = Reel(clips, title="Three", fade_s=0.4, music=SoundFile(music), music_volume=0.8)
    timeline = make_reel(reel, tmp_path / "reel.mp4")
    mix = np.concatenate(
        list(sound_blocks([SoundSegment(tmp_path / "reel.mp4", 0.0, timeline.duration_s)], timeline.duration_s))
    )[:, 0]

    def level(hertz: float, at_s: float) -> float:
        part = mix[round(at_s * SAMPLE_RATE) :][:9600]
        wave = np.exp(2j * np.pi * hertz * np.arange(len(part)) / SAMPLE_RATE)
        return float(2 * abs(np.mean(part * wave)))

    assert level(110, 1.5) == pytest.approx(0.4, abs=0.03) and level(440, 1.5) < 0.01  # the card
    assert level(110, 3.5) == pytest.approx(0.1, abs=0.03) and level(440, 3.5) == pytest.approx(0.5, abs=0.03)
    assert level(110, 5.2) == pytest.approx(0.4, abs=0.03) and level(440, 5.2) < 0.01  # a clip without sound
    assert level(110, 7.59) < 0.06


def test_captions_and_titles_are_drawn(clips: tuple[Path, ...], tmp_path: Path) -> None:
    texts = ("first", "", "a caption so long that it must be broken into more than a single line")
    make_reel(Reel(clips, captions=texts, fade_s=0, size=(320, 180)), tmp_path / "reel.mp4")
    plain_reel = make_reel(Reel(clips, fade_s=0, size=(320, 180)), tmp_path / "plain.mp4")
    pairs = list(zip(frames_of(tmp_path / "reel.mp4"), frames_of(tmp_path / "plain.mp4"), strict=True))
    assert len(pairs) == plain_reel.frames
    changed = [np.abs(a.astype(int) - b)[90:].mean() for a, b in pairs]
    assert changed[25] > 0.5 and changed[75] < 0.5 and changed[125] > changed[25]
    card = title_card((320, 180), "Title", "below")
    assert card.shape == (180, 320, 3) and card.max() > 230 and card[:, :8].max() < 60


@pytest.mark.parametrize("suffix", ["webm", "gif"])
def test_webm_and_gif_are_written(clips: tuple[Path, ...], tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"reel.{suffix}"
    make_reel(Reel(clips[:2], fade_s=0.2, rate=Fraction(10)), out)
    assert len(list(read_clip(out, Fraction(10)))) == 38


def test_picture_lasts_three_seconds(clips: tuple[Path, ...], tmp_path: Path) -> None:
    save_image(tmp_path / "face.png", plain(GREEN, 100, 100))
    assert make_reel(Reel((tmp_path / "face.png", clips[0]), fade_s=0), tmp_path / "reel.mp4").duration_s == 5


def test_captions_from_names_and_from_casts(clips: tuple[Path, ...], tmp_path: Path) -> None:
    cast = (Role(1, ClipSource(tmp_path / "talk.mp4")), Role(2, BuiltinSource("laugh")), Role(3, None))
    request = AnimationRequest(tmp_path / "photo.png", cast)
    request.save(tmp_path / "red.request.json")
    from fantasyportrait.reel.reel import _captions

    assert _captions(Reel(clips[:1], captions="cast")) == ("1: talk, 2: laugh",)
    assert _captions(Reel(clips, captions="name")) == ("red", "green", "blue")
    assert _captions(Reel(clips)) == ("", "", "")
    (tmp_path / "green.webm.request.json").write_text(json.dumps(json.loads(request.to_json())))
    assert _captions(Reel(clips[1:2], captions="cast")) == ("1: talk, 2: laugh",)
    with VideoWriter(
        tmp_path / "own.mp4", (64, 64), Fraction(25), metadata={REQUEST_KEY: request.portable_json()}
    ) as writer:
        writer.write(plain(BLUE, 64, 64))
    assert _captions(Reel((tmp_path / "own.mp4",), captions="cast")) == ("1: talk, 2: laugh",)
    with pytest.raises(MediaError, match=r"there is no request next to .*blue\.gif"):
        _captions(Reel(clips, captions="cast"))


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"clips": ()}, RequestError, "a reel of 0 clips"),
        ({"clips": (Path("a.mp4"),) * 51}, RequestError, "a reel of 51 clips"),
        ({"fade_s": 1.5}, RequestError, r"red\.mp4 lasts 2.00 s, too short for two fades of 1.52 s: give --fade 1"),
        ({"fade_s": float("nan")}, RequestError, "fade is nan"),
        ({"captions": ("one",)}, RequestError, "1 captions are given for 3 clips"),
        ({"captions": "cats"}, RequestError, "did you mean cast"),
        ({"subtitle": "below"}, RequestError, "without a title"),
        ({"size": (33, 100)}, RequestError, "size is 33x100"),
        ({"font": Path("no.ttf"), "title": "a"}, MediaError, "no.ttf is not a font"),
        ({"music": SoundFile(Path("no.mp3"))}, MediaError, "no.mp3"),
        ({"clips": (Path("no.mp4"),)}, MediaError, "no.mp4"),
    ],
)
def test_invalid_reels_are_refused(
    clips: tuple[Path, ...], tmp_path: Path, change: dict[str, object], kind: type[FantasyPortraitError], words: str
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(kind, match=words):
        make_reel(replace(Reel(clips), **change), tmp_path / "reel.mp4")  # type: ignore[arg-type]
    assert sorted(tmp_path.iterdir()) == before


def test_unwritable_output_is_an_error(clips: tuple[Path, ...], tmp_path: Path) -> None:
    for output, kind, words in (
        (tmp_path / "reel.avi", RequestError, "end it in .mp4, .webm or .gif"),
        (clips[0], RequestError, "overwrite its input"),
        (tmp_path / "none" / "reel.mp4", OutputError, "does not exist"),
    ):
        with pytest.raises(kind, match=words):
            make_reel(Reel(clips), output)


def test_without_moviepy_the_extra_is_named(
    clips: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optional.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"cutting a reel needs the package moviepy.*fantasyportrait\[reel\]"):
        make_reel(Reel(clips), tmp_path / "reel.mp4")


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 10)), max_size=4), st.floats(1, 30), st.floats(0, 1))
def test_music_level_is_bounded_and_low_under_sound(
    spans: list[tuple[float, float]], duration_s: float, volume: float
) -> None:
    heard = [(begin, begin + length) for begin, length in spans]
    times, levels = zip(*music_levels(heard, duration_s, volume), strict=True)
    assert list(times) == sorted(set(times)) and times[0] == 0 and times[-1] == duration_s
    assert levels[0] == levels[-1] == 0 and all(0 <= level <= volume + 1e-9 for level in levels)
    for begin, end in heard:
        inside = np.interp(np.linspace(begin, min(end, duration_s), 9), times, levels)
        assert (inside <= 0.25 * volume + 1e-9).all() or begin > duration_s


@given(st.integers(1, 300), st.integers(1, 300))
def test_any_picture_fits_the_canvas(width: int, height: int) -> None:
    pixels = np.full((height, width, 3), 255, np.uint8)
    frame = fitted(pixels, (160, 90))
    assert frame.shape == (90, 160, 3)
    rows, columns = np.nonzero(frame.min(axis=2) > 250)
    across, down = np.ptp(columns) + 1, np.ptp(rows) + 1
    assert across == 160 or down == 90
    assert (
        across / down == pytest.approx(width / height, rel=0.5 if min(across, down) < 3 else 0.2)
        or min(across, down) < 2
    )


def test_captions_fit_the_frame() -> None:
    for size in ((1280, 720), (320, 568), (64, 64)):
        band = caption(size, "many words " * 12)
        assert band.shape[2] == 4 and band.shape[1] <= size[0] and band.shape[0] <= size[1]


def test_a_font_must_have_every_letter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert usable_font(("Title", "1/2 & more"), None) is None
    with pytest.raises(MediaError, match="is not a font"):
        usable_font(("a",), tmp_path / "no.ttf")
    monkeypatch.setattr(title_cards, "_SYSTEM_FONTS", ())
    with pytest.raises(RequestError, match="cannot draw the character '你'.*--font"):
        usable_font(("hello", "你好"), None)
