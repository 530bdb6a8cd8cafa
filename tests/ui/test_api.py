"""The API over HTTP and gradio_client: five endpoints with the checks of the page, and nothing else."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file

from fantasyportrait.media.clips import probe_clip
from tests.service.factories import one_person
from tests.ui.caller import Caller
from tests.ui.serving import Served
from tests.ui.test_gate import forms, requested
from tests.ui.visitor import META, Visitor
from ui.api import ENDPOINTS

__all__ = ["requested"]
REFUSED = "this file is not here"
UNKNOWN = "this token and job lead to nothing"
SLOW = {"timeout": 120}
BUILTIN = {"1": "motion:nod"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, two_person: Path) -> Path:
    """A photo of one person."""
    return one_person(two_person, tmp_path_factory.mktemp("photo") / "one.png")


@pytest.fixture(scope="module")
def caller(app: Served) -> Caller:
    """A program that calls the app."""
    return Caller(app.address)


@pytest.fixture(scope="module")
def done(caller: Caller, small: Path) -> dict[str, Any]:
    """A finished job of another program."""
    started = caller.animate(caller.upload(small), None, BUILTIN, seconds=0.4)
    assert caller.finish(started)["state"] == "done"
    return started


@pytest.fixture(scope="module")
def client(app: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """gradio_client."""
    folder = tmp_path_factory.mktemp("downloads")
    client = Client(app.address, download_files=folder, verbose=False, analytics_enabled=False, httpx_kwargs=SLOW)
    yield client
    client.close()


def test_faces_returns_boxes_in_pixels(caller: Caller, two_person: Path) -> None:
    answer = caller.ok("faces", caller.upload(two_person))
    assert [face["face"] for face in answer["faces"]] == [1, 2]
    for face in answer["faces"]:
        left, top, right, bottom = face["box"]
        assert 0 <= left < right <= answer["width"] and 0 <= top < bottom <= answer["height"]
        assert right - left > 50


def test_faces_keeps_no_session(app: Served, caller: Caller, small: Path) -> None:
    before = set((app.results / "sessions").iterdir())
    caller.ok("faces", caller.upload(small))
    assert caller.call("faces", {"path": "/x"})[1]
    assert set((app.results / "sessions").iterdir()) == before


def test_gradio_client_animates_each_face_by_its_clip(client: Client, two_person: Path, clips: dict[str, Path]) -> None:
    started = client.predict(
        photo=handle_file(two_person),
        clips=[handle_file(clips["two"])],
        options={"seconds": 0.4, "side_by_side": False},
        api_name="/animate",
    )
    assert started["cast"] == {"1": "clip:1#person=1", "2": "clip:1#person=2"}
    assert started["state"] in ("pending", "running") and len(started["faces"]) == 2
    handle = {"token": started["token"], "job": started["job"]}
    while client.predict(**handle, api_name="/job")["state"] in ("pending", "running"):
        pass
    result = client.predict(**handle, api_name="/result")
    assert (result["state"], result["frames"], result["side_by_side"]) == ("done", 10, None)
    assert probe_clip(Path(result["video"])).width > 100
    assert started["token"] not in str(result)


def test_second_clip_drives_second_face(caller: Caller, two_person: Path, clips: dict[str, Path]) -> None:
    started = caller.animate(caller.upload(two_person), [caller.upload(clips["one"])] * 2, seconds=0.2)
    assert started["cast"] == {"1": "clip:1", "2": "clip:2"}
    assert caller.finish(started)["state"] == "done"


def test_single_clip_of_one_person_leaves_other_faces_idle(
    caller: Caller, two_person: Path, clips: dict[str, Path]
) -> None:
    started = caller.animate(caller.upload(two_person), [caller.upload(clips["one"])], seconds=0.2)
    assert started["cast"] == {"1": "clip:1", "2": "motion:idle"}
    caller.ok("cancel", started["token"], started["job"])


def test_cast_of_answer_is_taken_again(caller: Caller, two_person: Path, clips: dict[str, Path]) -> None:
    cast = {"1": "motion:laugh#strength=1.2&head=off", "2": "clip:1#person=1&start=0.2&mirror=on"}
    first = caller.animate(caller.upload(two_person), [caller.upload(clips["one"])], cast, seconds=0.2)
    again = caller.animate(caller.upload(two_person), [caller.upload(clips["one"])], first["cast"], seconds=0.2)
    assert again["cast"] == first["cast"]
    assert caller.finish(again)["state"] == "done"


def test_data_url_is_a_file(caller: Caller, small: Path) -> None:
    url = f"data:image/png;base64,{base64.b64encode(small.read_bytes()).decode()}"
    assert len(url) < 1 << 20 and len(caller.ok("faces", url)["faces"]) == 1


def test_result_is_served_by_url_and_page_is_not_told(app: Served, caller: Caller, done: dict[str, Any]) -> None:
    result = caller.ok("result", done["token"], done["job"])
    video = httpx.get(result["video"]["url"], trust_env=False)
    assert video.status_code == 200 and video.content[4:8] == b"ftyp"
    assert Visitor(app.address).view()["results"] == []
    assert done["token"] not in str(result) and str(app.results) not in str(result)


def test_token_gives_a_second_job_in_the_same_session(caller: Caller, small: Path, done: dict[str, Any]) -> None:
    again = caller.ok("animate", caller.upload(small), None, BUILTIN, {"seconds": 0.2}, done["token"])
    assert again["token"] == done["token"] and again["job"] != done["job"]
    assert caller.finish(again)["state"] == "done"


def test_result_of_pending_job_says_that_it_is_not_done(caller: Caller, small: Path) -> None:
    started = caller.animate(caller.upload(small), None, BUILTIN, seconds=600)
    result = caller.ok("result", started["token"], started["job"])
    assert result["state"] in ("pending", "running") and result["video"] is None
    caller.ok("cancel", started["token"], started["job"])
    ended = caller.finish(started)
    assert (ended["state"], ended["video"]) == ("cancelled", None)


def test_jobs_of_others_are_refused_like_jobs_that_do_not_exist(
    app: Served, caller: Caller, small: Path, done: dict[str, Any]
) -> None:
    other = caller.animate(caller.upload(small), None, BUILTIN, seconds=0.2)
    page = Visitor(app.address).token
    strangers = [
        (other["token"], done["job"]), (page, done["job"]), (other["token"], "0" * 32), ("x" * 32, done["job"]),
        ("", ""), (None, None), (done["job"], done["token"]), ([other["token"]], done["job"]), ({}, {"path": "x"}),
        (other["token"], "../" + done["job"]), (other["token"], "%"), (other["token"], "x" * 100_000),
    ]  # fmt: skip
    for name in ("job", "cancel", "result"):
        for token, job in strangers:
            assert caller.call(name, token, job)[1].startswith(UNKNOWN), (name, token, job)
    assert caller.finish(other)["state"] == "done"
    assert caller.call("animate", caller.upload(small), None, BUILTIN, None, "x" * 32)[1].startswith(UNKNOWN)


@pytest.mark.parametrize("name", ["faces", "animate"])
def test_endpoints_open_own_uploads_only(
    app: Served,
    caller: Caller,
    small: Path,
    clips: dict[str, Path],
    requested: tuple[str, list[str]],
    tmp_path: Path,
    name: str,
) -> None:
    """Not another's, no path of the server, and no address, which is not requested."""
    copy = tmp_path / "other.png"
    copy.write_bytes(small.read_bytes() + name.encode())
    visitor = Visitor(app.address)
    others = visitor.upload(copy)
    assert not visitor.act("set_photo", path=others, name="other.png")["error"]
    address, requests = requested
    own = caller.upload(clips["one"])["path"]
    values = forms(tmp_path, small, clips["one"], others, own, address)
    for what, path in values.items():
        given = path if isinstance(path, dict) else {"path": path, "meta": META}
        for file in ({**given, "url": f"{address}/x.png"}, path):
            data = [file] if name == "faces" else [caller.upload(small), [file], None, None, None]
            error = caller.call(name, *data)[1]
            assert error, what
            assert str(tmp_path) not in error and str(small) not in error, what
    assert requests == []


