"""Processes of torchrun from the outside: who hears which signal, and how a follower says what went wrong."""

import os
import signal
import sys

import pytest
import torch

from fantasyportrait.core.errors import RequestError
from fantasyportrait.pipelines import following
from fantasyportrait.runtime import team as team_module
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.runtime.team import Team
from fantasyportrait.workers.parallel import run_in_team

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


class Still(Team):
    """One of two processes whose other one needs nothing."""

    def leave(self) -> None:
        """There is nobody to tell."""


@pytest.fixture
def join(monkeypatch: pytest.MonkeyPatch) -> Placement:
    """The placement of a process that leads; `follow` makes it another."""
    monkeypatch.setattr(team_module, "join_team", lambda *_: Still(0, 2, torch.device("cpu")))
    return Placement(device="cpu", parallel="passes")


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_a_process_alone_is_interrupted_by_sigterm() -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt):
        run_in_team(Placement(), lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert handlers() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_leads_a_team_is_stopped_once(join: Placement, number: signal.Signals) -> None:
    """Torchrun sends each signal on to those who have had it: the second one must not break into the ending."""
    before, ended = handlers(), []

    def lead(team: Team | None) -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            for again in (signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), again)
            ended.append(team)

    with pytest.raises(KeyboardInterrupt):
        run_in_team(join, lead)
    assert len(ended) == 1 and handlers() == before


def test_a_follower_says_that_its_memory_ran_out(
    join: Placement, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And does not hear Ctrl-C, which the first process hears for all."""

    def follow(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise torch.OutOfMemoryError("no room for 2 GiB")

    monkeypatch.setattr(team_module, "join_team", lambda *_: Still(1, 2, torch.device("cpu")))
    monkeypatch.setattr(following, "follow", follow)
    with pytest.raises(RequestError, match="the memory of cpu ran out: start all of them again with a profile"):
        run_in_team(join, lambda _: pytest.fail("it follows"))
    assert capsys.readouterr().err == "process 1 of 2: "
