"""How much a caller may use: requests are counted as they arrive, tokens are reserved before upstream is asked and booked when it has answered.

Keys without limits cost no access to the database: what they use is written down every half second. What a limited key may use is on disk
before upstream is asked; its reservation is ended once, whatever happens.
"""

from __future__ import annotations

import asyncio
from collections import deque

from rightseat.chat import Estimate, Usage
from rightseat.errors import DeclinedError, KeyDatabaseError
from rightseat.gateway.access.caller import Caller
from rightseat.gateway.access.keys import KeyRing
from rightseat.gateway.access.refusals import Refusals
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.log import logger
from rightseat.state.base import Ledger
from rightseat.state.budget import Decision, Settle, Spent
from rightseat.state.key_record import Key

UNSETTLED = 100_000  # settlements that are kept while the database is away
GROUP = 1000  # of them at a time
_FRAME = 256  # tokens that what frames a whole answer may be reckoned as
_SMALL_PART = 8  # no server sends one token in more pieces
ANSWER_SECONDS = 4.5  # for answering what was used
_BUDGETS = ("daily_tokens", "monthly_tokens")


class KeyLimitError(DeclinedError):
    """The key's own limit or budget.

    Attributes:
        limit: its name, as in "daily_tokens".
        reserved: the budget is not used up; the rest is reserved by requests under way.
    """

    status_hint = 429

    def __init__(self, limit: str, wait: float, *, reserved: bool = False) -> None:
        what = "budget" if limit in _BUDGETS else "limit"
        how = "reserved by requests under way" if reserved else "used up"
        message = f"the key's {what} {limit} is {how}; try again in {wait:.0f} s"
        super().__init__(message, code=f"key_{limit}")
        self.limit = limit
        self.reserved = reserved
        self.retry_after = wait


class Reservation:
    """What a request may use. Settle it, however it ends; only the first time counts."""

    __slots__ = ("_admission", "_estimate", "_hold", "_key")

    def __init__(self, admission: Admission, key: Key | None, hold: str, estimate: Estimate) -> None:
        self._admission, self._key, self._hold, self._estimate = admission, key, hold, estimate

    @property
    def most(self) -> int | None:
        """Tokens that are reserved, the prompt included; None: nothing is."""
        return self._estimate.most if self._hold else None

    def settle(
        self,
        *,
        usage: Usage | None,
        is_final: bool,
        received: int,
        reached: bool,
        refused: bool = False,
        least: int = 0,
        lost: int = 0,
    ) -> None:
        """The request is over. Does not wait.

        Args:
            usage: what the answer has told so far.
            is_final: that is its last word.
            received: tokens that were received, estimated by the reader of the answer.
            reached: upstream was asked. If not, the reservation is given back.
            refused: upstream answered with the head of an error, so it used nothing.
            least: tokens that the answer surely had.
            lost: tries before the last that were sent and never answered.
        """
        if self._key is None:
            return
        key, self._key = self._key, None
        spent = Spent(0, lost * self._estimate.input_tokens)
        if reached and not refused:
            spent += reckon(self._estimate, usage, received, is_final=is_final, least=least, lost=lost)
        self._admission.book(key, self._hold, spent)


def reckon(
    estimate: Estimate, usage: Usage | None, received: int, *, is_final: bool, least: int = 0, lost: int = 0
) -> Spent:
    """What a request used: what its answer told at its end, else at least what was sent, received, and told on the way.

    Tries that were `lost` before are booked beside it, and leave it less room. The last word is not believed where it tells a small part of what surely came.
    """
    told = usage or Usage(0, 0)
    if usage is not None and is_final and told.output_tokens * _SMALL_PART >= least:
        return Spent(0, told.input_tokens, told.output_tokens, told.cached_tokens)
    read = max(told.input_tokens, estimate.input_tokens)
    # An answer keeps to its limit. What frames it was reckoned, too, and may seem to be more; much more is no frame.
    limited = max(estimate.most - (1 + lost) * estimate.input_tokens, received - _FRAME)
    written = max(told.output_tokens, least, min(received, limited))
    return Spent(0, read, written, told.cached_tokens)


