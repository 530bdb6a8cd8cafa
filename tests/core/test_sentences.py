"""Sentences that keep their key and values, on their way to another process and back."""

import copy
import json
import pickle

import pytest
from hypothesis import given, strategies as st
from hypothesis.strategies import SearchStrategy

from fantasyportrait.core.errors import FantasyPortraitError, MediaError, RequestError
from fantasyportrait.core.sentences import Sentence, decode, encode, with_values

TEXTS = st.text(max_size=20)


def sentences() -> SearchStrategy[str]:
    """Sentences with up to two values, each of which may be a sentence."""
    return st.recursive(TEXTS, lambda value: st.builds(lambda a, b: Sentence("{a} and {b}", a=a, b=b), value, value))


def test_sentence_reads_like_formatted_template() -> None:
    sentence = Sentence("{path} lasts {seconds:.1f} s, not {name!r}", path="a.mp4", seconds=2.04, name="x")
    assert sentence == "a.mp4 lasts 2.0 s, not 'x'"
    assert sentence.key == "{path} lasts {seconds} s, not {name}"
    assert sentence.values == {"path": "a.mp4", "seconds": "2.0", "name": "'x'"}


def test_braces_of_a_value_are_no_places() -> None:
    sentence = Sentence("{path} and {other}", path="{other}.png", other="{path}")
    assert sentence == "{other}.png and {path}"
    assert decode(encode(sentence)) == sentence


def test_error_without_values_is_said_as_it_is() -> None:
    assert str(RequestError("choose {this}")) == "choose {this}"


def test_error_in_a_sentence_stays_a_sentence() -> None:
    inner = MediaError("{path} is empty", path="a.png")
    outer = RequestError("the face cannot move: {reason}", reason=inner)
    assert str(outer) == "the face cannot move: a.png is empty"
    assert encode(outer.sentence)["values"]["reason"] == {"key": "{path} is empty", "values": {"path": "a.png"}}


@given(sentences())
def test_sentence_survives_json_and_pickle(sentence: str) -> None:
    through_json = decode(json.loads(json.dumps(encode(sentence))))
    for other in (through_json, pickle.loads(pickle.dumps(sentence)), copy.deepcopy(sentence)):
        assert other == sentence and encode(other) == encode(sentence)


def test_error_survives_pickle() -> None:
    error = pickle.loads(pickle.dumps(RequestError("{name} is {value!r}", name="seed", value="x")))
    assert isinstance(error, RequestError) and str(error) == "seed is 'x'"
    assert isinstance(error, FantasyPortraitError) and encode(error.sentence)["key"] == "{name} is {value}"


def test_change_of_values_leaves_the_key() -> None:
    sentence = Sentence("{path} path", path="path")
    changed = with_values(sentence, str.upper)
    assert changed == "PATH path" and encode(changed) == {"key": "{path} path", "values": {"path": "PATH"}}
    assert with_values("path", str.upper) == "PATH"


@pytest.mark.parametrize(
    "data", [{"key": 1, "values": {}}, {"key": "x", "values": []}, {"key": "", "values": {"a": 1}}]
)
def test_sentence_of_other_kinds_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="not text"):
        decode(["a", {"inner": data}])
