"""The server without a browser: no value and no file name from a client is trusted."""

from pathlib import Path

import httpx
import pytest

from app import main
from tests.service.factories import one_person
from tests.ui.serving import Served
from tests.ui.visitor import Visitor
from ui.settings import Settings


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, two_person: Path) -> Path:
    """A photo of one person that is quick to animate."""
    return one_person(two_person, tmp_path_factory.mktemp("photo") / "one.png")


@pytest.fixture(scope="module")
def visitor(app: Served, small: Path) -> Visitor:
    """A visitor with a photo of one person."""
    someone = Visitor(app.address)
    someone.send_photo(small)
    return someone


@pytest.fixture(scope="module")
def wan_visitor(wan_app: Served, small: Path) -> Visitor:
    """The same where the diffusion engine is offered too."""
    someone = Visitor(wan_app.address)
    someone.send_photo(small)
    return someone


def short(visitor: Visitor, **changes: object) -> None:
    """Set the options of a result of 0.4 s, with changes."""
    answer = visitor.act("set_options", changes={"length": "seconds", "seconds": 0.4, "side_by_side": False, **changes})
    assert answer["error"] == ""


def test_server_separates_results_of_visitors(app: Served, small: Path) -> None:
    """Neither the ids of another visitor's results and jobs nor those of a photo or clip lead to them."""
    first, second = Visitor(app.address), Visitor(app.address)
    results = []
    for visitor, motion in ((first, "nod"), (second, "shake")):
        visitor.send_photo(small)
        visitor.act("set_card", face=1, changes={"motion": motion})
        short(visitor)
        results.append(visitor.animate())
    urls = [result["video"] for result in results]
    assert len({url.split("/")[1] for url in urls}) == 2
    assert all(first.fetch(url).headers["content-type"] == "video/mp4" for url in urls)
    assert [result["id"] for result in first.view()["results"]] == [results[0]["id"]]
    theirs, unknown = results[1]["id"], "0" * 32
    for action in ("delete", "duplicate", "retry", "cancel"):
        refusals = {first.act(action, job=job)["error"].replace(job, "ID") for job in (theirs, unknown)}
        assert len(refusals) == 1 and refusals != {""}, action
    assert [result["id"] for result in second.view()["results"]] == [theirs]


def test_stolen_or_guessed_token_opens_nothing(app: Served, visitor: Visitor) -> None:
    """Whether a token is damaged, guessed or the id of a session's folder, the answer is the same."""
    folder = visitor.view()["photo"]["url"].split("/")[1]
    tokens = ["", None, 3, "x" * 32, folder, visitor.token[:-1], visitor.token + "x", visitor.token.swapcase(), ["a"]]
    answers = [visitor.function("view", {"token": token}).json() for token in tokens]
    answers += [visitor.function("act", {"token": token, "action": "clear_photo"}).json() for token in tokens]
    assert all(answer == {"unknown": "session"} for answer in answers)
    assert visitor.view()["photo"] is not None


def test_token_opens_session_again(app: Served, visitor: Visitor) -> None:
    again = Visitor(app.address, visitor.token)
    assert again.token == visitor.token and again.first["view"]["photo"] == visitor.view()["photo"]
    assert Visitor(app.address, "x" * 32).token not in ("x" * 32, visitor.token)


@pytest.mark.parametrize(
    ("options", "card"),
    [
        ({}, {"strength": 9}),
        ({}, {"motion": "../nod"}),
        ({}, {"regions": ["tail"]}),
        ({}, {"kind": "everything"}),
        ({"sound": "file:/etc/hostname"}, {}),
        ({"length": "seconds", "seconds": 1e9}, {}),
        ({"smoothing": -3}, {}),
        ({"fill": "bounce"}, {}),
        ({}, {"kind": "free"}),
        ({}, {"kind": "clip", "clip": "../../photo.png"}),
    ],
)
def test_server_refuses_values_out_of_range(
    app: Served, small: Path, options: dict[str, object], card: dict[str, object]
) -> None:
    someone = Visitor(app.address)
    someone.send_photo(small)
    short(someone, **options)
    refused = someone.act("set_card", face=1, changes=card)["error"] or someone.act("animate")["error"]
    assert refused and not someone.view()["jobs"]