class Admission:
    """Lets requests through as far as their keys' limits say.

    Args:
        ledger: where it is written down.
        ring: the gateway's own keys.
        refusals: where refusals are counted.
        ids: names reservations.
    """

    def __init__(self, ledger: Ledger, ring: KeyRing, refusals: Refusals, *, ids: Ids = SYSTEM_IDS) -> None:
        self.refusals = refusals
        self._ledger, self._ring, self._ids = ledger, ring, ids
        self._unwritten: dict[str, Spent] = {}
        self._unsettled: deque[Settle] = deque()
        self._settling: asyncio.Task[None] | None = None
        self._flushing = asyncio.Lock()

    async def enter(self, caller: Caller) -> None:
        """A request arrives; its body is not read yet. Every one counts, whatever it asks.

        Raises:
            KeyLimitError: the key's requests a minute are used up, or a budget is.
            KeyDatabaseError: the limits of the key cannot be looked up.
        """
        key = self._current(caller.id)
        if key is None:
            return
        if not key.is_limited:
            self._note(key.id, Spent(1))
            return
        self._check(await self._ledger.enter(key))

    async def reserve(self, caller_id: str, estimate: Estimate) -> Reservation:
        """A request that has entered is about to be sent upstream.

        Raises:
            KeyLimitError: naming the limit, and when it is worth asking again.
            KeyDatabaseError: it cannot be written down, and who has a limit must not go on without.
        """
        key = self._current(caller_id)
        if key is None or not key.limits_tokens:
            return Reservation(self, key, "", estimate)
        hold = self._ids.uuid()
        try:
            decision = await self._ledger.reserve(key, hold, estimate.input_tokens, estimate.most)
        except BaseException:
            self.book(key, hold, Spent())  # it may have been done all the same
            raise
        self._check(decision)
        return Reservation(self, key, hold, estimate)

    def book(self, key: Key, hold: str, spent: Spent) -> None:
        """Write down what a request used, soon."""
        if not hold:
            if spent != Spent():
                self._note(key.id, spent)
            return
        if len(self._unsettled) >= UNSETTLED:
            # It stays reserved, and is booked in full when this process ends.
            logger.error(
                "the usage of a request of the key %s is booked in full later: too many bookings are waiting", key.id
            )
            return
        self._unsettled.append(Settle(key, hold, spent))
        if self._settling is None or self._settling.done():
            self._settling = asyncio.ensure_future(self._settle_all())

    async def flush(self) -> None:
        """Write down everything that waits. Raises KeyDatabaseError; then it is kept."""
        async with self._flushing:
            await self._flush_settlements()
            spent, self._unwritten = self._unwritten, {}
            if not spent:
                return
            try:
                await self._ledger.add(spent)
            except BaseException:
                for key_id, one in spent.items():
                    self._note(key_id, one)
                raise

    async def _flush_settlements(self) -> None:
        while self._unsettled:
            group = [self._unsettled.popleft() for _ in range(min(GROUP, len(self._unsettled)))]
            try:
                await self._ledger.settle(
                    group
                )  # asked again after a failure, one that is settled already is left alone
            except BaseException:
                self._unsettled.extendleft(reversed(group))
                raise

    async def spent(self) -> dict[str, dict[str, Spent]]:
        """What every key has used, up to now; see Ledger. Raises KeyDatabaseError."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.flush()
                return await self._ledger.spent()
        except TimeoutError:
            raise KeyDatabaseError("the database of keys does not answer") from None

    async def close(self) -> None:
        """Write down what waits, if the database lets us."""
        if self._settling is not None:
            await asyncio.wait([self._settling])
        try:
            await self.flush()
        except KeyDatabaseError as e:
            logger.error("the usage of the last requests could not be booked: %s", e)

    async def _settle_all(self) -> None:
        try:
            await self.flush()
        except KeyDatabaseError as e:
            logger.error("the usage of a request is booked later: %s", e)

    def _current(self, caller_id: str) -> Key | None:
        return self._ring.get(caller_id) if caller_id else None

    def _note(self, key_id: str, spent: Spent) -> None:
        self._unwritten[key_id] = self._unwritten.get(key_id, Spent()) + spent

    def _check(self, decision: Decision) -> None:
        if decision.refused:
            self.refusals.count("reserved" if decision.reserved else decision.refused)
            raise KeyLimitError(decision.refused, decision.wait, reserved=decision.reserved)
