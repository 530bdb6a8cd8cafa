"""Results and jobs through the server: downloads, links, settings again, saved requests, the queue."""

import io
import json
import shlex
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.core.limits import PRIVATE
from fantasyportrait.media.clips import probe_clip
from fantasyportrait.media.metadata import read_metadata
from fantasyportrait.media.request_files import REQUEST_KEY
from fantasyportrait.schema.request import from_json
from fantasyportrait.studio.downloads import FILES
from tests.ui.serving import Served
from tests.ui.visitor import Visitor

PHOTO = "Our family.png"


@pytest.fixture(scope="module")
def made(app: Served, two_person: Path, clips: dict[str, Path]) -> tuple[Visitor, str]:
    """A visitor, and the id of a result of 0.4 s in which face 1 plays a motion and face 2 a clip with sound."""
    visitor = Visitor(app.address)
    assert not visitor.act("set_photo", path=visitor.upload(two_person), name=PHOTO)["error"]
    visitor.send_clip(clips["one"], face=2)
    visitor.act("set_card", face=1, changes={"motion": "wink", "strength": 1.5, "mirror": True})
    visitor.act("set_options", changes={"length": "seconds", "seconds": 0.4, "fill": "hold"})
    visitor.wait(lambda view: view["clips"][0]["state"] == "ready")
    return visitor, visitor.animate()["id"]


def result_of(view: dict[str, Any], job: str) -> dict[str, Any]:
    return next(dict(result) for result in view["results"] if result["id"] == job)


def download(visitor: Visitor, job: str, kind: str) -> bytes:
    """Ask for a format of a result, wait for it, and return its bytes."""
    assert not visitor.act("make_download", job=job, kind=kind)["error"]
    view = visitor.wait(
        lambda view: result_of(view, job)["downloads"][kind]["state"] not in ("none", "waiting", "running")
    )
    found = result_of(view, job)["downloads"][kind]
    assert found["state"] == "ready", found
    return visitor.fetch(found["url"]).content


def test_side_by_side_is_made_after_result(made: tuple[Visitor, str], tmp_path: Path) -> None:
    visitor, job = made
    view = visitor.wait(lambda view: result_of(view, job)["side_by_side"])
    video, side = (tmp_path / name for name in ("video.mp4", "side.mp4"))
    video.write_bytes(visitor.fetch(result_of(view, job)["video"]).content)
    side.write_bytes(visitor.fetch(result_of(view, job)["side_by_side"]).content)
    one, two = (probe_clip(path, PRIVATE) for path in (video, side))
    assert two.width > two.height and two.duration_s == pytest.approx(one.duration_s, abs=0.05) and two.has_sound


def test_webm_has_sound_and_request_of_video(made: tuple[Visitor, str], tmp_path: Path) -> None:
    visitor, job = made
    video = tmp_path / "result.webm"
    video.write_bytes(download(visitor, job, "webm"))
    info = probe_clip(video, PRIVATE)
    assert (info.width, info.height, info.has_sound) == (1024, 576, True)
    assert info.duration_s == pytest.approx(0.4, abs=0.05)
    assert PHOTO in read_metadata(video)[REQUEST_KEY]


def test_gif_and_frames_have_all_pictures(made: tuple[Visitor, str], tmp_path: Path) -> None:
    visitor, job = made
    picture = tmp_path / "result.gif"
    picture.write_bytes(download(visitor, job, "gif"))
    assert probe_clip(picture, PRIVATE).width == 480
    with zipfile.ZipFile(io.BytesIO(download(visitor, job, "png"))) as archive:
        assert archive.namelist() == [f"frame_{number:06d}.png" for number in range(1, 11)]


def test_unknown_format_is_refused(made: tuple[Visitor, str]) -> None:
    visitor, job = made
    assert "choose one of" in visitor.act("make_download", job=job, kind="../exe")["error"]
    assert "there is no job" in visitor.act("make_download", job="0" * 32, kind="gif")["error"]


