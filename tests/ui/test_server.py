"""The server without a browser: no value and no file name from a client is trusted."""

from pathlib import Path

import httpx
import pytest
from tests.ui.factories import card, engine, options

from app import main
from tests.service.factories import one_person
from tests.ui.serving import Served
from tests.ui.visitor import Visitor
from ui.settings import Settings


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, two_person: Path) -> Path:
    """A photo of one person that is quick to animate."""
    return one_person(two_person, tmp_path_factory.mktemp("photo") / "one.png")


def test_server_separates_results_of_visitors(app: Served, small: Path) -> None:
    before = set(app.results.glob("*"))
    first, second, third = (Visitor(app.address) for _ in range(3))
    first.send_photo(small)
    second.send_photo(small)
    shown = [
        visitor.result(visitor.animate(**options(), **vars(card(motion=motion))))
        for visitor, motion in ((first, "nod"), (second, "shake"))
    ]
    assert len(set(shown)) == 2
    assert all(first.fetch(path).status_code == 200 for path in shown)
    assert "There is no photo yet" in str(third.animate(**options()))
    sessions = set(app.results.glob("*")) - before
    assert len(sessions) == 2 and not any(v.session in str(path) for v in (first, second) for path in sessions)
    assert all(len(list(folder.glob("*/*.mp4"))) == 1 for folder in sessions)


@pytest.mark.parametrize(
    ("option", "face"),
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
    ],
)
def test_server_refuses_values_out_of_range(
    app: Served, visitor: Visitor, option: dict[str, object], face: dict[str, object]
) -> None:
    before = list(app.results.rglob("*.mp4"))
    answer = visitor.animate(**options(**option), **vars(card(**face)))
    assert not answer["success"] or 'role="alert"' in str(answer["data"][2])
    assert list(app.results.rglob("*.mp4")) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"engine": "magic"},
        {"num_inference_steps": 500},
        {"seed": -2},
        {"portrait_guidance_scale": 99},
        {"prompt": "x" * 5000},
        {"face_mask": "/etc/hostname"},
        {"portrait_guidance_start": 90, "portrait_guidance_end": 10},
    ],
)
def test_server_refuses_wan_values_out_of_range(
    wan_app: Served, wan_visitor: Visitor, changes: dict[str, object]
) -> None:
    before = list(wan_app.results.rglob("*.mp4"))
    answer = wan_visitor.animate(**options(), **engine(**changes), **vars(card()))
    assert not answer["success"] or 'role="alert"' in str(answer["data"][2])
    assert list(wan_app.results.rglob("*.mp4")) == before


def test_server_hides_model_folder(wan_app: Served, tiny_model: Path) -> None:
    page = httpx.get(f"{wan_app.address}/config", trust_env=False).text
    assert str(tiny_model.parent) not in page + str(Visitor(wan_app.address).interface())


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


def test_server_refuses_its_own_files(app: Served, two_person: Path) -> None:
    someone = Visitor(app.address)
    assert not someone.send_photo_at(str(two_person))["success"]
    assert "There is no photo yet" in str(someone.animate(**options()))
    assert someone.fetch("/etc/hostname").status_code == 403


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


def test_server_exposes_no_api_endpoint(visitor: Visitor) -> None:
    assert visitor.interface() == {"named_endpoints": {}, "unnamed_endpoints": {}}