@pytest.mark.parametrize(
    "changes",
    [
        {"engine": "magic"},
        {"num_inference_steps": 500},
        {"seed": -2},
        {"portrait_guidance_scale": 99},
        {"prompt": "x" * 3000},
        {"face_mask": "/etc/hostname"},
        {"portrait_guidance_start": 90, "portrait_guidance_end": 10},
    ],
)
def test_server_refuses_wan_values_out_of_range(wan_app: Served, small: Path, changes: dict[str, object]) -> None:
    someone = Visitor(wan_app.address)
    someone.send_photo(small)
    short(someone, **{"engine": "wan", **changes})
    assert someone.act("animate")["error"] and not someone.view()["jobs"]


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("delete_everything", {}),
        ("__init__", {}),
        (None, {}),
        ("swap", {"face": 1}),
        ("swap", {"face": 1, "other": 2, "more": 3}),
        ("swap", ["x"]),
        ("swap", {"face": "1", "other": [2]}),
        ("set_card", {"face": 7, "changes": {}}),
        ("set_card", {"face": 1, "changes": []}),
        ("set_options", {"changes": {"x": {"y": 1}}}),
        ("set_options", {"changes": {"x": "y" * 10_000}}),
        ("cast_people", {"clip": "../x"}),
        ("move", {"job": "x", "before": {}}),
    ],
)
def test_server_refuses_other_actions(app: Served, visitor: Visitor, action: object, arguments: object) -> None:
    """In a sentence, beside the unchanged view."""
    before = visitor.view()
    answer = visitor.function("act", {"token": visitor.token, "action": action, "arguments": arguments}).json()
    assert answer["error"] and answer["version"] == before["version"]


def test_server_hides_its_folders(wan_app: Served, wan_visitor: Visitor, tiny_model: Path) -> None:
    page = httpx.get(f"{wan_app.address}/config", trust_env=False).text
    seen = page + str(wan_visitor.first) + str(wan_visitor.view()) + str(wan_visitor.interface())
    assert str(tiny_model.parent) not in seen and str(wan_app.results) not in seen.replace(page, "")


@pytest.mark.parametrize("flags", [["--share"], ["--parallel", "auto"]])
def test_app_refuses_share_and_parallel(flags: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(flags)


def test_app_flags_equal_command_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Except host and port where none are given: gradio takes them from its environment variables."""
    given: list[Settings] = []
    monkeypatch.setattr("ui.app.launch", given.append)
    monkeypatch.chdir(tmp_path)
    for flags in ([], ["--host", "0.0.0.0", "--port", "80", "--models-dir", "weights"]):
        with pytest.raises(SystemExit, match="0"):
            main(flags)
    assert given == [Settings(), Settings("0.0.0.0", 80, models_dir=Path("weights"))]
    assert given[1].animator().inputs.models_dir == tmp_path / "weights", "no word of other messages is taken for it"


def test_app_refuses_torchrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    with pytest.raises(SystemExit, match="2"):
        main(["--results", str(tmp_path)])
    assert "torchrun is for  fantasyportrait animate" in capsys.readouterr().err


def test_app_reports_port_in_use(app: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = app.address.rpartition(":")[2]
    with pytest.raises(SystemExit, match="2"):
        main(["--port", port, "--results", str(tmp_path)])
    assert port in (said := capsys.readouterr().err) and "choose another --port" in said


def test_app_reports_missing_model_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--model", str(tmp_path / "none"), "--results", str(tmp_path)])
    assert "there is no model folder" in capsys.readouterr().err


def test_app_reports_unknown_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--model", "wan-720p", "--profile", "moon", "--results", str(tmp_path)])
    assert "profile is 'moon'" in capsys.readouterr().err


def test_app_reports_missing_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray")
    with pytest.raises(SystemExit, match="2"):
        main(["--ray", "127.0.0.1:1", "--results", str(tmp_path)])
    assert "the Ray cluster at 127.0.0.1:1 cannot be joined" in capsys.readouterr().err


def test_app_refuses_machine_flags_with_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--ray", "127.0.0.1:1", "--profile", "stream", "--compile", "--results", str(tmp_path)])
    said = capsys.readouterr().err
    assert "--profile, --compile: with --ray the workers compute" in said and "fantasyportrait workers" in said


def test_server_exposes_endpoints_of_api_only(visitor: Visitor) -> None:
    """The listener of the page is not among them."""
    interface = visitor.interface()
    assert list(interface["named_endpoints"]) == ["/faces", "/animate", "/job", "/cancel", "/result"]
    assert interface["unnamed_endpoints"] == {}
