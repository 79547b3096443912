#!/usr/bin/env python3
"""A CLI made for measuring: it speaks just enough of protocol 3 over stdio, and costs as little as it can.

On session.send it streams DELTAS deltas (from the environment, 20,000 otherwise) in a pre-built block, then the message and
idle. Pings are answered in batches. Standard library only; both SDKs run against this same program.
"""

import json
import os
import re
import sys
import uuid

DELTAS = int(os.environ.get("DELTAS", "20000"))
PING = re.compile(rb'"id": ?("[^"]+"|\d+)')

BLOCKS = {}


def frame(value):
    body = json.dumps(value, separators=(",", ":")).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def event(session_id, kind, data, **more):
    value = {
        "type": kind,
        "data": data,
        "id": str(uuid.uuid4()),
        "timestamp": "2026-11-21T10:00:00.123Z",
        "parentId": str(uuid.uuid4()),
    }
    return frame(
        {"jsonrpc": "2.0", "method": "session.event", "params": {"sessionId": session_id, "event": {**value, **more}}}
    )


def turn(session_id, message_id):
    yield event(session_id, "user.message", {"content": "go", "messageId": message_id})
    if session_id not in BLOCKS:  # made at the first turn, which no measurement counts
        delta = {"messageId": str(uuid.uuid4()), "deltaContent": "some words "}
        BLOCKS[session_id] = b"".join(
            event(session_id, "assistant.message_delta", delta, ephemeral=True) for _ in range(500)
        )
    for _ in range(DELTAS // 500):
        yield BLOCKS[session_id]
    yield event(
        session_id, "assistant.message", {"messageId": "m", "content": "done", "originatingMessageId": message_id}
    )
    yield event(session_id, "session.idle", {}, ephemeral=True)


def write(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def answer(message):
    method, params, call = message.get("method"), message.get("params") or {}, message.get("id")
    if call is None or method is None:
        return
    results = {
        "connect": {"ok": True, "protocolVersion": 3, "version": "0.0.0"},
        "ping": {"message": "pong", "timestamp": "2026-11-21T10:00:00.123Z", "protocolVersion": 3},
        "session.create": {"sessionId": params.get("sessionId"), "workspacePath": None},
        "session.send": {"messageId": "message-1"},
        "runtime.shutdown": None,
    }
    if method not in results and method not in {"session.detach", "session.destroy"}:
        write(frame({"jsonrpc": "2.0", "id": call, "error": {"code": -32601, "message": f"Unhandled method {method}"}}))
        return
    write(frame({"jsonrpc": "2.0", "id": call, "result": results.get(method, {"success": True})}))
    if method == "session.send":
        for piece in turn(params["sessionId"], "message-1"):
            write(piece)
    if method == "runtime.shutdown":
        sys.exit(0)


def main():
    pong = b'{"jsonrpc":"2.0","id":%b,"result":{"message":"pong","timestamp":"2026-11-21T10:00:00.123Z","protocolVersion":3}}'
    buffer = b""
    while data := os.read(0, 1 << 20):
        buffer += data
        position, pongs = 0, []
        while (head := buffer.find(b"\r\n\r\n", position)) >= 0:
            start = head + 4
            end = start + int(buffer[position + 16 : head])
            if end > len(buffer):
                break
            body = buffer[start:end]
            position = end
            if b'"ping"' in body:
                reply = pong % PING.search(body)[1]
                pongs.append(b"Content-Length: %d\r\n\r\n%b" % (len(reply), reply))
            else:
                answer(json.loads(body))
        buffer = buffer[position:]
        if pongs:
            write(b"".join(pongs))


if __name__ == "__main__":
    main()
