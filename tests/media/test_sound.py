"""The mix is aligned with the timeline to the sample, follows its clip's repeats, and is not distorted."""

import wave
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fantasyportrait.core.errors import MediaError, RequestError
from fantasyportrait.media.sound import SAMPLE_RATE, SoundSegment, sound_blocks, sound_length_s
from fantasyportrait.schema.timeline import FillMode
from tests.factories_media import ClipSpec, counting, make_clip, make_sound, tone


def mixed(*sources: SoundSegment, seconds: Fraction | int = 1) -> NDArray[np.float32]:
    return np.concatenate(list(sound_blocks(sources, Fraction(seconds))))


GAINS = {
    "FL": (1, 0), "FR": (0, 1), "FC": (0.7071, 0.7071), "LFE": (0, 0),
    "BL": (0.7071, 0), "BR": (0, 0.7071), "SL": (0.7071, 0), "SR": (0, 0.7071),
}  # fmt: skip
"""ITU-R BS.775: the gain of a channel to left and right."""


def distortion(mix: NDArray[np.float32], tones: Sequence[float]) -> float:
    """Root of the energy that is none of the tones over theirs (THD+N), without the 2 ms ramps at both ends."""
    mix = mix[100:-100]
    times = np.arange(len(mix)) / SAMPLE_RATE
    waves = np.stack([part(2 * np.pi * hertz * times) for hertz in tones for part in (np.sin, np.cos)], axis=1)
    fitted = waves @ np.linalg.lstsq(waves, mix.astype(np.float64), rcond=None)[0]
    return float(np.sqrt(((mix - fitted) ** 2).sum() / (fitted**2).sum()))


def level_of(mix: NDArray[np.float32], hertz: float) -> float:
    """Amplitude of one tone."""
    wave = np.exp(2j * np.pi * hertz * np.arange(len(mix)) / SAMPLE_RATE)
    return float(2 * abs(np.mean(mix * wave)))


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """Half a second in which sample i has the value i / 48000: too quiet for the limiter."""
    samples = np.repeat((np.arange(24_000, dtype=np.float32) / 48_000)[:, None], 2, axis=1)
    return make_sound(tmp_path / "ramp.wav", samples)


