"""The service's inputs, and the command line called in this process."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fantasyportrait.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """What a command returned and printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `fantasyportrait` with the given arguments."""

    def run(*words: object) -> Outcome:
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run
