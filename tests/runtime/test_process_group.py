"""The process group: how passes are assigned, and what is refused before work is shared."""

import pytest
import torch

from fantasyportrait.core.errors import Cancelled, RequestError
from fantasyportrait.runtime.process_group import (
    ProcessGroup,
    check_context_parallel,
    distributed,
    init_process_group,
    resolve_mode,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("size", "groups", "expected"),
    [
        (1, (1, 1), [[(0,), (1,)]]),
        (1, (3,), [[(0, 1, 2)]]),
        (2, (1, 1), [[(0,)], [(1,)]]),
        (2, (1, 1, 1), [[(0,), (2,)], [(1,), ()]]),
        (2, (3,), [[(0, 2)], [(1,)]]),
        (2, (1,), [[(0,)], [()]]),
        (3, (1, 1, 1), [[(0,)], [(1,)], [(2,)]]),
    ],
)
def test_assign_passes_covers_each_pass_once(
    size: int, groups: tuple[int, ...], expected: list[list[tuple[int, ...]]]
) -> None:
    shares = [ProcessGroup(rank, size, CPU).assign_passes(groups) for rank in range(size)]
    assert shares == expected
    assert len({len(share) for share in shares}) == 1
    assert sorted(number for share in shares for turn in share for number in turn) == list(range(sum(groups)))


def test_context_parallel_rank_runs_every_pass() -> None:
    assert ProcessGroup(1, 2, CPU, "context").assign_passes((1, 1)) == [(0,), (1,)]
    assert ProcessGroup(1, 2, CPU, "context").assign_passes((2,)) == [(0, 1)]


@pytest.mark.parametrize(
    ("parallel", "size", "passes", "mode"),
    [
        ("auto", 2, 2, "cfg"),
        ("auto", 2, 3, "context"),
        ("auto", 2, 1, "context"),
        ("auto", 4, 2, "context"),
        ("context", 2, 2, "context"),
        ("cfg", 3, 3, "cfg"),
    ],
)
def test_resolve_mode_of_parallel_setting(parallel: str, size: int, passes: int, mode: str) -> None:
    assert resolve_mode(parallel, size, passes) == mode


def test_idle_processes_are_refused() -> None:
    with pytest.raises(RequestError, match="3 processes cannot share .* this request has 2: start 2"):
        resolve_mode("cfg", 3, 2)


def test_single_process_exchanges_nothing() -> None:
    with init_process_group("none", CPU) as process_group:
        assert (process_group.rank, process_group.size, process_group.is_main_process) == (0, 1, True)
        assert process_group.sync_stop(True) and not process_group.sync_stop(False)
        parts = torch.ones(2, 3)
        assert process_group.all_reduce(parts) is parts
        process_group.broadcast_object("a job")
        process_group.broadcast_stop()


@pytest.mark.parametrize(
    ("parallel", "environment", "message"),
    [
        ("auto", {}, "start it with  torchrun"),
        ("none", {"WORLD_SIZE": "2", "RANK": "0", "TORCHELASTIC_RUN_ID": "x"}, "2 processes .* add --parallel auto"),
    ],
)
def test_parallel_flag_requires_torchrun(
    monkeypatch: pytest.MonkeyPatch, parallel: str, environment: dict[str, str], message: str
) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match=message):
        init_process_group(parallel, CPU)


def test_each_process_requires_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    with pytest.raises(RequestError, match="no GPU for process 1 .* which has 1: start 1"):
        init_process_group("auto", torch.device("xpu"))
    with pytest.raises(RequestError, match="leave the number out"):
        init_process_group("auto", torch.device("xpu:1"))


def test_context_parallel_refuses_uneven_heads_and_cpu() -> None:
    with pytest.raises(RequestError, match="3 processes cannot share 4 attention heads evenly: start one of 2, 4"):
        check_context_parallel(4, ProcessGroup(0, 3, CPU, "context"))
    with pytest.raises(RequestError, match="on GPUs only"):
        check_context_parallel(4, ProcessGroup(0, 2, CPU, "context"))


@pytest.mark.parametrize(("local", "expected"), [({}, (1, 4)), ({"LOCAL_WORLD_SIZE": "2"}, (1, 2))])
def test_local_world_size_defaults_to_all_processes(
    monkeypatch: pytest.MonkeyPatch, local: dict[str, str], expected: tuple[int, int]
) -> None:
    """Without LOCAL_WORLD_SIZE all processes count as local."""
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    for name, value in {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", **local}.items():
        monkeypatch.setenv(name, value)
    for name, result in {"init_process_group": None, "new_group": None, "get_rank": 3}.items():
        monkeypatch.setattr(distributed, name, lambda *_, result=result, **__: result)
    process_group = init_process_group("cfg", CPU)
    assert (process_group.rank, process_group.size) == (3, 4) and (
        process_group.local_rank,
        process_group.local_size,
    ) == expected


def test_cancelled_process_ignores_lost_processes() -> None:
    class Lost(ProcessGroup):
        def close(self) -> None:
            raise RuntimeError("connection closed by peer")

    with pytest.raises(Cancelled), Lost(0, 2, CPU):
        raise Cancelled("stopped")
    with pytest.raises(RuntimeError, match="closed"), Lost(0, 2, CPU):
        pass
