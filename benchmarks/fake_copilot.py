"""A Copilot API made for measuring: it answers from memory, and costs as little as Python can.

usage: python -m benchmarks.fake_copilot PORT [TLS_PORT CERTIFICATE]

GET /copilot_internal/v2/token and GET /models as a gateway needs them; POST /chat/completions gives 50 chunks, all at once, or one
body when no stream is asked for; from the model "paced" 10 ms apart, from "idle" one and then silence.
"""

import asyncio
import json
import ssl
import sys
import time

from rightseat.wire.copilot_models import model_entry, model_list

CHUNKS = 50
PACE = 0.01  # seconds between the chunks of the model "paced"


def chunk(delta, **more):
    value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5"}
    body = json.dumps({**value, "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more})
    return f"data: {body}\n\n".encode()


def sent(piece):
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def answer(body, kind=b"application/json"):
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body)


def stream_pieces():
    pieces = [chunk({"role": "assistant", "content": ""})] + [chunk({"content": " token"}) for _ in range(CHUNKS - 2)]
    last = json.loads(chunk({})[6:])
    last["choices"][0]["finish_reason"] = "stop"
    last["usage"] = {"prompt_tokens": 10, "completion_tokens": 48, "total_tokens": 58}
    return [*pieces, f"data: {json.dumps(last)}\n\n".encode(), b"data: [DONE]\n\n"]


def whole():
    message = {"role": "assistant", "content": " token" * (CHUNKS - 2)}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    usage = {"prompt_tokens": 10, "completion_tokens": 48, "total_tokens": 58}
    value = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-5"}
    return answer(json.dumps({**value, "choices": choices, "usage": usage}).encode())


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PIECES = stream_pieces()
STREAM = HEAD + b"".join(map(sent, PIECES)) + b"0\r\n\r\n"
WHOLE = whole()
TOKEN = json.dumps({"token": "tid=bench", "expires_at": time.time() + 86400, "refresh_in": 80000}).encode()
MODELS = json.dumps(
    model_list([model_entry(name, default=name == "gpt-5") for name in ("gpt-5", "paced", "idle")])
).encode()


class Server(asyncio.Protocol):
    def __init__(self):
        self.buffer = bytearray()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end]).lower()
            at = head.find(b"content-length: ")
            length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body = bytes(self.buffer[end + 4 : end + 4 + length])
            del self.buffer[: end + 4 + length]
            if head.startswith(b"post"):
                self.answer(body)
            else:
                self.transport.write(answer(TOKEN if b"token" in head.split(b"\r\n", 1)[0] else MODELS))

    def answer(self, body):
        asked = body[:300] + body[-300:]  # where the model and the kind of answer are
        if b'"paced"' in asked:
            self.transport.write(HEAD)
            self.say(0)
        elif b'"idle"' in asked:
            self.transport.write(HEAD + sent(PIECES[0]))
        elif b'"stream":true' in asked.replace(b" ", b""):
            self.transport.write(STREAM)
        else:
            self.transport.write(WHOLE)

    def say(self, i):
        if self.transport.is_closing():
            return
        if i == len(PIECES):
            self.transport.write(b"0\r\n\r\n")
            return
        self.transport.write(sent(PIECES[i]))
        asyncio.get_running_loop().call_later(PACE, self.say, i + 1)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    if len(sys.argv) > 2:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[3])
        over_tls = await loop.create_server(Server, "127.0.0.1", int(sys.argv[2]), ssl=tls, backlog=4096)
        await over_tls.start_serving()
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