def places(mix: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.round(mix[:, 0] * 48_000).astype(np.int64)


def test_hold_plays_once_sample_by_sample(ramp: Path) -> None:
    mix = mixed(SoundSegment(ramp, 0.0, Fraction(1, 2)))
    assert mix.shape == (SAMPLE_RATE, 2) and mix.dtype == np.float32
    assert (places(mix)[100:23_900] == np.arange(100, 23_900)).all()
    assert not mix[24_000:].any()


def test_a_start_is_exact_to_the_sample(ramp: Path) -> None:
    mix = mixed(SoundSegment(ramp, 0.1, Fraction(1, 5)))
    assert (places(mix)[100:9_500] == 4_800 + np.arange(100, 9_500)).all()
    assert not mix[9_600:].any()


def test_a_loop_follows_the_pictures_not_the_sound(ramp: Path) -> None:
    """Frames of 1/3 s: each round begins at the nearest sample; frames of 0.6 s leave a silence."""
    mix = places(mixed(SoundSegment(ramp, 0.0, Fraction(1, 3), "loop"), seconds=20))
    for round_ in (1, 30, 59):
        assert mix[16_000 * round_ + 500] == 500
    longer = mixed(SoundSegment(ramp, 0.0, Fraction(3, 5), "loop"), seconds=2)
    assert not longer[24_000:28_800].any() and places(longer)[28_800 + 500] == 500


def test_pingpong_is_silent_on_its_way_back(ramp: Path) -> None:
    """Five frames at 25 turn round after 8 frames: 0 1 2 3 4 3 2 1 | 0."""
    mix = mixed(SoundSegment(ramp, 0.0, Fraction(1, 5), "pingpong"), seconds=1)
    assert (places(mix)[100:9_500] == np.arange(100, 9_500)).all()
    assert not mix[9_600 : 8 * 1920].any()
    assert places(mix)[8 * 1920 + 500] == 500


def test_pingpong_of_one_frame_and_tiny_loop_terminate(ramp: Path) -> None:
    for fill in ("pingpong", "loop"):
        assert len(mixed(SoundSegment(ramp, 0.0, Fraction(1, 25), fill))) == SAMPLE_RATE


@pytest.mark.parametrize("fill", ["hold", "loop", "pingpong"])
def test_a_delay_is_silence_before_the_sound(ramp: Path, fill: FillMode) -> None:
    source = SoundSegment(ramp, 0.0, Fraction(1, 5), fill, delay_s=Fraction(1, 2))
    mix = mixed(source, seconds=2)
    now = mixed(replace(source, delay_s=Fraction(0)), seconds=Fraction(3, 2))
    assert not mix[:24_000].any() and (mix[24_000:] == now).all()
    assert not mixed(replace(source, delay_s=Fraction(9)), seconds=2).any()


def test_levels_change_the_loudness_over_the_result(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "tone.wav", tone(2, 440, 0.5))
    levels = ((0.0, 1.0), (0.5, 1.0), (1.0, 0.2), (2.0, 0.2))
    mix = mixed(SoundSegment(path, 0.0, Fraction(2), levels=levels), seconds=2)
    expected = tone(2, 440, 0.5) * np.interp(np.arange(96_000) / 48_000, *zip(*levels, strict=True))[:, None]
    assert np.abs(mix - expected)[200:-200].max() < 1e-6


@pytest.mark.parametrize(("suffix", "codec"), [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("m4a", "aac"),
                                               ("ogg", "libopus"), ("flac", "flac")])  # fmt: skip
def test_the_length_of_a_sound(tmp_path: Path, suffix: str, codec: str) -> None:
    path = make_sound(tmp_path / f"a.{suffix}", tone(3.3), codec)
    assert float(sound_length_s(path)) == pytest.approx(3.3, abs=0.06)
    assert sound_length_s(make_clip(tmp_path / "mute.mp4", [counting(i) for i in range(5)])) == 0


def test_the_length_is_exact(ramp: Path) -> None:
    duration = Fraction(1001 * 7, 30000)
    assert len(mixed(SoundSegment(ramp, 0.0, duration), seconds=duration)) == round(duration * SAMPLE_RATE)
    assert mixed(seconds=1).shape == (SAMPLE_RATE, 2)


def test_mix_is_limited_and_quiet_mix_is_the_sum(tmp_path: Path) -> None:
    paths = [make_sound(tmp_path / f"{i}.wav", tone(1, 440, 0.9)) for i in range(3)]
    mix = mixed(*(SoundSegment(path, 0.0, Fraction(1)) for path in paths))
    assert 0.88 < np.abs(mix).max() < 0.9
    quiet = mixed(
        *(SoundSegment(make_sound(tmp_path / f"q{i}.wav", tone(1, 440, 0.2)), 0.0, Fraction(1)) for i in (0, 1))
    )
    assert np.abs(quiet[1000:-1000] - 2 * tone(1, 440, 0.2)[1000:-1000]).max() < 1e-5
    alone = mixed(SoundSegment(make_sound(tmp_path / "alone.wav", tone(1, 440, 0.8)), 0.0, Fraction(1)))
    assert (alone[1000:-1000] == tone(1, 440, 0.8)[1000:-1000]).all()


def test_two_full_scale_tones_mix_without_distortion(tmp_path: Path) -> None:
    for tones in ((440, 1000), (440, 445), (60, 7000)):
        paths = [make_sound(tmp_path / f"{hertz}.wav", tone(2, hertz, 1.0)) for hertz in tones]
        mix = mixed(*(SoundSegment(path, 0.0, Fraction(2)) for path in paths), seconds=2)
        assert len(mix) == 2 * SAMPLE_RATE
        assert distortion(mix[:, 0], tones) < 0.001


@pytest.mark.parametrize("layout", ["mono", "stereo", "quad", "5.1", "5.1(side)", "7.1"])
def test_every_layout_becomes_stereo_without_distortion(tmp_path: Path, layout: str) -> None:
    """Channels of half scale: each tone arrives at the level of its coefficient, all turned down alike."""
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    tones = [300 + 170 * number for number in range(len(names))]
    samples = np.stack([tone(2, hertz, 0.5)[:, 0] for hertz in tones], axis=1)
    path = make_sound(tmp_path / "sound.wav", samples, layout=layout)
    mix = mixed(SoundSegment(path, 0.0, Fraction(2)), seconds=2)
    gains = np.array([[1.0, 1.0]]) if layout == "mono" else np.array([GAINS[name] for name in names])
    for side in (0, 1):
        assert distortion(mix[:, side], tones) < 0.001
        levels = np.array([level_of(mix[:, side], hertz) for hertz in tones]) / 0.5
        loudest = gains[:, side].max()
        assert np.abs(levels / levels.max() - gains[:, side] / loudest).max() < 0.005


def test_nan_samples_are_silence(tmp_path: Path) -> None:
    samples = tone(1, 440, 0.4)
    samples[20_000:20_100] = np.nan
    samples[30_000:30_100] = np.inf
    mix = mixed(SoundSegment(make_sound(tmp_path / "broken.wav", samples), 0.0, Fraction(1)))
    assert np.isfinite(mix).all() and not mix[20_000:20_100].any()
    assert (mix[1000:20_000] == samples[1000:20_000]).all()


@pytest.mark.parametrize("layout", ["stereo", "5.1"])
def test_mix_of_huge_damaged_samples_is_finite(tmp_path: Path, layout: str) -> None:
    samples = np.repeat(tone(3)[:, :1], av.AudioLayout(layout).nb_channels, axis=1)
    samples[20_000:20_010] = 3e38
    source = SoundSegment(make_sound(tmp_path / "damaged.wav", samples, layout=layout), 0.0, Fraction(3))
    mix = mixed(source, source, seconds=3)
    assert np.isfinite(mix).all() and np.abs(mix).max() < 1
    assert np.abs(mix[96_000:140_000]).max() > 0.5  # a second and a half later it is as it was


def test_silent_clip_is_silence_and_broken_clip_an_error(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "mute.mp4", [counting(i) for i in range(5)])
    assert not mixed(SoundSegment(clip, 0.0, Fraction(1, 5), "loop")).any()
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(MediaError, match=r"text\.wav"):
        mixed(SoundSegment(tmp_path / "text.wav", 0.0, Fraction(1)))
    with pytest.raises(RequestError):
        SoundSegment(clip, 0.0, Fraction(0))


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp3", "libmp3lame"), ("m4a", "aac"), ("ogg", "libopus"), ("flac", "flac")]
)
def test_compressed_sound_of_another_rate_stays_in_place(tmp_path: Path, suffix: str, codec: str) -> None:
    rate = 48_000 if codec == "libopus" else 44_100
    samples = tone(6, 300, 0.4, rate)
    samples[: round(4.5 * rate)] = 0
    path = make_sound(tmp_path / f"beep.{suffix}", samples, codec, rate)
    for start in (0.0, 4.2):  # from the beginning, and sought
        loud = np.abs(mixed(SoundSegment(path, start, Fraction(6)), seconds=6)[:, 0]) > 0.2
        assert abs(int(loud.argmax()) / SAMPLE_RATE - (4.5 - start)) < 0.005


def test_time_begins_with_the_first_picture(tmp_path: Path) -> None:
    """Sound that starts 0.2 s before the frames loses its first 0.2 s."""
    beep = tone(1, 300, 0.4)
    beep[: SAMPLE_RATE // 2] = 0
    spec = ClipSpec(
        "mjpeg", "yuvj420p", stamps=[200 + 40 * i for i in range(20)], options=(), sound=beep, sound_codec="flac"
    )
    path = make_clip(tmp_path / "late.mkv", [counting(i) for i in range(20)], spec)
    loud = np.abs(mixed(SoundSegment(path, 0.0, Fraction(4, 5)))[:, 0]) > 0.2
    assert abs(int(loud.argmax()) / SAMPLE_RATE - 0.3) < 0.002


def test_mono_keeps_its_level(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "mono.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes((tone(1)[:, 0] * 32767).astype("<i2").tobytes())
    mix = mixed(SoundSegment(tmp_path / "mono.wav", 0.0, Fraction(1)))
    assert np.abs(mix[1000:-1000] - tone(1)[1000:-1000]).max() < 0.01
