"""Numbers of people: by confirmation, then left to right; later observations change no earlier number."""

from hypothesis import given, strategies as st

from fantasyportrait.faces.numbering import LOOKAHEAD_S, TrackletIdentity, confirm_after_s, person_numbers

NEVER = float("inf")


def test_simultaneous_people_left_to_right_then_later_ones() -> None:
    identities = {
        0: TrackletIdentity(900, 0.4, 0),
        1: TrackletIdentity(100, 0.8, 1),
        2: TrackletIdentity(50, NEVER, 2),
        3: TrackletIdentity(10, 1.0, 3),
        4: TrackletIdentity(700, 1.2, 1),
    }
    assert person_numbers(identities, 10) == {1: 1, 0: 2, 3: 3, 4: 1}


def test_part_lists_people_confirmed_soon_after_its_end() -> None:
    identities = {0: TrackletIdentity(900, 0.4, 0), 1: TrackletIdentity(100, 5.0, 1), 2: TrackletIdentity(10, 5.4, 2)}
    assert person_numbers(identities, 4.4) == {0: 1}
    assert person_numbers(identities, 4.6) == {0: 1, 1: 3}
    assert person_numbers(identities, 9.0) == {0: 1, 1: 3, 2: 2}


def test_a_short_clip_needs_less() -> None:
    assert confirm_after_s(100) < 0.4 < confirm_after_s(100) + 1e-5
    assert confirm_after_s(2.4) < 0.12 < confirm_after_s(2.4) + 1e-5


times = st.one_of(st.floats(0, 30), st.just(NEVER))


@given(st.lists(st.tuples(st.floats(0, 1000), times), max_size=12), st.floats(0, 30), st.floats(0, 10), st.data())
def test_what_comes_later_changes_no_number(
    made: list[tuple[float, float]], end_s: float, more_s: float, data: st.DataObject
) -> None:
    """Identities of the shortest sufficient analysis equal those of a longer one."""
    owners = [data.draw(st.integers(0, own)) for own in range(len(made))]
    identities = {
        own: TrackletIdentity(x, confirmed_s, owners[own] if made[owners[own]][1] <= confirmed_s < NEVER else own)
        for own, (x, confirmed_s) in enumerate(made)
    }
    identities = {
        own: p if identities[p.person].person == p.person else TrackletIdentity(p.x, p.confirmed_s, own)
        for own, p in identities.items()
    }
    stop = end_s + LOOKAHEAD_S + more_s
    early = {
        own: p if p.confirmed_s <= end_s + LOOKAHEAD_S else TrackletIdentity(p.x, NEVER, own)
        for own, p in identities.items()
    }
    later = {own: p if p.confirmed_s <= stop else TrackletIdentity(p.x, NEVER, own) for own, p in identities.items()}
    named = person_numbers(identities, end_s)
    assert person_numbers(early, end_s) == person_numbers(later, end_s) == named
    assert named.items() <= person_numbers(identities, end_s + more_s).items()
