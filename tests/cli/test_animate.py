"""`animate`, `faces` and `motions render` on real faces."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from fantasyportrait.images.images import load_photo
from tests.cli.conftest import Command
from tests.conftest import Inputs
from tests.factories_media import grey, make_clip


def _streams(path: Path) -> tuple[int, int, int, bool]:
    """(width, height, frames, has sound)."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        count = sum(1 for _ in container.decode(video))
        return video.width, video.height, count, bool(container.streams.audio)


def test_animate_runs_the_help_example(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    outcome = command(
        "animate", inputs.pair, "--cast", f"1={inputs.talking}", "--cast", f"2={inputs.nodding_pair}#person=2",
        "--duration", "0.4", "--fps", "30000/1001", "-o", out,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert f"video: {out}\nside by side: {tmp_path / 'out.mp4.side-by-side.mp4'}\n" in outcome.out
    assert outcome.out.endswith(f"request: {tmp_path / 'out.mp4.request.json'}\n")
    assert "rendering ..." in outcome.err
    assert _streams(out) == (1024, 576, 12, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out.mp4",
        "out.mp4.request.json",
        "out.mp4.side-by-side.mp4",
    ]


def test_animate_reruns_saved_request_with_changed_flags(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    photo = tmp_path / "me.png"
    photo.write_bytes(inputs.photo.read_bytes())
    first = command("animate", photo, "--cast", "1=motion:wink", "--duration", "0.2", "-o", tmp_path / "a.mp4")
    assert first.code == 0, first.err
    again = command(
        "animate", "--request", tmp_path / "a.mp4.request.json", "--no-side-by-side", "-o", tmp_path / "b.mp4"
    )
    assert again.code == 0, again.err
    assert "side by side" not in again.out
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    photo.write_bytes(inputs.pair.read_bytes())
    changed = command("animate", "--request", tmp_path / "a.mp4.request.json", "-o", tmp_path / "c.mp4")
    assert changed.code == 0, changed.err
    assert f"note: {photo} has changed since this request was made" in changed.out


def test_animate_default_output_is_in_current_folder(
    command: Command, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command("animate", inputs.photo, "--cast", "1=still", "--duration", "0.08", "--no-side-by-side")
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.animated.mp4", "one.animated.mp4.request.json"]


def test_animate_default_output_keeps_previous_result(
    command: Command, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("animate", inputs.photo, "--cast", "1=still", "--duration", "0.08", "--no-side-by-side")
    for name, flags in (
        ("one.animated.mp4", ()), ("one.animated-2.mp4", ()), ("one.animated-3.mp4", ()),
        ("one.animated.mp4", ("--overwrite",)),
    ):  # fmt: skip
        outcome = command(*words, *flags)
        assert outcome.code == 0 and f"video: {name}\n" in outcome.out
    assert len(list(tmp_path.glob("*.mp4"))) == len(list(tmp_path.glob("*.mp4.request.json"))) == 3


def test_animate_outputs_with_same_stem_stay_separate(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    words = ("animate", inputs.photo, "--cast", "1=motion:nod", "--duration", "0.08")
    assert command(*words, "-o", tmp_path / "take.mp4").code == 0
    assert command(*words, "--fps", "50", "--no-side-by-side", "-o", tmp_path / "take.webm").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "take.mp4", "take.mp4.request.json", "take.mp4.side-by-side.mp4", "take.webm", "take.webm.request.json",
    ]  # fmt: skip
    assert json.loads((tmp_path / "take.mp4.request.json").read_text())["rate"] == "25"
    assert command(*words, "--no-side-by-side", "-o", tmp_path / "take.mp4").code == 0
    assert not (tmp_path / "take.mp4.side-by-side.mp4").exists(), "it showed another video"


@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "frames"])
def test_video_embeds_request_without_folders(command: Command, inputs: Inputs, tmp_path: Path, name: str) -> None:
    home, away = tmp_path / "the_home_of_somebody", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    (home / "me.png").write_bytes(inputs.photo.read_bytes())
    (home / "driver.mp4").write_bytes(inputs.talking.read_bytes())
    cast = f"1={home / 'driver.mp4'}#strength=1.2"
    first = command("animate", home / "me.png", "--cast", cast, "--duration", "0.2", "-o", home / name)
    assert first.code == 0, first.err
    made = home / name
    for path in sorted(made.iterdir()) if made.is_dir() else [made]:
        data = path.read_bytes()
        assert b"me.png" in data and b"driver.mp4" in data
        assert b"the_home_of_somebody" not in data and tmp_path.name.encode() not in data
    made.rename(away / name)
    lonely = command("animate", "--request", away / name, "-o", away / f"again-{name}")
    assert lonely.code == 2 and "was made from me.png, which is not in its folder" in lonely.err
    (home / "driver.mp4").rename(away / "driver.mp4")
    given = ("animate", home / "me.png", "--request", away / name, "--no-side-by-side", "-o", away / f"again-{name}")
    again = command(*given)
    assert again.code == 0 and "has changed" not in again.out, again.err
    pairs = [(away / name, away / f"again-{name}")]
    if made.suffix == "":
        pairs = [(path, away / f"again-{name}" / path.name) for path in (away / name).iterdir()]
    assert all(one.read_bytes() == other.read_bytes() for one, other in pairs)


def test_animate_refuses_video_without_request(command: Command, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", [grey(0)] * 2)
    outcome = command("animate", "--request", clip)
    assert outcome.code == 2 and "clip.mp4 carries no request" in outcome.err
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    assert "the request in" in command("animate", "--request", tmp_path / "bad.mp4").err
    (tmp_path / "empty").mkdir()
    assert command("animate", "--request", tmp_path / "empty").code == 2


@pytest.mark.parametrize("name", ["out.webm", "out.gif", "frames"])
def test_animate_writes_each_output_format(command: Command, inputs: Inputs, tmp_path: Path, name: str) -> None:
    outcome = command("animate", inputs.photo, "--cast", "1=motion:nod", "--duration", "0.2", "-o", tmp_path / name)
    assert outcome.code == 0, outcome.err
    if name == "frames":
        assert len(list((tmp_path / name).iterdir())) == 5
    else:
        assert _streams(tmp_path / name)[2] == 5
    side = tmp_path / f"{name}.side-by-side.mp4"
    assert _streams(side)[2] == 5


def test_faces_lists_faces_of_photo(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    outcome = command("faces", inputs.pair, "--json", "-o", tmp_path / "boxes.png")
    assert outcome.code == 0, outcome.err
    data = json.loads(outcome.out)
    assert [face["id"] for face in data["faces"]] == [1, 2]
    assert set(data["faces"][0]) == {"id", "box", "pose", "presence", "size"}
    assert data["faces"][0]["box"][0] < data["faces"][1]["box"][0]
    picture, photo = load_photo(tmp_path / "boxes.png").pixels, load_photo(inputs.pair).pixels
    assert picture.shape == photo.shape
    assert 0.001 < np.any(picture != photo, axis=2).mean() < 0.1
    assert "face 2: x " in command("faces", inputs.pair).out


def test_faces_lists_persons_of_clip(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    outcome = command("faces", inputs.nodding_pair, "-o", tmp_path / "boxes.png")
    assert outcome.code == 0, outcome.err
    assert "person 2: x " in outcome.out
    assert "seen in 25 of 25 frames" in outcome.out
    assert "first at 0 s, last at 0.96 s" in outcome.out
    assert load_photo(tmp_path / "boxes.png").pixels.shape == (540, 960, 3)


def test_faces_lists_persons_of_clip_range(command: Command, inputs: Inputs) -> None:
    outcome = command("faces", inputs.nodding_pair, "--start", "0.4", "--end", "0.8", "--json")
    assert outcome.code == 0, outcome.err
    persons = json.loads(outcome.out)["persons"]
    assert [person["id"] for person in persons] == [1, 2]
    keys = {"id", "box", "size", "frames", "frames_seen", "first_seen_s", "last_seen_s"}
    assert set(persons[0]) == keys
    seen = [persons[0][name] for name in ("frames", "frames_seen", "first_seen_s", "last_seen_s")]
    assert seen == [10, 10, 0.4, 0.76]
    wrong = command("faces", inputs.nodding_pair, "--start", "0.8", "--end", "0.4")
    assert wrong.code == 2 and "the start must lie before the end" in wrong.err
    wrong = command("faces", inputs.photo, "--start", "1")
    assert wrong.code == 2 and "is a photo: leave them out" in wrong.err


def test_motions_render_writes_video(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    out = tmp_path / "kiss.mp4"
    outcome = command("motions", "render", "kiss", "-o", out, "--duration", "0.2", "--photo", inputs.photo)
    assert outcome.code == 0, outcome.err
    assert _streams(out)[2:] == (5, False)
