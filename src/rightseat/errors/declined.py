"""We chose not to ask, or not to go on: errors that are our own decision."""

from __future__ import annotations

from typing import Unpack

from rightseat.errors.base import RightseatError, Told


class DeclinedError(RightseatError):
    """We chose not to go on."""

    status_hint = 503


class CircuitOpenError(DeclinedError):
    """Too many calls failed lately; asking now would make it worse.

    Args:
        key: what fails: a model, or an account and a model.
        retry_after: seconds until a call may try.
        message: None: one with the key and the seconds.

    Attributes:
        key: see above.
    """

    def __init__(self, key: str, retry_after: float, message: str | None = None, **told: Unpack[Told]) -> None:
        usual = f"{key}: too many calls failed recently; next attempt in {retry_after:.1f} s (circuit open)"
        super().__init__(usual if message is None else message, **told)
        self.key = key
        self.retry_after = retry_after


class RateLimitedError(DeclinedError):
    """Our own rate limit, and waiting for it would take too long."""

    status_hint = 429

    def __init__(self, message: str, retry_after: float, **told: Unpack[Told]) -> None:
        super().__init__(message, **told)
        self.retry_after = retry_after


class QueueFullError(DeclinedError):
    """Too many calls wait already, or this one has waited for too long."""

    def __init__(self, message: str, retry_after: float | None = None, **told: Unpack[Told]) -> None:
        super().__init__(message, **told)
        self.retry_after = retry_after


class OverloadedError(DeclinedError):
    """Shed: the upstream refuses so much that this call is not worth a try."""

    def __init__(self, message: str, retry_after: float | None = None, **told: Unpack[Told]) -> None:
        super().__init__(message, **told)
        self.retry_after = retry_after


class DeadlineExceededError(DeclinedError, TimeoutError):
    """The deadline of the call passed before its answer was complete."""

    status_hint = 504


class AnswerTooLongError(DeclinedError):
    """An answer grew beyond its limit.

    Attributes:
        limit: characters.
    """

    status_hint = 502

    def __init__(self, limit: int, option: str | None = None, **told: Unpack[Told]) -> None:
        where = f"set {option}= to allow more" if option else "which is the limit that was set"
        super().__init__(f"the answer is longer than {limit} characters, {where}", **told)
        self.limit = limit


class ToolLoopError(DeclinedError):
    """The model went on calling tools.

    Attributes:
        steps: how many times it was asked.
    """

    def __init__(self, steps: int, **told: Unpack[Told]) -> None:
        super().__init__(f"no answer after {steps} steps: the model went on calling tools (max_steps={steps})", **told)
        self.steps = steps


class EventsLostError(DeclinedError):
    """A consumer was slower than its session, and its bounded buffer overflowed.

    Attributes:
        lost: how many events were not delivered.
    """

    def __init__(self, lost: int, capacity: int, **told: Unpack[Told]) -> None:
        super().__init__(
            f"{lost} events were lost: the consumer was slower than the session and its buffer of {capacity} events was "
            f"full. Read faster, raise max_buffered, or choose overflow='drop_oldest'.",
            **told,
        )
        self.lost = lost
