"""Recordings of a webcam: remuxed with a duration, with their times and sound; broken ones are refused."""

import random
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, strategies as st

from fantasyportrait.core.errors import MediaError
from fantasyportrait.core.limits import PUBLIC
from fantasyportrait.media import remux
from fantasyportrait.media.clips import probe_clip, read_native_frames
from fantasyportrait.media.decoder import Decoder, LocalDecoder
from fantasyportrait.media.sound import read_sound
from fantasyportrait.sandbox.decoder import SandboxDecoder
from fantasyportrait.studio.webcam_takes import save_take, take_name
from tests.factories_media import ClipSpec, counting, make_clip, make_sound, tone
from tests.hostile.mutations import mutate

# As of a camera in poor light: neither constant nor whole milliseconds apart.
STAMPS = [0, 33, 67, 167, 200, 300, 340, 380, 500, 533, 600, 640, 700, 790, 800, 900, 950, 1000, 1040, 1100]
FAST = (("preset", "ultrafast"), ("g", "5"))
SILENCE_S = 0.5
SOUND = np.concatenate([np.zeros((round(SILENCE_S * 48000), 2), np.float32), tone(0.6)])
VP8 = ClipSpec("libvpx", stamps=STAMPS, options=(("deadline", "realtime"),), sound=SOUND, sound_codec="libopus")
RECORDINGS = {
    "chrome.webm": (VP8, "webm", {"live": "1"}, "webm"),
    "silent.webm": (ClipSpec("libvpx-vp9", stamps=STAMPS, options=(("deadline", "realtime"),)), "webm", {"live": "1"},
                    "webm"),
    "chrome.mkv": (ClipSpec("libx264", stamps=STAMPS, options=FAST, sound=SOUND, sound_codec="libopus"), "matroska",
                   {"live": "1"}, "mp4"),
    "safari.mp4": (ClipSpec("libx264", stamps=STAMPS, options=FAST, sound=SOUND, rotation=(90, False, False)),
                   "mp4", {"movflags": "frag_keyframe+empty_moov"}, "mp4"),
}  # fmt: skip


class Pipe:
    """A file that cannot be searched, as a browser's recorder writes: the header is never completed."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


def recorded(folder: Path, name: str) -> Path:
    """A recording as browsers make it."""
    spec, kind, options, _ = RECORDINGS[name]
    clip = make_clip(folder / f"source-{name}", [counting(index) for index in range(len(STAMPS))], spec)
    pipe: Any = Pipe()
    with av.open(str(clip)) as source, av.open(pipe, "w", format=kind, options=options) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    path = folder / name
    path.write_bytes(pipe.data)
    return path


def sound_begin_s(path: Path) -> float:
    """When the tone begins."""
    return float(np.argmax(np.abs(np.concatenate(list(read_sound(path)))[:, 0]) > 0.1) / 48000)


def stated_durations(path: Path) -> list[int | None]:
    """Durations in the header of the file and, for MP4, of its streams."""
    with av.open(str(path)) as container:
        streams = [stream.duration for stream in container.streams] if path.suffix == ".mp4" else []
        return [container.duration, *streams]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxDecoder]:
    """A decoder in child processes."""
    decoder = SandboxDecoder(PUBLIC)
    yield decoder
    decoder.close()


@pytest.fixture(params=["local", "sandbox"])
def decoder(request: pytest.FixtureRequest, sandbox: SandboxDecoder) -> Decoder:
    """Each decoder."""
    return LocalDecoder(PUBLIC) if request.param == "local" else sandbox


@pytest.mark.parametrize("name", RECORDINGS)
def test_take_states_its_duration_and_keeps_frames_times_and_sound(decoder: Decoder, tmp_path: Path, name: str) -> None:
    recording = recorded(tmp_path, name)
    if name != "safari.mp4":
        assert stated_durations(recording)[0] is None
    take = save_take(decoder, recording, tmp_path / "c0ffee")
    assert take.name == f"c0ffee.{RECORDINGS[name][3]}"
    assert all(duration is not None and duration > 0 for duration in stated_durations(take))
    before, after = list(read_native_frames(recording)), list(read_native_frames(take))
    times = [begin for begin, _, _ in before]
    assert times == [begin for begin, _, _ in after] and len(set(np.diff(times))) > 2
    assert all(np.array_equal(old[2], new[2]) for old, new in zip(before, after, strict=True))
    assert probe_clip(take).has_sound == probe_clip(recording).has_sound == (RECORDINGS[name][0].sound is not None)
    assert (probe_clip(take).width, probe_clip(take).height) == ((48, 64) if name == "safari.mp4" else (64, 48))
    if probe_clip(take).has_sound:
        begins_s = [sound_begin_s(recording), sound_begin_s(take)]
        assert begins_s[0] == pytest.approx(SILENCE_S, abs=0.03)
        assert begins_s[1] == pytest.approx(begins_s[0], abs=0.015)  # a codec's delay is stated in another way


@pytest.mark.parametrize("name", ["chrome.webm", "chrome.mkv"])
def test_player_can_seek_in_a_take(tmp_path: Path, name: str) -> None:
    take = save_take(LocalDecoder(), recorded(tmp_path, name), tmp_path / "take")
    with av.open(str(take)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        container.seek(round(Fraction(9, 10) / stream.time_base), stream=stream)
        first = next(container.decode(stream))
        assert first.time is not None and first.time <= 0.9
        assert (take.suffix == ".webm") or first.time > 0  # VP8 has one key frame here


def test_cut_off_recording_keeps_what_is_there(decoder: Decoder, tmp_path: Path) -> None:
    recording = recorded(tmp_path, "chrome.webm")
    recording.write_bytes(recording.read_bytes()[:-6000])
    take = save_take(decoder, recording, tmp_path / "take")
    assert 3 < len(list(read_native_frames(take))) < len(STAMPS)


def broken(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no recording, and what the error says."""
    empty, text = folder / "empty.webm", folder / "text.webm"
    empty.write_bytes(b"")
    text.write_bytes(b"no recording " * 100)
    header = folder / "header.webm"
    header.write_bytes(recorded(folder, "chrome.webm").read_bytes()[:300])
    return {
        "empty": (empty, "is empty"),
        "text": (text, "is damaged, or is no recording: record it again"),
        "header": (header, "record it again"),
        "sound": (make_sound(folder / "sound.webm", tone(0.5), "libopus"), "holds sound but no picture"),
        "missing": (folder / "missing.webm", "missing.webm"),
    }


