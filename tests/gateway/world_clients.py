"""Clients of random worlds, of every kind."""

from tests.gateway.world_asks import PATHS, AsgiAsk, Key, MemoryAsk
from tests.gateway.world_sockets import Conversation, Multiplexed
from tests.gateway.world_wire import WireAsk

__all__ = ["Conversation", "Key", "Multiplexed", "ask_over_http", "hostile"]


def ask_over_http(world, worker, key, *, is_honest=False):
    """A request, by chance of one kind or another."""
    path = (
        world.chance.choice([*PATHS, *PATHS, "/v1/embeddings"]) if not is_honest else world.chance.choice(list(PATHS))
    )
    return world.chance.choice([MemoryAsk, AsgiAsk, WireAsk, WireAsk])(world, worker, key, path, is_honest=is_honest)


def hostile(world, worker):
    """A request that makes no sense."""
    path = world.chance.choice([*PATHS, "/v1/nothing", "/v1/embeddings"])
    ask = world.chance.choice([AsgiAsk, WireAsk])(world, worker, world.some_key(), path)
    wrong = [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"model":7}',
        b"[" * 5000,
        b"x" * 20_000,
        b'{"model":"gpt-4.1","messages":7,"max_tokens":-5}',
    ]
    ask.data = world.chance.choice(wrong) or b" "
    if world.chance.random() < 0.3:
        ask.key = Key(ask.key.name, ask.key.id, "rsk_wrong", None)
    return ask
