"""Numbers of people: by when they begin to count, then left to right; later sightings change no earlier number."""

from hypothesis import given, strategies as st

from fantasyportrait.faces.numbering import LOOK_AHEAD_S, Piece, counts_after_s, numbers

NEVER = float("inf")


def test_those_who_come_together_are_numbered_left_to_right_and_later_ones_after_them() -> None:
    pieces = {
        0: Piece(900, 0.4, 0),
        1: Piece(100, 0.8, 1),
        2: Piece(50, NEVER, 2),
        3: Piece(10, 1.0, 3),
        4: Piece(700, 1.2, 1),
    }
    assert numbers(pieces, 10) == {1: 1, 0: 2, 3: 3, 4: 1}


def test_a_part_lists_those_who_count_soon_after_its_end() -> None:
    pieces = {0: Piece(900, 0.4, 0), 1: Piece(100, 5.0, 1), 2: Piece(10, 5.4, 2)}
    assert numbers(pieces, 4.4) == {0: 1}
    assert numbers(pieces, 4.6) == {0: 1, 1: 3}
    assert numbers(pieces, 9.0) == {0: 1, 1: 3, 2: 2}


def test_a_short_clip_needs_less() -> None:
    assert counts_after_s(100) < 0.4 < counts_after_s(100) + 1e-5
    assert counts_after_s(2.4) < 0.12 < counts_after_s(2.4) + 1e-5


times = st.one_of(st.floats(0, 30), st.just(NEVER))


@given(st.lists(st.tuples(st.floats(0, 1000), times), max_size=12), st.floats(0, 30), st.floats(0, 10), st.data())
def test_what_comes_later_changes_no_number(
    made: list[tuple[float, float]], end_s: float, more_s: float, data: st.DataObject
) -> None:
    """The pieces as they are known when the analysis stopped as early as it may, against those of a longer one."""
    owners = [data.draw(st.integers(0, own)) for own in range(len(made))]
    pieces = {
        own: Piece(x, counts_s, owners[own] if made[owners[own]][1] <= counts_s < NEVER else own)
        for own, (x, counts_s) in enumerate(made)
    }
    pieces = {
        own: p if pieces[p.person].person == p.person else Piece(p.x, p.counts_s, own) for own, p in pieces.items()
    }
    stop = end_s + LOOK_AHEAD_S + more_s
    early = {own: p if p.counts_s <= end_s + LOOK_AHEAD_S else Piece(p.x, NEVER, own) for own, p in pieces.items()}
    later = {own: p if p.counts_s <= stop else Piece(p.x, NEVER, own) for own, p in pieces.items()}
    named = numbers(pieces, end_s)
    assert numbers(early, end_s) == numbers(later, end_s) == named
    assert named.items() <= numbers(pieces, end_s + more_s).items()
