"""A Copilot API made for measuring: it answers from memory, and costs as little as Python can.

usage: python -m benchmarks.fake_copilot PORT

GET /copilot_internal/v2/token and GET /models as a gateway needs them; POST /chat/completions gives 50 chunks, all at once, or one
body when no stream is asked for.
"""

import asyncio
import json
import sys
import time

from rightseat.wire.copilot_models import model_entry, model_list

CHUNKS = 50


def chunk(delta, **more):
    value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5"}
    body = json.dumps({**value, "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more})
    return f"data: {body}\n\n".encode()


def sent(piece):
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def answer(body, kind=b"application/json"):
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body)


def stream():
    pieces = [chunk({"role": "assistant", "content": ""})] + [chunk({"content": " token"}) for _ in range(CHUNKS - 2)]
    last = json.loads(chunk({})[6:])
    last["choices"][0]["finish_reason"] = "stop"
    last["usage"] = {"prompt_tokens": 10, "completion_tokens": 48, "total_tokens": 58}
    pieces += [f"data: {json.dumps(last)}\n\n".encode(), b"data: [DONE]\n\n"]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(map(sent, pieces)) + b"0\r\n\r\n"


STREAM = stream()
TOKEN = json.dumps({"token": "tid=bench", "expires_at": time.time() + 86400, "refresh_in": 80000}).encode()
MODELS = json.dumps(model_list([model_entry("gpt-5", default=True)])).encode()


class Server(asyncio.Protocol):
    def __init__(self):
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length: ")
            length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            if head.startswith(b"post"):
                self.transport.write(STREAM)
            else:
                self.transport.write(answer(TOKEN if b"token" in head.split(b"\r\n", 1)[0] else MODELS))


async def main():
    import uvloop

    assert uvloop
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