@pytest.mark.parametrize("kind", ["empty", "text", "header", "sound", "missing"])
def test_broken_recording_is_refused_in_one_sentence_and_leaves_nothing(
    decoder: Decoder, tmp_path: Path, kind: str
) -> None:
    path, message = broken(tmp_path)[kind]
    (tmp_path / "files").mkdir()
    with pytest.raises(MediaError, match=message) as caught:
        save_take(decoder, path, tmp_path / "files" / "take")
    assert "\n" not in str(caught.value) and not list((tmp_path / "files").iterdir())


def test_recording_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remux, "MAX_RECORDING_BYTES", 1000)
    with pytest.raises(MediaError, match="record a shorter one"):
        save_take(LocalDecoder(), recorded(tmp_path, "chrome.webm"), tmp_path / "take")


def test_large_recording_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = recorded(tmp_path, "chrome.webm")
    whole = save_take(LocalDecoder(), recording, tmp_path / "whole").read_bytes()
    monkeypatch.setattr(remux, "_PIECE_BYTES", 1000)
    with closing(LocalDecoder().remux(recording)) as pieces:
        assert len(list(pieces)) == -(-len(whole) // 1000)


def test_damaged_recordings_are_read_or_refused(sandbox: SandboxDecoder, tmp_path: Path) -> None:
    contents = {name: recorded(tmp_path, name).read_bytes() for name in RECORDINGS}
    generator, results = random.Random(5), {"read": 0, "refused": 0}
    for number in range(80):
        name = list(contents)[number % len(contents)]
        path = tmp_path / f"damaged-{name}"
        path.write_bytes(mutate(contents[name], generator, list(contents.values())))
        try:
            save_take(sandbox, path, tmp_path / "take")
            results["read"] += 1
        except MediaError:
            results["refused"] += 1
    assert min(results.values()) > 0, results


@given(st.lists(st.integers(1, 999_999)))
def test_next_take_has_the_next_number(numbers: list[int]) -> None:
    names = [f"webcam take {number}" for number in numbers]
    assert take_name(["webcam take", "my clip.mp4", *names]) == f"webcam take {max(numbers, default=0) + 1}"
