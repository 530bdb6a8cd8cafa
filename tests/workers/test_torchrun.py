"""Processes of torchrun from the outside: which process handles which signal, and the error of a rank."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest
import torch

from fantasyportrait.core.errors import RequestError
from fantasyportrait.engines.wan_rank import run_wan_rank
from fantasyportrait.pipelines import rank_loop
from fantasyportrait.runtime import process_group as process_group_module
from fantasyportrait.runtime.process_group import ProcessGroup
from fantasyportrait.runtime.runtime_config import RuntimeConfig
from fantasyportrait.workers.torchrun import run_distributed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


class Still(ProcessGroup):
    """One of two processes; the other one does not exist."""

    def close(self) -> None:
        """There is no other process to reach."""


@pytest.fixture(autouse=True)
def default_handlers() -> Iterator[None]:
    """The handlers of a new Python process: other tests of this one leave theirs, as Ray does."""
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


@pytest.fixture
def join(monkeypatch: pytest.MonkeyPatch) -> RuntimeConfig:
    """The runtime config of rank 0."""
    monkeypatch.setattr(process_group_module, "init_process_group", lambda *_: Still(0, 2, torch.device("cpu")))
    return RuntimeConfig(device="cpu", parallel="cfg")


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def no_rank(*_: object) -> None:
    pytest.fail("rank 0 runs no loop of the other ranks")


def test_single_process_is_interrupted_by_sigterm() -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt):
        run_distributed(RuntimeConfig(), lambda _: os.kill(os.getpid(), signal.SIGTERM), no_rank)
    assert handlers() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_rank_0_is_interrupted_once(join: RuntimeConfig, number: signal.Signals) -> None:
    """Torchrun forwards each signal again: the second one must not interrupt the clean-up."""
    before, ended = handlers(), []

    def main(process_group: ProcessGroup | None) -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            for again in (signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), again)
            ended.append(process_group)

    with pytest.raises(KeyboardInterrupt):
        run_distributed(join, main, no_rank)
    assert len(ended) == 1 and handlers() == before


def test_rank_reports_out_of_memory(
    join: RuntimeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rank also ignores Ctrl-C, which rank 0 handles for all."""

    def run_rank(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise torch.OutOfMemoryError("no room for 2 GiB")

    monkeypatch.setattr(process_group_module, "init_process_group", lambda *_: Still(1, 2, torch.device("cpu")))
    monkeypatch.setattr(rank_loop, "run_rank", run_rank)
    with pytest.raises(RequestError, match="the memory of cpu ran out: start all processes again with a profile"):
        run_distributed(join, lambda _: pytest.fail("it is rank 1"), run_wan_rank)
    assert capsys.readouterr().err == "process 1 of 2: "
