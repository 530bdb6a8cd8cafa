"""Reports on checked clips: real people, pictures as clips, files that lie about their length, hostile files."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError, MediaError, OutputError
from fantasyportrait.core.limits import PUBLIC
from fantasyportrait.images.images import load_photo, save_image
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.decoder import LocalDecoder
from fantasyportrait.sandbox.decoder import SandboxDecoder
from fantasyportrait.service.input_reader import InputReader
from fantasyportrait.studio.clip_report import ClipReport, check_clip, check_reported_length
from fantasyportrait.studio.clip_state import ClipState
from fantasyportrait.studio.clip_update import ClipUpdate
from tests.conftest import Inputs
from tests.factories_media import ClipSpec, make_clip
from tests.hostile.seeds import CLIP, seeds


@pytest.fixture(scope="module")
def reader(models_dir: Path) -> InputReader:
    """Reads in this process."""
    return InputReader(decoder=LocalDecoder(PUBLIC))


@pytest.fixture(scope="module")
def sandboxed(models_dir: Path) -> Iterator[InputReader]:
    """Reads in child processes."""
    decoder = SandboxDecoder(PUBLIC)
    yield InputReader(decoder=decoder)
    decoder.close()


@pytest.fixture(scope="module")
def pair(reader: InputReader, inputs: Inputs) -> ClipReport:
    """The report on a clip of two persons."""
    return check_clip(reader, inputs.nodding_pair)


def faces(reader: InputReader, pixels: np.ndarray, folder: Path) -> int:
    """How many faces a picture shows; it is enlarged, as small faces are refused."""
    path = folder / "seen.png"
    save_image(path, cv2.resize(pixels, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC))
    return len(reader.faces(path)[1])


def test_report_has_the_properties_of_the_clip(pair: ClipReport, inputs: Inputs, reader: InputReader) -> None:
    info = reader.decoder.probe(inputs.nodding_pair)
    assert (pair.width, pair.height, pair.fps) == (info.width, info.height, float(info.rate))
    assert pair.duration_s == pytest.approx(info.duration_s, abs=0.04)
    assert max(pair.poster.shape) == 320 and pair.poster.shape[0] * info.width == pytest.approx(
        pair.poster.shape[1] * info.height, rel=0.01
    )
    assert len(pair.strip) == 9 and {frame.shape[0] for frame in pair.strip} == {96}


def test_each_person_has_a_thumbnail_of_the_own_face(
    pair: ClipReport, reader: InputReader, two_person: Path, tmp_path: Path
) -> None:
    assert [person.id for person in pair.people] == [1, 2] and all(person.seen == 1.0 for person in pair.people)
    assert sum(person.leads for person in pair.people) == 1
    assert {person.thumb.shape for person in pair.people} == {(160, 160, 3)}
    assert all(faces(reader, person.thumb, tmp_path) == 1 for person in pair.people)
    photo, found = reader.faces(two_person)
    for person, face in zip(pair.people, found, strict=True):
        left, top, right, bottom = face.box.astype(int)
        own = photo.pixels[top:bottom, left:right].mean(axis=(0, 1))
        distances = [np.abs(other.thumb[40:120, 40:120].mean(axis=(0, 1)) - own).sum() for other in pair.people]
        assert int(np.argmin(distances)) == person.id - 1


def test_poster_shows_both_persons(pair: ClipReport, reader: InputReader, tmp_path: Path) -> None:
    assert faces(reader, pair.poster, tmp_path) == 2


def test_person_who_is_seen_briefly_has_the_share_and_a_thumbnail(
    reader: InputReader, two_person: Path, tmp_path: Path
) -> None:
    pixels = cv2.resize(load_photo(two_person).pixels, (512, 288), interpolation=cv2.INTER_AREA)
    alone = pixels.copy()
    alone[:, 256:] = 90
    # The second person is on 20 of 150 frames, the candidates are three frames apart.
    clip = make_clip(tmp_path / "brief.mp4", [alone] * 70 + [pixels] * 20 + [alone] * 60)
    report = check_clip(reader, clip)
    assert [person.seen for person in report.people] == [1.0, pytest.approx(20 / 150, abs=0.03)]
    assert all(faces(reader, person.thumb, tmp_path) == 1 for person in report.people)
    assert any(text.startswith("person 2: the face is lost in") for text in report.messages)
    assert faces(reader, report.poster, tmp_path) == 2


def test_still_picture_is_a_clip_of_one_frame(reader: InputReader, inputs: Inputs) -> None:
    report = check_clip(reader, inputs.photo, max_length_s=1.0)
    assert report.duration_s == report.fps == 0.0
    assert len(report.strip) == len(report.people) == 1 and report.people[0].seen == 1.0


def test_animated_picture_is_a_clip(reader: InputReader, inputs: Inputs, tmp_path: Path) -> None:
    pixels = load_photo(inputs.photo).pixels
    frames = [Image.fromarray(np.roll(pixels, 2 * number, axis=1)) for number in range(8)]
    frames[0].save(tmp_path / "moves.webp", save_all=True, append_images=frames[1:], duration=100)
    report = check_clip(reader, tmp_path / "moves.webp")
    assert report.fps == pytest.approx(10) and report.duration_s == pytest.approx(0.8) and len(report.people) == 1


def test_frame_rate_of_a_recording_is_measured(reader: InputReader, inputs: Inputs, tmp_path: Path) -> None:
    pixels = load_photo(inputs.photo).pixels
    spec = ClipSpec(
        "libvpx", stamps=[0, 33, 67, 167, 200, 300, 340, 380, 500, 533], options=(("deadline", "realtime"),)
    )
    clip = make_clip(tmp_path / "take.webm", [pixels] * 10, spec)
    assert reader.decoder.probe(clip).rate == 25
    assert 15 < check_clip(reader, clip).fps < 20


def test_rotated_clip_is_shown_upright_and_says_so(reader: InputReader, inputs: Inputs, tmp_path: Path) -> None:
    frames = [np.ascontiguousarray(np.rot90(load_photo(inputs.photo).pixels))] * 30
    report = check_clip(reader, make_clip(tmp_path / "turned.mp4", frames))
    assert "was turned by" in report.messages[0] and faces(reader, report.poster, tmp_path) == 1
    assert report.people[0].thumb.shape == (160, 160, 3) and faces(reader, report.people[0].thumb, tmp_path) == 1


def test_clip_that_is_longer_than_it_reports_is_refused_after_the_limit(
    reader: InputReader, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "long.mp4", [load_photo(inputs.photo).pixels] * 150)
    probe, read = LocalDecoder.probe, []
    native = LocalDecoder.native_frames

    def lying(decoder: LocalDecoder, path: Path) -> ClipInfo:
        return replace(probe(decoder, path), duration_s=0.5)

    def counted(decoder: LocalDecoder, path: Path, after: Fraction | None = None, *rest: object) -> Iterator[object]:
        for frame in native(decoder, path, after, *rest):  # type: ignore[arg-type]
            read.append(frame[0])
            yield frame

    monkeypatch.setattr(LocalDecoder, "probe", lying)
    monkeypatch.setattr(LocalDecoder, "native_frames", counted)
    with pytest.raises(MediaError, match="lasts more than 1 s, and a driving clip may last 1 s"):
        check_clip(reader, clip, max_length_s=1.0)
    assert max(read) < 4


@pytest.mark.parametrize(("length_s", "refused"), [(1.0, False), (1.4, False), (1.6, True), (60.0, True)])
def test_reported_length_is_checked(length_s: float, refused: bool) -> None:
    info = ClipInfo(Path("a.mp4"), 64, 48, Fraction(25), length_s, has_sound=False)
    if not refused:
        check_reported_length(info, 1.0)
        return
    with pytest.raises(MediaError, match=rf"a\.mp4 lasts {length_s:.1f} s, and a driving clip may last 1 s"):
        check_reported_length(info, 1.0)


def test_clip_as_long_as_the_limit_is_accepted(reader: InputReader, inputs: Inputs) -> None:
    assert check_clip(reader, inputs.talking, max_length_s=1.0).duration_s == 1.0


def test_cancelled_check_ends(reader: InputReader, inputs: Inputs) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        check_clip(reader, inputs.talking, cancel=token)


def test_hostile_files_are_checked_or_refused_in_one_sentence(sandboxed: InputReader, tmp_path: Path) -> None:
    results = []
    for number, (kind, suffix, content) in enumerate(seeds("http://127.0.0.1:9")):
        if kind != CLIP:
            continue
        path = tmp_path / f"{number}.{suffix}"
        path.write_bytes(content[: len(content) * 2 // 3])
        with pytest.raises(FantasyPortraitError) as caught:  # none shows a face
            check_clip(sandboxed, path, max_length_s=0.1)
        results.append(str(caught.value))
        assert str(path) in results[-1] and "\n" not in results[-1]
    assert len(results) > 30
    assert any("no face was found" in text for text in results) and any("cannot be read" in text for text in results)


def test_update_writes_pictures_and_names_the_clip_by_its_name(
    pair: ClipReport, reader: InputReader, inputs: Inputs, tmp_path: Path
) -> None:
    path = tmp_path / "files" / "c0ffee.mp4"
    report = replace(pair, messages=(f"{path} has a gap", "c0ffee.mp4 was turned"))
    before = ClipState("c0ffee", "Ann & Bob.mp4", "files/c0ffee.mp4", error="an old error")
    clip = ClipUpdate("ready", path, 25, 25, report=report).applied(before, tmp_path)
    assert clip.messages == ("Ann & Bob.mp4 has a gap", "Ann & Bob.mp4 was turned")
    assert (clip.state, clip.done, clip.total, clip.error) == ("ready", 25, 25, "")
    assert (clip.duration_s, clip.fps, clip.width, clip.height) == (
        *(pair.duration_s, pair.fps),
        *(pair.width, pair.height),
    )
    shown = [clip.poster, *clip.strip, *(person.thumb for person in clip.people)]
    assert len(set(shown)) == 12 and all(name.startswith("shown/c0ffee/") for name in shown)
    for name in shown:
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "JPEG"
    assert load_photo(tmp_path / clip.poster).pixels.shape == pair.poster.shape
    assert sorted(path.name for path in (tmp_path / "shown" / "c0ffee").iterdir()) == sorted(
        Path(name).name for name in shown
    )


def test_failed_update_keeps_the_clip_and_hides_the_path(tmp_path: Path) -> None:
    path = tmp_path / "files" / "c0ffee.mp4"
    clip = ClipState("c0ffee", "mine.mp4", "files/c0ffee.mp4", state="checking", done=3)
    failed = ClipUpdate("failed", path, error=f"no face was found in the clip {path}: use another").applied(
        clip, tmp_path
    )
    assert failed == replace(clip, state="failed", done=0, error="no face was found in the clip mine.mp4: use another")


def test_pictures_that_cannot_be_written_are_an_output_error(pair: ClipReport, tmp_path: Path) -> None:
    (tmp_path / "shown").write_text("a file in the way")
    with pytest.raises(OutputError):
        ClipUpdate("ready", tmp_path / "a.mp4", report=pair).applied(ClipState("a1", "a", "b"), tmp_path)


def test_pictures_do_not_bring_back_the_folder_of_a_visitor_who_left(pair: ClipReport, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        ClipUpdate("ready", tmp_path / "a.mp4", report=pair).applied(ClipState("a1", "a", "b"), tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
