"""Who of a team does what, and what is refused before anything is shared."""

import pytest
import torch

from fantasyportrait.core.errors import Cancelled, RequestError
from fantasyportrait.runtime.team import Team, check_tokens, distributed, join_team, mode_of

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
def test_every_pass_is_made_once_and_all_run_as_often(
    size: int, groups: tuple[int, ...], expected: list[list[tuple[int, ...]]]
) -> None:
    shares = [Team(rank, size, CPU).turns(groups) for rank in range(size)]
    assert shares == expected
    assert len({len(share) for share in shares}) == 1
    assert sorted(number for share in shares for turn in share for number in turn) == list(range(sum(groups)))


def test_who_shares_tokens_makes_every_pass() -> None:
    assert Team(1, 2, CPU, "tokens").turns((1, 1)) == [(0,), (1,)]
    assert Team(1, 2, CPU, "tokens").turns((2,)) == [(0, 1)]


@pytest.mark.parametrize(
    ("parallel", "size", "passes", "mode"),
    [
        ("auto", 2, 2, "passes"),
        ("auto", 2, 3, "tokens"),
        ("auto", 2, 1, "tokens"),
        ("auto", 4, 2, "tokens"),
        ("tokens", 2, 2, "tokens"),
        ("passes", 3, 3, "passes"),
    ],
)
def test_what_is_shared(parallel: str, size: int, passes: int, mode: str) -> None:
    assert mode_of(parallel, size, passes) == mode


def test_processes_without_work_are_refused() -> None:
    with pytest.raises(RequestError, match="3 processes cannot share .* this request has 2: start 2"):
        mode_of("passes", 3, 2)


def test_alone_nothing_is_exchanged() -> None:
    with join_team("none", CPU) as team:
        assert (team.rank, team.size, team.leads) == (0, 1, True)
        assert team.agree(True) and not team.agree(False)
        parts = torch.ones(2, 3)
        assert team.fill(parts) is parts
        team.send("a job")
        team.stop()


@pytest.mark.parametrize(
    ("parallel", "environment", "message"),
    [
        ("auto", {}, "start it with  torchrun"),
        ("none", {"WORLD_SIZE": "2", "RANK": "0", "TORCHELASTIC_RUN_ID": "x"}, "2 processes .* add --parallel auto"),
    ],
)
def test_the_flag_and_torchrun_come_together(
    monkeypatch: pytest.MonkeyPatch, parallel: str, environment: dict[str, str], message: str
) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match=message):
        join_team(parallel, CPU)


def test_each_process_needs_a_card_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    with pytest.raises(RequestError, match="no card for process 1 .* which has 1: start 1"):
        join_team("auto", torch.device("xpu"))
    with pytest.raises(RequestError, match="leave the number out"):
        join_team("auto", torch.device("xpu:1"))


def test_heads_and_cards_for_tokens() -> None:
    with pytest.raises(RequestError, match="3 processes cannot share 4 attention heads evenly: start one of 2, 4"):
        check_tokens(4, Team(0, 3, CPU, "tokens"))
    with pytest.raises(RequestError, match="on cards only"):
        check_tokens(4, Team(0, 2, CPU, "tokens"))


@pytest.mark.parametrize(("local", "expected"), [({}, (1, 4)), ({"LOCAL_WORLD_SIZE": "2"}, (1, 2))])
def test_each_process_knows_those_of_its_machine(
    monkeypatch: pytest.MonkeyPatch, local: dict[str, str], expected: tuple[int, int]
) -> None:
    """Without a word of torchrun's all of them."""
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    for name, value in {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", **local}.items():
        monkeypatch.setenv(name, value)
    for name, result in {"init_process_group": None, "new_group": None, "get_rank": 3}.items():
        monkeypatch.setattr(distributed, name, lambda *_, result=result, **__: result)
    team = join_team("passes", CPU)
    assert (team.rank, team.size) == (3, 4) and (team.local_rank, team.local_size) == expected


def test_who_was_stopped_does_not_mind_that_the_others_are_gone() -> None:
    class Lost(Team):
        def leave(self) -> None:
            raise RuntimeError("connection closed by peer")

    with pytest.raises(Cancelled), Lost(0, 2, CPU):
        raise Cancelled("stopped")
    with pytest.raises(RuntimeError, match="closed"), Lost(0, 2, CPU):
        pass
