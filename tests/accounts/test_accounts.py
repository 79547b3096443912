"""Which account is asked: the decision alone, then through the gateway."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightseat.accounts.selection import Candidate, Choice, Cooldown, Refusal, conversation_of, cool_down, pick_next

NAMES = st.sampled_from(["a", "b", "c", "d"])


def refused(candidate, model, now, *, status, code, retry_after, whole=False) -> bool:
    return cool_down(candidate, model, now, Refusal(status, code, "", retry_after, whole))


def left(candidates, model, now):
    choice = pick_next(candidates, model, now)
    return choice.name, choice.wait


def of(*names: str, **more) -> list[Candidate]:
    return [Candidate(name, **more) for name in names]


def test_the_least_loaded_then_the_first():
    assert pick_next([Candidate("a", load=2), Candidate("b", load=1), Candidate("c", load=1)], "m", 0) == Choice("b")
    assert pick_next([], "m", 0) == Choice(None)


def test_only_those_that_have_the_model():
    candidates = [
        Candidate("a", frozenset({"x"})),
        Candidate("b", frozenset({"m"}), load=9),
        Candidate("c", None, load=99),
    ]
    assert pick_next(candidates, "m", 0) == Choice("b")
    assert pick_next(candidates[:1], "m", 0) == Choice(None)


def test_a_refused_account_cools_down_as_long_as_the_server_said():
    a, b = of("a", "b")
    assert refused(a, "m", 100, status=429, code=None, retry_after=30)
    assert pick_next([a, b], "m", 101) == Choice("b")
    assert left([a], "m", 101) == (None, 29)
    assert pick_next([a, b], "m", 130) == Choice("a")


def test_one_model_may_cool_down_alone():
    (a,) = of("a")
    assert refused(a, "m", 0, status=429, code="user_model_rate_limited", retry_after=None)
    assert left([a], "m", 1) == (None, 59)
    assert pick_next([a], "other", 1) == Choice("a")


def test_a_403_is_about_the_model_unless_the_account_itself_was_refused():
    (a,) = of("a")
    refused(a, "m", 0, status=403, code=None, retry_after=None)
    assert pick_next([a], "other", 1) == Choice("a")
    refused(a, "m", 0, status=403, code="no_copilot_access", retry_after=None, whole=True)
    assert left([a], "other", 1) == (None, 299)


def test_what_the_caller_did_wrong_cools_nobody_down():
    (a,) = of("a")
    for status in (400, 401, 404, 413, 422, 500, 503):
        assert not refused(a, "m", 0, status=status, code=None, retry_after=5)
    assert pick_next([a], "m", 0) == Choice("a")


@given(st.text(min_size=1), st.lists(NAMES, min_size=2, unique=True), st.data())
def test_a_conversation_stays_and_moves_only_when_its_own_account_drops_out(conversation, names, data):
    chosen = pick_next(of(*names), "m", 0, conversation=conversation).name
    assert (
        chosen
        == pick_next(of(*reversed(names), load=data.draw(st.integers(0, 9))), "m", 0, conversation=conversation).name
    )
    other = data.draw(st.sampled_from([n for n in names if n != chosen]))
    assert chosen == pick_next(of(*[n for n in names if n != other]), "m", 0, conversation=conversation).name
    assert pick_next(of(*names), "m", 0, conversation=conversation, tried=frozenset({chosen})).name in set(names) - {
        chosen
    }


@given(st.lists(st.builds(Candidate, NAMES, st.none() | st.frozensets(st.sampled_from(["m", "n"])), st.integers(0, 3),
                          st.dictionaries(st.tuples(st.sampled_from(["", "m", "n"]), st.sampled_from(["", "k"])), st.builds(Cooldown, st.floats(0, 100)))), max_size=5), st.floats(0, 100), st.text(max_size=2))  # fmt: skip
def test_the_choice_is_always_able_and_ready(candidates, now, conversation):
    choice = pick_next(candidates, "m", now, conversation=conversation)
    able = [c for c in candidates if c.models is None or "m" in c.models]
    if choice.name is None:
        assert all(c.cooling("m", now) is not None for c in able)
        assert (choice.wait is None) == (not able)
    else:
        assert any(c.name == choice.name and c.cooling("m", now) is None for c in able)


def test_what_ties_a_conversation_together():
    first = {"role": "user", "content": "hi"}
    assert conversation_of({"x-session-id": "s"}, {"messages": [first]}) == "s"
    assert conversation_of({}, {"prompt_cache_key": "k"}) == "k"
    assert conversation_of({}, {"metadata": {"user_id": "u"}}) == "u"
    assert conversation_of({}, {"messages": [first]}) == conversation_of(
        {}, {"messages": [first, {"role": "assistant", "content": "x"}]}
    )
    assert conversation_of({}, {"messages": [first]}) != conversation_of(
        {}, {"messages": [{"role": "user", "content": "ho"}]}
    )
    assert conversation_of({}, {}) == ""


@pytest.mark.parametrize("odd", ["a\r\nx-evil: 1", "k" * 5000, "schlüssel", "\x00"])
def test_a_conversation_has_a_name_that_may_stand_in_a_header(odd):
    """A16: a backend sends it on as one."""
    for headers, body in (({"x-session-id": odd}, {}), ({}, {"prompt_cache_key": odd}), ({}, {"user": odd})):
        name = conversation_of(headers, body)
        assert name == conversation_of(headers, body) != conversation_of({}, {"user": odd + "2"})
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= 200
