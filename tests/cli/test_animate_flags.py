"""Flags of `animate` become a request; with a saved request, a flag overrides only its own field."""

import sys
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.cli import display
from fantasyportrait.core.errors import RequestError
from fantasyportrait.media.request_files import load_request
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.schema import events
from fantasyportrait.schema.cast import FreeSource, parse_role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.sampling import Sampling
from fantasyportrait.service.animator import Animator
from tests.cli.conftest import Command

WAN = ("--engine", "wan")
ALL_OF_WAN = (
    "--model", "wan-480p", "--seed", "7", "--num-inference-steps", "4", "--portrait-guidance-scale", "4.5",
    "--guidance-scale", "2",
    "--portrait-guidance-span", "0.1:0.6", "--prompt", "two singers", "--negative-prompt", "blur",
    "--face-mask", "head", "--alignment", "mesh", "--lora", "lightx2v", "--step-cache", "first-block",
    "--cache-threshold", "0.2", "--batch-passes", "--max-window-frames", "81",
)  # fmt: skip
SAMPLING = Sampling(
    "wan-480p", seed=7, num_inference_steps=4, portrait_guidance_scale=4.5, guidance_scale=2.0,
    portrait_guidance_start=0.1, portrait_guidance_end=0.6,
    prompt="two singers", negative_prompt="blur", face_mask="head", alignment="mesh", lora="lightx2v",
    step_cache="first-block", cache_threshold=0.2, batch_passes=True, max_window_frames=81,
)  # fmt: skip


class RunRecorder:
    """Records the request and the runtime config that `animate` would run."""

    def __init__(self) -> None:
        self.requests: list[AnimationRequest] = []
        self.machines: list[Any] = []

    def run(
        self,
        request: AnimationRequest,
        output: Path,
        models_dir: Path | None,
        machine: object,
        team: object,
        sandbox: bool,
    ) -> events.Result:
        """Record the request instead of running it."""
        self.requests.append(request)
        self.machines.append(machine)
        return events.Result(output, None, output, (), 1, 0.04)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> RunRecorder:
    """Record requests instead of running them."""
    recorded = RunRecorder()
    monkeypatch.setattr(display, "animate_with_progress", recorded.run)
    return recorded


def saved_request(folder: Path, **changes: Any) -> Path:
    """A request saved next to a photo that no test reads."""
    cast = (parse_role("1=motion:nod"),)
    AnimationRequest(folder / "photo.png", cast, engine="wan", sampling=SAMPLING, **changes).save(folder / "a.json")
    return folder / "a.json"


