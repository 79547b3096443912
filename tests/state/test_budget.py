"""Budgets: what is refused, until when, and that no order of requests spends more than a budget and one request."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rightseat.state.budget import Sheet, Spent, day_ends, day_of, month_ends
from rightseat.state.key_record import Key

msgspec_replace = msgspec.structs.replace


class TestLimits:
    KEY = Key(
        id="k",
        name="n",
        digest="",
        created_at=0,
        daily_tokens=1000,
        monthly_tokens=5000,
        requests_per_minute=60,
        tokens_per_minute=10_000,
    )

    def test_a_budget_is_refused_until_its_period_ends(self):
        now = 1_795_000_000.0
        assert Sheet(day=1000).reserve(self.KEY, 1, now).refused == "daily_tokens"
        assert Sheet(day=1000).reserve(self.KEY, 1, now).wait == pytest.approx(day_ends(now) - now)
        assert Sheet(day=10, month=5000).reserve(self.KEY, 1, now).refused == "monthly_tokens"
        assert (
            Sheet(day=999, month=4999).reserve(self.KEY, 10**6, now).refused == ""
        )  # alone, it may go over by its own size

    def test_a_budget_that_is_used_up_is_known_before_the_body_is(self):
        assert Sheet(day=1000).enter(self.KEY, 0.0).refused == "daily_tokens"
        assert Sheet(day=999, reserved=10**6).enter(self.KEY, 0.0).refused == ""

    def test_zero_is_a_budget_and_none_is_not(self):
        assert Sheet().enter(msgspec_replace(self.KEY, daily_tokens=0), 0.0).refused == "daily_tokens"
        assert Sheet().reserve(msgspec_replace(self.KEY, monthly_tokens=0), 0, 0.0).refused == "monthly_tokens"
        assert Sheet(day=10**9).enter(msgspec_replace(self.KEY, daily_tokens=None), 0.0).refused == ""

    def test_near_the_end_requests_go_one_at_a_time(self):
        assert Sheet(day=500, reserved=100).reserve(self.KEY, 300, 0).refused == ""
        assert Sheet(day=500, reserved=300).reserve(self.KEY, 300, 0).refused == "daily_tokens"
        assert Sheet(day=500, reserved=300).reserve(self.KEY, 300, 0).wait == 1.0

    @pytest.mark.parametrize(("age", "wait"), [(0.2, 1.0), (7.0, 7.0), (3600.0, 60.0)])
    def test_what_is_only_reserved_is_said_to_be_and_takes_about_as_long_as_it_has_taken(self, age, wait):
        verdict = Sheet(day=500, reserved=300, oldest=1000.0 - age).reserve(self.KEY, 300, 1000.0)
        assert (verdict.reserved, verdict.wait) == (True, pytest.approx(wait))
        assert not Sheet(day=1000, reserved=300).reserve(self.KEY, 300, 1000.0).reserved

    def test_a_minute_of_requests_at_once_and_then_one_by_one(self):
        sheet, passed = Sheet(), 0
        for _ in range(100):
            verdict = sheet.enter(msgspec_replace(self.KEY, tokens_per_minute=None), 100.0)
            if verdict.refused:
                assert verdict.refused == "requests_per_minute"
                assert verdict.wait == pytest.approx(1.0, abs=0.01)
                break
            passed += 1
        assert passed == 60

    def test_tokens_that_were_not_used_come_back(self):
        key = msgspec_replace(self.KEY, requests_per_minute=None, daily_tokens=None, monthly_tokens=None)
        sheet = Sheet()
        assert sheet.reserve(key, 8000, 0.0).refused == ""
        assert sheet.reserve(key, 8000, 0.0).refused == "tokens_per_minute"
        sheet.settle(key, 8000, Spent(0, 60, 40), 0.0)
        assert sheet.reserve(key, 8000, 0.0).refused == ""

    def test_days_and_months_end_in_utc(self):
        at = 1_798_761_599.0  # 2026-12-31 23:59:59
        assert (day_of(at), day_ends(at) - at, month_ends(at) - at) == ("2026-12-31", 1.0, 1.0)
        assert month_ends(1_772_236_800.0) - 1_772_236_800.0 == 86_400  # 2026-02-28

    @settings(max_examples=60, deadline=None)
    @given(st.randoms(use_true_random=False), st.integers(1, 2000), st.integers(1, 6))
    def test_however_requests_overlap_a_budget_is_kept_to_within_one_request(self, chance, budget, workers):
        """A model of many workers: whoever is admitted uses at most what was reserved."""
        key = Key(id="k", name="n", digest="", created_at=0, daily_tokens=budget)
        sheet, under_way, largest = Sheet(), [], 0
        for _ in range(200):
            if under_way and (len(under_way) >= workers or chance.random() < 0.5):
                most = under_way.pop(chance.randrange(len(under_way)))
                sheet.settle(key, most, Spent(0, chance.randint(0, most)), 0)
            else:
                most = chance.randint(1, 400)
                if not sheet.reserve(key, most, 0).refused:
                    under_way.append(most)
                    largest = max(largest, most)
        assert sheet.reserved == sum(under_way)
        assert sheet.day + sheet.reserved <= budget + largest
