"""One pipeline at a time: planned, loaded, kept, and one profile lower when memory runs out, by the real loader."""

import itertools
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, RequestError, WeightsError
from fantasyportrait.engines.wan_model import prepare_model
from fantasyportrait.pipelines import loading
from fantasyportrait.pipelines.following import LoadOrder
from fantasyportrait.pipelines.loading import ModelFiles
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.video_job import FaceJob, VideoJob, sample_video
from fantasyportrait.planning import ladder as ladder_module, machine as machine_module
from fantasyportrait.planning.fit import SPEED_LOG, Fitter, Plan
from fantasyportrait.planning.job_needs import JobSize
from fantasyportrait.planning.ladder import Ladder
from fantasyportrait.planning.speed_log import SpeedLog
from fantasyportrait.runtime.attention import Choice
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.profiles import profile_of
from fantasyportrait.runtime.team import Team

SIZE = JobSize(48, 32, 9, steps=3)
LOWER = {"resident": "stream", "stream": "stream-disk"}


@pytest.fixture
def ladder(toy_model: Path, tmp_path: Path) -> Ladder:
    return Ladder(ModelFiles(prepare_model(toy_model.as_posix()).folder), Placement(device="cpu"), tmp_path)


@pytest.fixture
def lower_needs_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU every profile takes the same memory; here they descend as on a card."""

    def lower(self: Fitter, plan: Plan) -> Plan | None:
        name = LOWER.get(plan.estimate.profile.name)
        return None if name is None else self.plan_with(profile_of(name), plan.job)

    monkeypatch.setattr(Fitter, "lower", lower)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The profiles that were loaded, each while no other pipeline was alive."""
    names: list[str] = []
    alive: list[weakref.ref[FantasyPortraitPipeline]] = []
    real = ladder_module.load_pipeline

    def load(*args: object) -> FantasyPortraitPipeline:
        assert not [each for each in alive if each() is not None], "two pipelines at once"
        names.append(args[2].name)
        pipeline = real(*args)
        alive.append(weakref.ref(pipeline.transformer))
        return pipeline

    monkeypatch.setattr(ladder_module, "load_pipeline", load)
    return names


def job(steps: int = 3) -> VideoJob:
    places = np.zeros((32, 48), np.int32)
    places[:, :16] = 1
    features = np.random.default_rng(0).normal(size=(9, 554)).astype(np.float32)
    return VideoJob(np.full((32, 48, 3), 120, np.uint8), (FaceJob(1, features),), places, 9, steps=steps)


def video(ladder: Ladder, notes: list[str]) -> np.ndarray:
    return np.concatenate(list(sample_video(ladder, job(), lambda *_: None, notes.append, CancelToken())))


def test_it_says_what_it_takes_and_stays_loaded(ladder: Ladder, loaded: list[str]) -> None:
    told: list[str] = []
    for size in (SIZE, SIZE, JobSize(96, 64, 9)):
        plan = ladder.ready(size, told.append, told.append)
        assert plan.job == size and plan.estimate.profile.name == "resident"
    assert loaded == ["resident"] and len(told) == 3 and all("profile resident: about" in text for text in told)
    ladder.record(2.0)
    ladder.ready(SIZE, told.append, told.append)
    assert "from earlier runs here" in told[-1]