def test_animate_flags_of_wan_reach_request(command: Command, recorded: RunRecorder) -> None:
    outcome = command(
        "animate", "p.png", "--cast", "1=motion:nod", "--cast", "2=free", *WAN, *ALL_OF_WAN,
        "--detector", "insightface", "--absolute", "--max-side", "640",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (request,) = recorded.requests
    assert request.engine == "wan" and request.sampling == SAMPLING and request.detector == "insightface"
    assert (request.absolute, request.max_side) == (True, 640)
    assert request.cast[1].source == FreeSource()


def test_animate_missing_flags_keep_engine_defaults(command: Command, recorded: RunRecorder) -> None:
    assert command("animate", "p.png", "--cast", "1=motion:nod", *WAN).code == 0
    assert recorded.requests == [AnimationRequest(Path("p.png"), (parse_role("1=motion:nod"),), engine="wan")]
    assert recorded.machines == [RuntimeConfig()]


@pytest.mark.usefixtures("wan_packages")
def test_animate_request_excludes_machine_flags(
    command: Command, recorded: RunRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As torchrun has it with one process.
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    machine = (
        "--device", "cpu", "--profile", "stream", "--precision", "float32", "--attention", "auto", "--compile",
        "--parallel", "context", "--vram-gib", "8", "--ram-gib", "30.5",
    )  # fmt: skip
    assert command("animate", "p.png", "--cast", "1=motion:nod", *WAN, *machine).code == 0
    assert recorded.machines == [RuntimeConfig("cpu", "stream", "float32", "auto", True, "context", 8, 30.5)]
    assert not {"stream", "context"} & set(recorded.requests[0].to_json().split('"'))


@pytest.mark.parametrize(
    ("flags", "changes"),
    [
        (("--seed", "8"), {"seed": 8}),
        (("--prompt", ""), {"prompt": ""}),
        (("--separate-passes",), {"batch_passes": False}),
        (("--portrait-guidance-span", "0:1"), {"portrait_guidance_start": 0.0, "portrait_guidance_end": 1.0}),
        ((), {}),
    ],
)
def test_animate_flags_override_saved_request_fields_only(
    command: Command, recorded: RunRecorder, tmp_path: Path, flags: tuple[str, ...], changes: dict[str, Any]
) -> None:
    path = saved_request(tmp_path, max_side=640)
    assert command("animate", "--request", path, *flags).code == 0
    before, after = load_request(path), recorded.requests[0]
    assert after.sampling == Sampling(**{**vars(before.sampling), **changes})
    assert after.max_side == 640 and after.cast == before.cast and after.engine == "wan"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--preset", "draft"), Sampling(num_inference_steps=4, portrait_guidance_end=0.5, lora="lightx2v")),
        (
            ("--preset", "balanced"),
            Sampling(num_inference_steps=20, portrait_guidance_end=0.6, step_cache="first-block"),
        ),
        (("--preset", "faithful"), Sampling()),
        (
            ("--num-inference-steps", "6", "--preset", "draft", "--portrait-guidance-span", "0:1", "--seed", "5"),
            Sampling(num_inference_steps=6, portrait_guidance_end=1.0, lora="lightx2v", seed=5),
        ),
        ((), Sampling()),
    ],
)
def test_animate_single_flags_override_preset(
    command: Command, recorded: RunRecorder, flags: tuple[str, ...], expected: Sampling
) -> None:
    assert command("animate", "p.png", "--cast", "1=motion:nod", *WAN, *flags).code == 0
    assert recorded.requests[0].sampling == expected


def test_animate_preset_keeps_other_saved_fields(command: Command, recorded: RunRecorder, tmp_path: Path) -> None:
    path = saved_request(tmp_path)
    assert command("animate", "--request", path, "--preset", "faithful").code == 0
    after = recorded.requests[0].sampling
    assert (after.num_inference_steps, after.lora, after.step_cache, after.guidance_scale) == (30, "none", "none", 1.0)
    assert (after.seed, after.prompt, after.face_mask, after.max_window_frames) == (7, "two singers", "head", 81)


def test_animate_engine_flag_overrides_saved_engine(command: Command, recorded: RunRecorder, tmp_path: Path) -> None:
    path = saved_request(tmp_path)
    assert command("animate", "--request", path, "--engine", "preview").code == 0
    assert recorded.requests[0].engine == "preview" and recorded.requests[0].sampling == SAMPLING


def test_animate_model_folder_becomes_absolute_path(
    command: Command, recorded: RunRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for model in ("./tiny", "wan-480p"):
        assert command("animate", "p.png", "--cast", "1=motion:nod", *WAN, "--model", model).code == 0
    folder, name = (request.sampling for request in recorded.requests)
    assert folder.model_folder == tmp_path.resolve() / "tiny"
    assert name.model == "wan-480p" and name.model_folder is None


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--portrait-guidance-span", "half"), "--portrait-guidance-span is 'half': give START:END"),
        (("--portrait-guidance-span", "0:all"), "--portrait-guidance-span is '0:all': give START:END"),
        (("--portrait-guidance-span", "0.6:0.2"), "portrait_guidance_end is 0.2"),
        (("--num-inference-steps", "0"), "num_inference_steps is 0"),
        (("--preset", "balancd"), "did you mean balanced?"),
        (("--lora", "mine"), "lora is 'mine': choose one of none, lightx2v"),
        (("--cache-threshold", "0"), "cache_threshold is 0"),
        (("--face-mask", "haed"), "did you mean head?"),
        (("--max-window-frames", "80"), "4 k + 1 frames, for example 81"),
        (("--profile", "moon"), "profile is 'moon'"),
        (("--attention", "moon"), "attention is 'moon'"),
        (("--parallel", "moon"), "parallel is 'moon'"),
        (("--detector", "eyes"), "detector is 'eyes'"),
    ],
)
def test_animate_reports_invalid_value(
    command: Command, recorded: RunRecorder, flags: tuple[str, ...], words: str
) -> None:
    outcome = command("animate", "p.png", "--cast", "1=motion:nod", *WAN, *flags)
    assert outcome.code == RequestError.exit_code and words in " ".join(outcome.err.split())
    assert not recorded.requests


