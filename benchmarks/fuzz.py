"""Mutated frames into the protocol core: every one must end as messages or as one recorded failure, never as an exception.

usage: python -m benchmarks.fuzz [FRAMES] [SEED]
"""

import json
import random
import sys
import time

from rightseat.wire.events import EventParams, event_params_from_raw
from rightseat.wire.framing import encode_frame
from rightseat.wire.jsonrpc import Notified, Peer

SEEDS = [
    {"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"a": [1, {"b": None}], "c": "\u00e9\U0001f600"}},
    {"jsonrpc": "2.0", "id": "x", "result": {"r": [1.5, True]}},
    {"jsonrpc": "2.0", "id": 2, "error": {"code": 1, "message": "e", "data": [1]}},
    {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 1}},
    {"jsonrpc": "2.0", "method": "session.event", "params": {"sessionId": "s", "event": {
        "type": "assistant.message_delta", "data": {"messageId": "m", "deltaContent": "hi"}, "id": "i", "timestamp": "t"}}},
    {"jsonrpc": "2.0", "method": "session.event", "params": {"sessionId": "s", "event": {
        "type": "tool.execution_complete", "data": {"toolCallId": "t", "success": True, "result": {"content": "x"}}}}},
]  # fmt: skip
TOKENS = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\ud83d",
    b"\\u0000",
    b"\xff",
    b"null",
    b"1e999",
    b"-",
    b"\r\n",
    b"Content-Length: ",
    b"9" * 12,
]


ODD = [None, True, 0, -1, 1.5, 2**70, "", "\ud800", [], {}, [[]], {"id": {}}, "session.event", "x" * 200]


def mutate(value: dict, chance: random.Random) -> bytes:
    """A frame with a fault: odd values in good JSON, damaged JSON in a good frame, or damage anywhere."""
    kind = chance.random()
    if kind < 0.4:
        value = json.loads(json.dumps(value))
        twist(value, chance)
        return encode_frame(json.dumps(value).encode())
    body = json.dumps(value).encode()
    return encode_frame(damage(body, chance)) if kind < 0.7 else damage(encode_frame(body), chance)


def twist(value: dict, chance: random.Random) -> None:
    """Change, drop or add one member, somewhere inside."""
    key = chance.choice([*value, "id", "method", "error", "result", "params"])
    inner = value.get(key)
    if isinstance(inner, dict) and inner and chance.random() < 0.7:
        twist(inner, chance)
    elif chance.random() < 0.2:
        value.pop(key, None)
    else:
        value[key] = chance.choice(ODD)


def damage(body: bytes, chance: random.Random) -> bytes:
    data = bytearray(body)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0 if place < len(data):
                data[place] = chance.randrange(256)
            case 1:
                data[place:place] = chance.choice(TOKENS)
            case 2:
                del data[place : place + chance.randint(1, 8)]
            case _:
                data[place:place] = data[place : place + chance.randint(1, 20)]
    return bytes(data)


def fuzz(frames: int, seed: int = 0, progress=lambda _: None) -> dict:
    """Feed `frames` mutated frames; how many were read, how many ended a conversation, and what was raised."""
    chance = random.Random(seed)
    read = failed = 0
    errors: dict[str, int] = {}
    begun = time.perf_counter()
    for number in range(frames):
        data = mutate(chance.choice(SEEDS), chance)
        peer = Peer(params_types={"session.event": EventParams}, max_frame_bytes=1_000_000)
        peer.call("m", {})
        try:
            cut = chance.randrange(len(data) + 1)
            for message in [*peer.feed(data[:cut]), *peer.feed(data[cut:])]:
                read += 1
                if isinstance(message, Notified) and isinstance(message.params, EventParams):
                    message.params.event.data  # noqa: B018
                elif isinstance(message, Notified) and message.method == "session.event":
                    try:
                        event_params_from_raw(message.params).event.data  # noqa: B018
                    except Exception as e:
                        if type(e).__name__ != "ProtocolError":
                            raise
            peer.feed_eof()
            failed += peer.failure is not None
        except Exception as e:
            errors[f"{type(e).__name__}: {e}"[:120]] = errors.get(f"{type(e).__name__}: {e}"[:120], 0) + 1
        if number % 10_000 == 0:
            progress(number)
    return {
        "frames": frames,
        "messages": read,
        "failures": failed,
        "unexpected": errors,
        "per_second": frames / (time.perf_counter() - begun),
    }


if __name__ == "__main__":
    result = fuzz(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(json.dumps(result, indent=1))
    sys.exit(bool(result["unexpected"]))