def test_link_serves_one_video_until_it_is_taken_back(made: tuple[Visitor, str], app: Served) -> None:
    visitor, job = made
    video = result_of(visitor.view(), job)["video"]
    assert result_of(visitor.view(), job)["link"] is None
    link = result_of(visitor.act("share", job=job), job)["link"]
    assert result_of(visitor.act("share", job=job), job)["link"] == link
    other = Visitor(app.address)
    assert other.fetch(link).content == visitor.fetch(video).content
    session = video.split("/")[1]
    assert session not in link and job not in link
    folder = link.rsplit("/", 1)[0]
    for name in ("owner.json", "", "..", "../fantasyportrait.mp4", "fantasyportrait.mp4/..", "%2e%2e/jobs.sqlite3"):
        assert other.fetch(f"{folder}/{name}").status_code == 404, name
    assert other.fetch(f"shared/{'0' * 32}/fantasyportrait.mp4").status_code in (403, 404)
    for file in (app.results / "shared").rglob("*"):
        assert other.fetch_path(str(file)).status_code == 403
    assert "there is no job" in other.act("share", job=job)["error"]
    assert "there is no job" in other.act("unshare", job=job)["error"]
    assert other.fetch(link).status_code == 200
    assert result_of(visitor.act("unshare", job=job), job)["link"] is None
    assert other.fetch(link).status_code in (403, 404)


def test_texts_to_copy_have_names_of_visitor_and_no_path(made: tuple[Visitor, str]) -> None:
    visitor, job = made
    result = result_of(visitor.view(), job)
    texts = visitor.fetch(result["texts"]).json()
    words = shlex.split(texts["command"])
    assert words[:3] == ["fantasyportrait", "animate", PHOTO]
    assert "1=motion:wink#strength=1.5&mirror=on" in words and "2=talking.mp4" in words
    request = from_json(texts["json"])
    assert request.files == (Path(PHOTO), Path("talking.mp4")) and request.duration == 0.4
    assert json.loads(texts["json"]) == visitor.fetch(result["request"]).json()
    compile(texts["python"], "copied.py", "exec")
    for text in (*texts.values(), json.dumps(visitor.view())):
        assert "/results/sessions" not in text and ".inputs" not in text


def test_settings_of_result_come_back(made: tuple[Visitor, str], two_person: Path, tmp_path: Path) -> None:
    """After another photo, another motion and without the clip, "use these settings" restores all of them."""
    visitor, job = made
    before = visitor.view()
    other = tmp_path / "other.png"
    other.write_bytes(two_person.read_bytes())
    visitor.send_photo(other)
    assert not result_of(visitor.view(), job)["photo"]["shown"]
    visitor.act("remove_clip", clip=before["clips"][0]["id"])
    visitor.act("set_card", face=1, changes={"motion": "nod", "strength": 1})
    visitor.act("set_options", changes={"fill": "loop", "seconds": 3})
    view = visitor.act("use_settings", job=job)
    assert not view["error"]
    assert view["photo"]["name"] == PHOTO and result_of(view, job)["photo"]["shown"]
    assert visitor.fetch(result_of(view, job)["photo"]["thumb"]).status_code == 200
    assert view["cards"]["1"] == before["cards"]["1"]
    assert view["clips"][0]["name"] == "talking.mp4" and view["cards"]["2"]["clip"] == view["clips"][0]["id"]
    assert (view["options"]["seconds"], view["options"]["fill"]) == (0.4, "hold")
    visitor.wait(lambda view: view["clips"][0]["state"] == "ready")


