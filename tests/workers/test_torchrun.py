"""Processes of torchrun from the outside: who hears which signal, and how a follower says what went wrong."""

import os
import signal
import sys

import pytest
import torch

from fantasyportrait.core.errors import RequestError
from fantasyportrait.pipelines import rank_loop
from fantasyportrait.runtime import process_group as process_group_module
from fantasyportrait.runtime.process_group import ProcessGroup
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.workers.torchrun import run_distributed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


class Still(ProcessGroup):
    """One of two processes whose other one needs nothing."""

    def close(self) -> None:
        """There is nobody to tell."""


@pytest.fixture
def join(monkeypatch: pytest.MonkeyPatch) -> RuntimeConfig:
    """The runtime config of a process that leads; `run_rank` makes it another."""
    monkeypatch.setattr(process_group_module, "init_process_group", lambda *_: Still(0, 2, torch.device("cpu")))
    return RuntimeConfig(device="cpu", parallel="cfg")


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_a_process_alone_is_interrupted_by_sigterm() -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt):
        run_distributed(RuntimeConfig(), lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert handlers() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_leads_a_team_is_stopped_once(join: RuntimeConfig, number: signal.Signals) -> None:
    """Torchrun sends each signal on to those who have had it: the second one must not break into the ending."""
    before, ended = handlers(), []

    def main(process_group: ProcessGroup | None) -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            for again in (signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), again)
            ended.append(process_group)

    with pytest.raises(KeyboardInterrupt):
        run_distributed(join, main)
    assert len(ended) == 1 and handlers() == before


def test_a_follower_says_that_its_memory_ran_out(
    join: RuntimeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And does not hear Ctrl-C, which the first process hears for all."""

    def run_rank(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise torch.OutOfMemoryError("no room for 2 GiB")

    monkeypatch.setattr(process_group_module, "init_process_group", lambda *_: Still(1, 2, torch.device("cpu")))
    monkeypatch.setattr(rank_loop, "run_rank", run_rank)
    with pytest.raises(RequestError, match="the memory of cpu ran out: start all of them again with a profile"):
        run_distributed(join, lambda _: pytest.fail("it follows"))
    assert capsys.readouterr().err == "process 1 of 2: "
