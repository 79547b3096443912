"""Logging never blocks the loop, and what is lost is counted."""

import asyncio
import fcntl
import http.client
import json
import logging
import os
import signal
import subprocess
import sys
import threading

import aiohttp
import pytest
from tests.said import restored

from rightseat.gateway.observe import logging as logs
from rightseat.gateway.observe.line_writer import LineWriter

SMALL = 4096  # bytes that the smallest pipe of Linux holds


@pytest.fixture
def pipe():
    """A pipe that is full after 4 KiB: its reading end, and its writing end as a stream."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL)
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as writer:
        yield reader, writer


class Reader(threading.Thread):
    """Reads lines until one that is told."""

    def __init__(self, stream, last: str) -> None:
        super().__init__(daemon=True)
        self.lines: list[str] = []
        self._stream, self._last = stream, last
        self.start()

    def run(self) -> None:
        for line in self._stream:
            self.lines.append(line.decode().rstrip("\n"))
            if self._last in self.lines[-1]:
                return


def test_a_gateway_whose_log_nobody_reads_answers_and_ends(tmp_path):
    env = {**os.environ, "RIGHTSEAT_HOME": str(tmp_path), "RIGHTSEAT_LOG": "json", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "rightseat", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=env, bufsize=0) as server:
        try:
            fcntl.fcntl(server.stderr, fcntl.F_SETPIPE_SZ, SMALL)
            address = server.stderr.readline().split()[0].decode().removeprefix("http://").removesuffix("/v1")
            connection = http.client.HTTPConnection(address, timeout=20)
            for i in range(100):
                connection.request(
                    "POST",
                    "/v1/chat/completions",
                    b'{"model": "gpt-5", "messages": []}',
                    {"x-request-id": f"request-{i:04}"},
                )
                response = connection.getresponse()
                response.read()
                assert response.status >= 400  # nobody is logged in: there is a line for each
            connection.close()
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
        finally:
            server.kill()


def test_lines_that_nobody_takes_are_dropped_counted_and_told_of_in_their_place(pipe):
    reader, stream = pipe
    writer = LineWriter(stream.fileno(), lambda lines: f"{lines} are missing", limit=10_000)
    for i in range(2000):
        writer.put([f"line {i}", f"and {i}"])
    assert 0 < writer.dropped < 4000
    assert not writer.drain(0)
    read = Reader(reader, "the end")
    assert writer.drain(20)
    dropped = writer.dropped
    writer.put(["the end"])
    read.join(20)
    assert writer.dropped == dropped
    kept = 4000 - dropped
    assert read.lines == [
        *[f"{word} {i}" for i in range(2000) for word in ("line", "and")][:kept],
        f"{dropped} are missing",
        "the end",
    ]


def test_what_cannot_be_written_is_counted(pipe):
    reader, stream = pipe
    reader.close()
    writer = LineWriter(stream.fileno(), lambda lines: f"{lines} are missing")
    writer.put(["one", "two"])
    assert writer.drain(20)
    assert writer.dropped == 2
    writer.put(["three"])
    assert writer.drain(20)
    assert writer.dropped == 3


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing(pipe):
    reader, stream = pipe
    os.set_blocking(stream.fileno(), False)
    writer = LineWriter(stream.fileno(), str)
    writer.put([f"line {i}" for i in range(5000)])
    read = Reader(reader, "line 4999")
    read.join(20)
    assert read.lines == [f"line {i}" for i in range(5000)]
    assert writer.dropped == 0


async def test_lost_lines_are_a_metric_and_a_line_of_the_log(gateway, pipe):
    reader, stream = pipe
    with restored():
        logs.configure("json", "info", stream)
        served = await gateway()
        log = logging.getLogger("rightseat.somebody")
        for i in range(2500):
            log.info("%d %s", i, "x" * 2000)
        async with asyncio.timeout(20), aiohttp.ClientSession() as http, http.get(f"{served.url}/metrics") as response:
            text = await response.text()
        (line,) = [one for one in text.splitlines() if one.startswith("rightseat_log_lines_dropped_total ")]
        assert float(line.split()[1]) == logs.dropped_lines() > 0
        read = Reader(reader, "were dropped")
        await asyncio.to_thread(read.join, 20)
    said = [json.loads(line)["event"] for line in read.lines]
    assert [int(event.split()[0]) for event in said[:-1]] == list(range(len(said) - 1))
    assert said[-1].startswith(f"{2500 - len(said) + 1} lines of this log were dropped")


def test_what_is_logged_is_cut_before_it_is_looked_at():
    from tests.said import configure

    with restored():
        for form in ("json", "console"):
            stream = configure(form)
            logging.getLogger("rightseat.somebody").warning("begins %s", "x" * 10_000_000)
            try:
                raise ValueError("y" * 10_000_000)
            except ValueError:
                logging.getLogger("rightseat.somebody").exception("failed")
            logging.getLogger("rightseat.access").info(
                "request", extra={"request": {"path": "z" * 10_000_000}} if form == "json" else {}
            )
            text = stream.getvalue()
            assert len(text) < 50_000
            assert "characters left out" in text
            assert "test_log_writer.py" in text