def test_upload_of_another_token_is_refused(caller: Caller, small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "once.png"
    copy.write_bytes(small.read_bytes() + b"once")
    upload = caller.upload(copy)
    started = caller.animate(upload, None, BUILTIN, seconds=0.2)
    assert caller.call("faces", upload)[1].startswith(REFUSED)
    assert caller.ok("animate", upload, None, BUILTIN, {"seconds": 0.2}, started["token"])["job"]


@pytest.mark.parametrize(
    ("cast", "options", "words"),
    [
        ({"3": "motion:nod"}, {}, "the cast names face '3'"),
        ({"1": "motion:fly"}, {}, "fly"),
        ({"1": "/etc/passwd"}, {}, "write clip:1"),
        ({"1": "clip:9"}, {}, "write clip:1"),
        ({"1": "x" * 5000}, {}, "no short text"),
        ({"1": 5}, {}, "no short text"),
        (["motion:nod"], {}, "the cast is no mapping"),
        ({"1": "still"}, {}, "nothing would move"),
        ({"1": "motion:nod#strength=1e9"}, {}, "strength"),
        (BUILTIN, {"speed": 3}, "there is no option 'speed'"),
        (BUILTIN, {"model": "/etc"}, "there is no option 'model'"),
        (BUILTIN, {"seconds": 1e9}, "the length is"),
        (BUILTIN, {"seconds": "1"}, "the length is"),
        (BUILTIN, {"engine": "wan"}, "the engine is 'wan'"),
        (BUILTIN, {"preset": "fastest"}, "preset"),
        (BUILTIN, {"preset": ["fast"]}, "the option 'preset' cannot be"),
        (BUILTIN, {"sound": "file:/etc/passwd"}, "the sound cannot be a file"),
        (BUILTIN, {"sound": "y" * 5000}, "too long"),
        (BUILTIN, ["seconds"], "the options are no mapping"),
    ],
)
def test_animate_refuses_values_in_one_sentence(
    app: Served, caller: Caller, small: Path, cast: Any, options: Any, words: str
) -> None:
    before = set((app.results / "sessions").iterdir())
    error = caller.call("animate", caller.upload(small), None, cast, options, None)[1]
    assert words in error and "\n" not in error and len(error) < 600
    assert set((app.results / "sessions").iterdir()) == before, "the session of a refused call is removed"


@pytest.mark.parametrize("clips", ["clip.mp4", 3, {"path": "/etc/passwd"}, [None] * 25, [None]])
def test_animate_refuses_other_clips(caller: Caller, small: Path, clips: Any) -> None:
    assert "clip" in caller.call("animate", caller.upload(small), clips, None, None, None)[1]


@pytest.mark.parametrize(
    "photo",
    [
        "data:image/png;base64,!", "data:text/html;base64,PGI+", "data:image/png,abc", "https://example.org/a.png",
        "file:///etc/passwd", "/etc/passwd", "", 3, None, [], True, "data:image/png;base64,AAAA",
    ],
)  # fmt: skip
def test_faces_refuses_other_photos(caller: Caller, photo: Any) -> None:
    assert caller.call("faces", photo)[1]


@pytest.mark.parametrize("data", [None, {}, "x", 3])
@pytest.mark.parametrize("name", ENDPOINTS)
def test_malformed_call_of_endpoint_is_refused(caller: Caller, name: str, data: Any) -> None:
    assert caller.http.post(f"/call/{name}", json={"data": data}).status_code == 400
    assert caller.http.post(f"/call/{name}", content=b"{").status_code == 400


@pytest.mark.parametrize("name", ENDPOINTS)
def test_oversized_call_of_endpoint_is_refused(caller: Caller, name: str) -> None:
    assert caller.http.post(f"/call/{name}", json={"data": ["x" * (2 << 20)]}).status_code == 400


def test_interface_describes_five_endpoints(caller: Caller) -> None:
    described = caller.http.get("/info").json()
    assert list(described["named_endpoints"]) == [f"/{name}" for name in ENDPOINTS]
    assert described["unnamed_endpoints"] == {}
    for name, endpoint in described["named_endpoints"].items():
        assert re.match("[A-Z].*[.]", endpoint["description"]), name


def test_documented_example_runs(
    app: Served,
    repository: Path,
    clips: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The Python example of docs/api.md, as it is but for the address."""
    page = (repository / "docs" / "api.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "assets").symlink_to(repository / "assets")
    (tmp_path / "clip.mp4").symlink_to(clips["one"])
    names: dict[str, Any] = {}
    exec(example.replace("http://127.0.0.1:7860", app.address), names)
    said = capsys.readouterr().out
    assert "{'1': 'clip:1', '2': 'motion:idle'}" in said
    assert names["result"]["state"] == "done" and names["result"]["frames"] == 50
    assert probe_clip(Path(names["result"]["video"])).duration_s > 1.5
