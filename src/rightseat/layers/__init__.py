"""How a call survives: each layer wraps an async function, can be read alone, and keeps its decision apart from its loop.

    from rightseat.layers import Breaker, Deadline, Queue, Retry, stack

    handler = stack(Deadline(60), Queue(), Retry(), Breaker())(upstream)      # a handler, or any async function

`Retry` stands outside `Breaker`, so that every try is counted. What a layer declines is never tried again. The state belongs to the layer:
all that it wraps share it. None of them looks at what is said, but for `Window`, which is for chat alone, and `Cache`.
"""

from rightseat.handler import Handler, Layer, stack
from rightseat.layers.breaker import Breaker, BreakerPolicy, Circuits
from rightseat.layers.cache import Cache, CachePolicy, MemoryCache
from rightseat.layers.deadline import Deadline
from rightseat.layers.fallback import Fallback
from rightseat.layers.functions import CallLayer
from rightseat.layers.observe import Call, Observe, Observer
from rightseat.layers.queue import Queue, QueuePolicy, QueueState, WaitQueue
from rightseat.layers.rate import Limits, RateLimiter
from rightseat.layers.retry import Backoff, Budget, CallerBudgets, Retried, Retry
from rightseat.layers.shed import Shed, ShedPolicy, Throttle
from rightseat.layers.totals import Counted, Totals
from rightseat.layers.window import ContextWindow, Fitted, Priority, Window, extract, fit
from rightseat.state.buckets import Limit

__all__ = [
    "Backoff",
    "Breaker",
    "BreakerPolicy",
    "Budget",
    "Cache",
    "CachePolicy",
    "Call",
    "CallLayer",
    "CallerBudgets",
    "Circuits",
    "ContextWindow",
    "Counted",
    "Deadline",
    "Fallback",
    "Fitted",
    "Handler",
    "Layer",
    "Limit",
    "Limits",
    "MemoryCache",
    "Observe",
    "Observer",
    "Priority",
    "Queue",
    "QueuePolicy",
    "QueueState",
    "RateLimiter",
    "Retried",
    "Retry",
    "Shed",
    "ShedPolicy",
    "Throttle",
    "Totals",
    "WaitQueue",
    "Window",
    "extract",
    "fit",
    "stack",
]
