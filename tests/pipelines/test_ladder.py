"""One pipeline at a time: planned, loaded, kept, and one profile lower when memory runs out, by the real loader."""

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import RequestError
from fantasyportrait.pipelines import ladder as ladder_module
from fantasyportrait.pipelines.fit import Fitter, Plan
from fantasyportrait.pipelines.ladder import Ladder
from fantasyportrait.pipelines.loading import ModelFiles
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.video_job import FaceJob, VideoJob, sample_video
from fantasyportrait.runtime.estimate import JobSize
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.profiles import profile_of
from fantasyportrait.service.wan_model import prepare_model

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