@pytest.mark.parametrize("kind", ["json", "video"])
def test_request_and_video_restore_scene(
    made: tuple[Visitor, str], app: Served, two_person: Path, clips: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    """Another visitor gets the cast; files that are there are found by their content, others are named."""
    visitor, job = made
    result = result_of(visitor.view(), job)
    file = tmp_path / ("saved.json" if kind == "json" else "saved.mp4")
    file.write_bytes(visitor.fetch(result["request" if kind == "json" else "video"]).content)
    other = Visitor(app.address)
    # Neither has the name that the request has.
    photo = tmp_path / "renamed.png"
    photo.write_bytes(two_person.read_bytes())
    other.send_photo(photo)
    view = other.act("restore", path=other.upload(file), name=file.name)
    assert view["error"].endswith("add talking.mp4 on this page") and PHOTO not in view["error"]
    assert view["photo"]["name"] == "renamed.png" and view["cards"]["1"]["motion"] == "wink"
    assert view["cards"]["2"]["kind"] == "clip" and view["cards"]["2"]["clip"] is None
    other.send_clip(clips["one"], face=1)
    view = other.act("restore", path=other.upload(file), name=file.name)
    assert not view["error"]
    assert view["cards"]["2"]["clip"] == view["clips"][0]["id"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"[" * 100_000),
        ("a.json", b'{"schema": 2, "portrait": "/etc/passwd", "cast": [{"face": 1, "source": "x"}]}'),
        ("a.json", b"\xff\xfe\x00"),
        ("a.json", b"{}"),
        ("a.mp4", b"no video"),
        ("a.mp4", b""),
        ("a.png", b"\x89PNG\r\n\x1a\n"),
    ],
)
def test_hostile_request_is_refused_in_one_sentence(app: Served, tmp_path: Path, name: str, content: bytes) -> None:
    visitor = Visitor(app.address)
    (tmp_path / name).write_bytes(content)
    view = visitor.act("restore", path=visitor.upload(tmp_path / name), name="letter.json")
    assert "letter.json" in view["error"] or "the request" in view["error"]
    assert "wrong on the server" not in view["error"]
    assert "\n" not in view["error"] and str(app.results) not in view["error"]
    assert view["photo"] is None


def test_request_never_reaches_files_of_server(app: Served, tmp_path: Path) -> None:
    """A path in a request is compared with the session's files, and never opened."""
    visitor = Visitor(app.address)
    saved = tmp_path / "a.json"
    role = {"face": 1, "source": {"clip": "/etc/hostname"}}
    saved.write_text(json.dumps({"schema": 2, "portrait": "/etc/passwd", "cast": [role]}), encoding="utf-8")
    view = visitor.act("restore", path=visitor.upload(saved), name="a.json")
    assert "add passwd, hostname" in view["error"] and view["photo"] is None and view["clips"] == []


def test_pending_jobs_are_moved_and_result_is_deleted(app: Served, two_person: Path) -> None:
    visitor = Visitor(app.address)
    visitor.send_photo(two_person)
    visitor.act("set_options", changes={"length": "seconds", "seconds": 60, "side_by_side": False})
    visitor.act("animate")
    visitor.wait(lambda view: [job["state"] for job in view["jobs"]] == ["running"])
    visitor.act("set_options", changes={"seconds": 0.2})
    visitor.act("animate")
    view = visitor.act("animate")
    first, second = (job["id"] for job in view["jobs"] if job["state"] == "pending")
    assert [job["place"] for job in view["jobs"]] == [None, 0, 1]
    view = visitor.act("move", job=second, before=first)
    assert [job["id"] for job in view["jobs"][1:]] == [second, first]
    running = view["jobs"][0]["id"]
    folder = next((app.results / "sessions").glob(f"*/results/{running}"))
    view = visitor.act("delete", job=running)
    assert running not in [job["id"] for job in view["jobs"]]
    view = visitor.wait(lambda view: len(view["results"]) == 2)
    assert not folder.exists() and [result["id"] for result in view["results"]] == [first, second]
    assert result_of(view, first)["downloads"]["side_by_side"]["state"] == "none"
    gone = next((app.results / "sessions").glob(f"*/results/{first}"))
    link = result_of(visitor.act("share", job=first), first)["link"]
    view = visitor.act("delete_all")
    assert view["results"] == view["jobs"] == [] and not gone.exists()
    assert visitor.fetch(link).status_code in (403, 404)


def test_same_again_and_files_are_named(made: tuple[Visitor, str]) -> None:
    visitor, job = made
    count = len(visitor.view()["results"])
    assert not visitor.act("duplicate", job=job)["error"]
    view = visitor.wait(lambda view: len(view["results"]) == count + 1)
    assert view["results"][0]["frames"] == result_of(view, job)["frames"]
    assert view["expires_s"] > 0 and view["results"][0]["expires_s"] > view["results"][0]["created_s"]
    assert "this server has only the preview engine" in visitor.act("other_engine", job=job)["error"]
    assert set(view["results"][0]["downloads"]) == set(FILES)
