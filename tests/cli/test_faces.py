"""`fantasyportrait faces PHOTO`: boxes in pixels of the file, reading order, and messages, also of a refused photo."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from fantasyportrait.images.images import load_photo, resize, save_image
from tests.cli.conftest import Command
from tests.conftest import Inputs


def test_faces_boxes_are_pixels_of_file(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    photo = load_photo(inputs.pair).pixels
    height, width = photo.shape[:2]
    save_image(tmp_path / "large.png", resize(photo, (width * 4, height * 4)))
    small, large = (json.loads(command("faces", path, "--json").out) for path in (inputs.pair, tmp_path / "large.png"))
    assert large["size"] == [width * 4, height * 4] and small["size"] == [width, height]
    for one, other in zip(small["faces"], large["faces"], strict=True):
        assert np.allclose(np.array(one["box"]) * 4, other["box"], atol=0.03 * width)


def test_faces_are_numbered_row_by_row(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    photo = load_photo(inputs.pair).pixels
    save_image(tmp_path / "rows.png", np.vstack([photo, photo[:, ::-1]]))
    faces = json.loads(command("faces", tmp_path / "rows.png", "--json").out)["faces"]
    assert [face["id"] for face in faces] == [1, 2, 3, 4]
    middles = [((f["box"][0] + f["box"][2]) / 2, (f["box"][1] + f["box"][3]) / 2) for f in faces]
    assert middles[0][0] < middles[1][0] and middles[2][0] < middles[3][0]
    assert max(middles[0][1], middles[1][1]) < photo.shape[0] < min(middles[2][1], middles[3][1])


def test_faces_refusal_includes_messages(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    """Messages about skipped faces explain why the photo shows fewer faces than the cast."""
    photo = load_photo(inputs.pair).pixels
    crowd = np.vstack([photo, np.full((120, photo.shape[1], 3), 120, np.uint8)])
    tiny = resize(photo, (160, 90))
    crowd[-100:-10, 20:180] = tiny
    save_image(tmp_path / "crowd.png", crowd)
    outcome = command("animate", tmp_path / "crowd.png", "--cast", "4=motion:nod", "-o", tmp_path / "out.mp4")
    assert outcome.code == 2
    *before, last = outcome.err.strip().splitlines()
    assert last.startswith("error: the photo shows 2 faces")
    assert "note: 2 of 4 faces are under 50 px and were left out" in before


def test_faces_without_faces_reports_messages(command: Command, tmp_path: Path) -> None:
    wall = np.full((200, 200, 4), 90, np.uint8)
    Image.fromarray(wall).save(tmp_path / "wall.png")
    outcome = command("faces", tmp_path / "wall.png")
    assert outcome.code == 4
    assert outcome.err.splitlines()[0] == "note: transparent parts were laid on white"
    assert outcome.err.splitlines()[1].startswith("error:") and "no face was found" in outcome.err


def test_faces_box_image_never_replaces_photo(command: Command, tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    (tmp_path / "link.png").symlink_to("photo.png")
    before = (tmp_path / "photo.png").read_bytes()
    for file, output in (("photo.png", "photo.png"), ("link.png", "photo.png"), ("photo.png", "link.png")):
        outcome = command("faces", tmp_path / file, "-o", tmp_path / output)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"would overwrite {tmp_path / file} itself" in outcome.err
    assert (tmp_path / "photo.png").read_bytes() == before


def test_faces_are_added_and_removed_by_flags(command: Command, inputs: Inputs) -> None:
    before = json.loads(command("faces", inputs.pair, "--json").out)["faces"]
    box = ",".join(str(value) for value in before[0]["box"])
    outcome = command("faces", inputs.pair, "--remove-face", 1, "--add-face", f"5={box}", "--json")
    after = json.loads(outcome.out)["faces"]
    assert [face["id"] for face in after] == [2, 5]
    assert after[0] == before[1] and np.allclose(after[1]["box"], before[0]["box"], atol=8)
    refused = command("faces", inputs.pair, "--add-face", "3=0,0,40,40")
    assert refused.code == 4 and "no face mesh fits the box (x 0 to 40, y 0 to 40)" in refused.err
    assert command("faces", inputs.pair, "--add-face", "3=40,0").code == 2


def test_faces_of_a_clip_cannot_be_edited(command: Command, inputs: Inputs) -> None:
    outcome = command("faces", inputs.talking, "--remove-face", 1)
    assert outcome.code == 2 and "edit the faces of a photo" in outcome.err


def test_animate_saves_the_edits_of_faces_and_runs_them_again(command: Command, inputs: Inputs, tmp_path: Path) -> None:
    box = ",".join(str(value) for value in json.loads(command("faces", inputs.pair, "--json").out)["faces"][0]["box"])
    flags = ("--remove-face", 1, "--add-face", f"5={box}", "--duration", 0.2, "--no-side-by-side")
    first, again = tmp_path / "out.mp4", tmp_path / "again.mp4"
    assert command("animate", inputs.pair, "--cast", "5=motion:smile", *flags, "-o", first).code == 0
    saved = tmp_path / "out.mp4.request.json"
    edits = json.loads(saved.read_text())["face_edits"]
    assert edits["removed"] == [1] and edits["added"][0]["face"] == 5
    assert command("animate", "--request", saved, "-o", again).code == 0
    assert json.loads((tmp_path / "again.mp4.request.json").read_text())["face_edits"] == edits
    refused = command("animate", inputs.pair, "--cast", "1=motion:smile", *flags, "-o", tmp_path / "no.mp4")
    assert refused.code == 2 and "face 1 is cast, but it is removed" in refused.err