def test_animate_preview_reports_wan_only_flags(command: Command, recorded: RunRecorder) -> None:
    plain = command("animate", "p.png", "--cast", "1=motion:nod")
    seeded = command("animate", "p.png", "--cast", "1=motion:nod", "--seed", "4")
    wan = command("animate", "p.png", "--cast", "1=motion:nod", "--seed", "4", *WAN)
    assert "add --engine wan" in seeded.err and "note" not in plain.err + wan.err


def test_animate_logs_sampling_steps(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def event_stream(animator: Animator, request: AnimationRequest, output: Path) -> Any:
        yield events.Stage("model")
        yield events.Stage("sample")
        yield events.Step("sample", 1, 30, None)
        yield events.Step("sample", 2, 30, 56.0)
        yield events.Done(events.Result(output, None, output, (), 1, 0.04))

    monkeypatch.setattr(Animator, "events", event_stream)
    outcome = command("animate", "p.png", "--cast", "1=motion:nod", *WAN, "-o", tmp_path / "o.mp4")
    assert outcome.code == 0, outcome.err
    assert outcome.err.splitlines() == [
        "loading model ...", "sampling ...", "sampling: step 1 of 30", "sampling: step 2 of 30, 56 s left",
    ]  # fmt: skip


def test_app_command_passes_model_flags(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    ui = pytest.importorskip("ui.app")
    served: list[Any] = []
    monkeypatch.setattr(ui, "launch", served.append)
    assert command("app", "--model", "./tiny", "--device", "cpu", "--profile", "resident", "--ray", "auto").code == 0
    assert command("app").code == 0
    with_model, plain = served
    assert (with_model.model, with_model.runtime_config) == ("./tiny", RuntimeConfig("cpu", "resident"))
    assert with_model.ray == "auto" and plain.ray is None
    assert plain.model is None and plain.host is None
    # Processes share the job of `animate`; an app's workers take a job each.
    assert command("app", "--parallel", "auto").code == 2 and len(served) == 2


def test_app_command_reads_its_environment(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ui = pytest.importorskip("ui.app")
    served: list[Any] = []
    fetched: list[tuple[list[str], Path | None]] = []
    monkeypatch.setattr(ui, "launch", served.append)
    monkeypatch.setattr(
        "fantasyportrait.weights.hub_fetch.fetch_named", lambda names, folder, say: fetched.append((names, folder))
    )
    monkeypatch.setattr("fantasyportrait.cli.app_command.check_installed", lambda *given, **options: None)
    plain = command("app")
    assert "engines: preview on the CPU; wan is off, since no model is named: --model names one" in plain.err
    monkeypatch.setenv("FANTASYPORTRAIT_MODEL", "gguf-q4")
    monkeypatch.setenv("FANTASYPORTRAIT_RESULTS", str(tmp_path))
    monkeypatch.setenv("FANTASYPORTRAIT_FETCH", "true")
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    hosted = command("app", "--models-dir", tmp_path)
    assert hosted.code == 0 and "wan with the model gguf-q4 on ZeroGPU" in hosted.err
    assert (served[1].model, served[1].results) == ("gguf-q4", tmp_path)
    assert fetched == [(["gguf-q4", "lightx2v"], tmp_path)]


def test_app_command_fetches_only_models_of_the_catalog(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    ui = pytest.importorskip("ui.app")
    monkeypatch.setattr(ui, "launch", lambda settings: pytest.fail("started"))
    monkeypatch.setattr("fantasyportrait.cli.app_command.check_installed", lambda *given, **options: None)
    outcome = command("app", "--fetch", "--model", "./tiny")
    assert outcome.code == 2 and "--fetch with the model ./tiny: name a model of the catalog" in outcome.err


def test_app_command_with_a_model_needs_its_packages(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    ui = pytest.importorskip("ui.app")
    monkeypatch.setattr(ui, "launch", lambda settings: pytest.fail("started"))
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = command("app", "--model", "gguf-q4")
    assert outcome.code == 6 and 'pip install "fantasyportrait[wan]"' in outcome.err
