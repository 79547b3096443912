"""What cools down after a refusal: the smallest thing that was refused, and nobody else's. Random worlds beside the law."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rightseat.accounts.selection import MOST_SECONDS, WHOLE_ACCOUNT, Candidate, Refusal, cool_down, pick_next

NAMES, MODELS, CALLERS = ("a", "b", "c"), ("m", "n", "o"), ("k1", "k2", "k3")
REFUSALS = st.builds(
    Refusal,
    st.sampled_from([400, 402, 403, 404, 422, 429, 500, 503]),
    st.sampled_from(
        [
            None,
            "quota_exceeded",
            "user_model_rate_limited",
            "content_policy",
            "user_global_rate_limited:pro",
            *WHOLE_ACCOUNT,
        ]
    ),
    st.just("words"),
    st.none() | st.floats(0, 1e9),
    st.booleans(),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(MODELS), st.sampled_from(CALLERS), REFUSALS | st.none(), st.floats(0, 1000)), max_size=40
)


def hard(candidate: Candidate, model: str, caller: str, now: float) -> bool:
    found = candidate.cooling(model, now, caller)
    return found is not None and not found.avoid


@given(STEPS)
def test_only_what_was_refused_cools_down(steps):
    candidates = [Candidate(name) for name in NAMES]
    now = 0.0
    for model, caller, refusal, passed in steps:
        now += passed
        choice = pick_next(candidates, model, now, caller=caller)
        if choice.name is None:
            assert all(hard(c, model, caller, now) for c in candidates)
            assert 0 < choice.wait <= MOST_SECONDS
            assert choice.cooldown.message == "words"
            continue
        chosen = next(c for c in candidates if c.name == choice.name)
        assert not hard(chosen, model, caller, now)
        if refusal is None:
            continue
        before = msgspec.structs.replace(chosen, cooldowns=dict(chosen.cooldowns))
        cool_down(chosen, model, now, refusal, caller=caller)
        whole = refusal.whole or (refusal.code or "").partition(":")[0] in WHOLE_ACCOUNT
        for other_model in MODELS:
            for other_caller in CALLERS:
                was, is_ = (
                    before.cooling(other_model, now, other_caller),
                    chosen.cooling(other_model, now, other_caller),
                )
                if refusal.status not in (402, 403, 429):
                    assert was == is_  # what a caller did wrong, or the server's trouble
                elif refusal.status == 403 and not refusal.whole and (other_model, other_caller) != (model, caller):
                    assert was == is_  # it may be that caller's own doing
                elif not whole and other_model != model:
                    assert was == is_


@given(st.sampled_from([402, 403, 429]), st.sampled_from(MODELS), st.floats(1, 1000))
def test_another_account_serves_meanwhile_and_the_same_one_after(status, model, seconds):
    candidates = [Candidate("a"), Candidate("b")]
    assert cool_down(candidates[0], model, 0.0, Refusal(status, None, "", seconds), caller="k1")
    assert pick_next(candidates, model, seconds / 2, caller="k1").name == "b"
    assert pick_next(candidates, model, seconds, caller="k1").name == "a"


def test_a_403_alone_is_asked_again_for_there_is_nobody_else():
    """It may be about what was said; only the server can tell."""
    (alone,) = candidates = [Candidate("a")]
    cool_down(alone, "m", 0.0, Refusal(403), caller="k1")
    assert pick_next(candidates, "m", 1.0, caller="k1").name == "a"


def test_what_is_remembered_is_bounded():
    candidate = Candidate("a")
    for i in range(5000):
        cool_down(candidate, f"m{i}", 0.0, Refusal(429))
    assert len(candidate.cooldowns) <= 1000