@pytest.mark.usefixtures("lower_needs_less")
def test_memory_runs_out_while_loading(ladder: Ladder, loaded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The second profile fits."""
    to = FantasyPortraitPipeline.to

    def full(self: FantasyPortraitPipeline, *args: object, **kwargs: object) -> FantasyPortraitPipeline:
        monkeypatch.setattr(FantasyPortraitPipeline, "to", to)
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(FantasyPortraitPipeline, "to", full)
    notes: list[str] = []
    assert ladder.ready(SIZE, lambda _: None, notes.append).estimate.profile.name == "stream"
    assert loaded == ["resident", "stream"]
    assert notes[0].startswith("the model does not fit with the profile resident; ") and "profile stream" in notes[0]
    assert len(video(ladder, notes)) == 9 and all("written once more" in note for note in notes[1:])


@pytest.mark.usefixtures("lower_needs_less")
def test_memory_runs_out_in_a_step(ladder: Ladder, loaded: list[str]) -> None:
    """The next profile goes on where the last one was, and the frames are those of an undisturbed run."""
    notes: list[str] = []
    ladder.ready(SIZE, lambda _: None, notes.append)
    expected = video(ladder, notes)
    calls: list[int] = []

    def full(*_: object) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise torch.OutOfMemoryError("no room")

    ladder.pipeline.transformer.register_forward_pre_hook(full)
    found = video(ladder, notes)
    assert np.abs(found.astype(int) - expected).max() <= 1 and len(calls) == 4
    assert loaded == ["resident", "stream"]
    note, *others = notes
    assert all("written once more" in other for other in others)
    assert note.startswith("the profile resident does not fit into the memory of this device after all: going on")


def test_nothing_lower_is_a_sentence(ladder: Ladder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(ladder_module, "load_pipeline", full)
    with pytest.raises(RequestError, match="with the profile resident, and there is none that needs less") as caught:
        ladder.ready(SIZE, lambda _: None, lambda _: None)
    assert caught.value.__context__ is None, "it would keep alive what did not fit"
    assert not ladder.lower(lambda _: None)


def test_what_cannot_fit_is_refused_before_anything_is_loaded(
    toy_model: Path, tmp_path: Path, loaded: list[str]
) -> None:
    folder = prepare_model(toy_model.as_posix()).folder
    asked = Ladder(ModelFiles(folder), Placement(device="cpu", profile="sequential"), tmp_path)
    with pytest.raises(RequestError, match="the profile sequential needs a card"):
        asked.ready(SIZE, lambda _: None, lambda _: None)
    assert not loaded


class After(CancelToken):
    """Stops the work at a later question."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self.left = questions

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.cancel()
        super().check()


def test_loading_can_be_stopped_between_its_parts(ladder: Ladder, loaded: list[str]) -> None:
    """And begun again."""
    for asked in itertools.count():
        try:
            ladder.ready(SIZE, lambda _: None, lambda _: None, After(asked))
        except Cancelled:
            continue
        break
    assert asked == 2 and ladder.pipeline.transformer is not None and loaded == ["resident"] * 3


@dataclass(frozen=True, eq=False)
class Heard(Team):
    """The first process of a team: what the others were told."""

    said: list[object] = field(default_factory=list)

    def send(self, message: object) -> None:
        self.said.append(message)

    def meet(self) -> None:
        self.said.append("met")


def in_team(toy_model: Path, cache: Path, size: int = 2, **settings: Any) -> tuple[Ladder, Heard]:
    team = Heard(0, size, torch.device("cpu"), local_size=size)
    files = ModelFiles(prepare_model(toy_model.as_posix()).folder)
    return Ladder(files, Placement(device="cpu", **settings), cache, team), team


def test_the_others_load_what_the_first_process_has_made_ready(
    toy_model: Path, tmp_path: Path, loaded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy on the disk and the kernel for attention; and what is planned is planned for two."""
    ladder, team = in_team(toy_model, tmp_path, profile="stream-disk", attention="auto", parallel="passes")
    real = ladder_module.transformer_folder
    monkeypatch.setattr(ladder_module, "transformer_folder", lambda *given: team.said.append(real(*given).name))
    monkeypatch.setattr(machine_module, "free_ram_gib", lambda: 64.0)
    told: list[str] = []
    ladder.ready(SIZE, told.append, told.append)
    copied, order, met = team.said
    assert isinstance(order, LoadOrder) and (copied, met) == ("transformer-float32", "met")
    assert order.placement.attention == "native" and told[-1].startswith("attention is computed by native")
    assert loaded == ["stream-disk"] and "of 32.0 GiB of memory" in told[0]
    ladder.record(2.0)
    assert SpeedLog(tmp_path / SPEED_LOG).runs()[-1].key.processes == 2


@pytest.mark.parametrize(
    ("size", "settings", "message"),
    [
        (3, {"parallel": "tokens"}, "3 processes cannot share 4 attention heads"),
        (2, {"parallel": "tokens"}, "on cards only"),
        (3, {"parallel": "auto", "cache": "first-block"}, "does not go with FirstBlockCache"),
        (2, {"parallel": "passes", "attention": "flash"}, "needs flash-attn"),
        (2, {"parallel": "passes", "compile": True, "profile": "fp8"}, "the profile fp8 does not go with --compile"),
    ],
)
def test_the_others_are_not_told_of_what_is_refused(
    toy_model: Path, tmp_path: Path, loaded: list[str], size: int, settings: dict[str, Any], message: str
) -> None:
    wanted = replace(SIZE, cache=settings.pop("cache", "none"))
    ladder, team = in_team(toy_model, tmp_path, size, **settings)
    with pytest.raises(RequestError, match=message):
        ladder.ready(wanted, lambda _: None, lambda _: None)
    assert not team.said and not loaded


def test_a_lora_is_refused_before_the_others_have_the_job(toy_model: Path, tmp_path: Path) -> None:
    ladder, team = in_team(toy_model, tmp_path, parallel="passes")
    ladder.ready(SIZE, lambda _: None, lambda _: None)
    team.said.clear()
    lora = tmp_path / "lora.safetensors"
    lora.write_text("none")
    with pytest.raises(WeightsError, match="cannot be read"):
        next(sample_video(ladder, replace(job(), lora=lora), lambda *_: None, lambda _: None, CancelToken()))
    assert not team.said


def test_nobody_computes_attention_by_another_kernel_than_the_first_process(
    toy_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "settle", lambda *_: Choice("native", ("attention flash is not used: wrong results",)))
    files, flash = ModelFiles(prepare_model(toy_model.as_posix()).folder), Placement(device="cpu", attention="flash")
    with pytest.raises(RequestError, match="first process computes attention by flash.* wrong results"):
        loading.load_pipeline(files, flash, profile_of("resident"), tmp_path, Heard(1, 2, torch.device("cpu")))
