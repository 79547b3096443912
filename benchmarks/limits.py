"""The limit line: what the same machine can do at the least, in the same run. Prints one line of JSON."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time

import msgspec

FAKE = sys.argv[1]


def frame(value):
    body = json.dumps(value).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def split(buffer):
    position, bodies = 0, []
    while (head := buffer.find(b"\r\n\r\n", position)) >= 0:
        start = head + 4
        end = start + int(buffer[position + 16 : head])
        if end > len(buffer):
            break
        bodies.append(buffer[start:end])
        position = end
    return bodies, buffer[position:]


class Delta(msgspec.Struct):
    deltaContent: str = ""  # noqa: N815 - the wire's name


class Event(msgspec.Struct):
    type: str
    data: msgspec.Raw


class Params(msgspec.Struct):
    sessionId: str  # noqa: N815
    event: Event


class Message(msgspec.Struct):
    method: str = ""
    params: Params | None = None


class Answer(msgspec.Struct):
    id: int = 0


def with_fake(work):
    with subprocess.Popen([FAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        with contextlib.suppress(AttributeError, OSError):
            fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)
        result = work(process.stdin.fileno(), process.stdout.fileno())
        process.stdin.close()
    return result


def stream(out, into):
    """Split and decode in one loop, without a client. The second turn counts."""
    turn(out, into)
    return turn(out, into)


def turn(out, into):
    os.write(out, frame({"id": 1, "method": "session.send", "params": {"sessionId": "s"}}))
    decode, delta, rest, count = msgspec.json.Decoder(Message).decode, msgspec.json.Decoder(Delta).decode, b"", 0
    wall, cpu = time.perf_counter(), time.process_time()
    while True:
        bodies, rest = split(rest + os.read(into, 1 << 20))
        for body in bodies:
            params = decode(body).params
            if params is None:
                continue
            if params.event.type == "assistant.message_delta":
                count += 1
                delta(params.event.data).deltaContent  # noqa: B018
            elif params.event.type == "session.idle":
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                return {"cpu_us": cpu / count * 1e6, "per_second": count / wall}


def ping(out, into, total=20000, flight=50):
    """A blocking loop with 50 calls in flight."""
    encode, decode, rest = msgspec.json.Encoder().encode, msgspec.json.Decoder(Answer).decode, b""
    wall, cpu = time.perf_counter(), time.process_time()
    for first in range(0, total, flight):
        block = []
        for i in range(first, first + flight):
            body = encode({"jsonrpc": "2.0", "id": i, "method": "ping", "params": {}})
            block.append(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        os.write(out, b"".join(block))
        got = 0
        while got < flight:
            bodies, rest = split(rest + os.read(into, 1 << 20))
            for body in bodies:
                decode(body)
            got += len(bodies)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"per_second": total / wall, "cpu_us": cpu / total * 1e6}


def asyncio_alone():
    code = "import time; t = time.perf_counter(); import asyncio; print((time.perf_counter() - t) * 1000); print(next(int(l.split()[1]) / 1024 for l in open('/proc/self/status') if l.startswith('VmRSS')))"
    ms, mib = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return {"ms": float(ms), "mib": float(mib)}


print(json.dumps({"import": asyncio_alone(), "stream": with_fake(stream), "ping": with_fake(ping)}))
