"""Photos and driving clips for the service, made once a session."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.service.factories import acted, one_person, tone


@dataclass(frozen=True)
class Inputs:
    """One and two people as photos; clips in which they act for a second, the first with sound."""

    photo: Path
    pair: Path
    talking: Path
    nodding_pair: Path
    sound: Path


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory, two_person: Path, models_dir: Path) -> Inputs:
    """The inputs of this session's tests."""
    folder = tmp_path_factory.mktemp("inputs")
    photo = one_person(two_person, folder / "one.png")
    sound = tone(folder / "tone.wav")
    return Inputs(
        photo,
        two_person,
        acted(photo, ("talk",), folder / "talking.mp4", sound),
        acted(two_person, ("nod", "smile"), folder / "pair.mp4"),
        sound,
    )
