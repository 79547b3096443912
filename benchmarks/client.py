"""One client, one measurement, one line of JSON. Runs in an environment that has the SDK it is told to use, and nothing else.

usage: python client.py SDK import|stream|ping FAKE_CLI      (SDK: copilot = the official one, or rightseat)
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

SDK, WHAT, FAKE = sys.argv[1:4]


def load():
    """The names a program starts with."""
    if SDK == "copilot":
        from copilot import CopilotClient, RuntimeConnection
        from copilot.session_events import SessionEventType
    else:
        from rightseat import CopilotClient, RuntimeConnection, SessionEventType
    return CopilotClient, RuntimeConnection, SessionEventType


def rss():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def measure_import():
    begun = time.perf_counter()
    load()
    return {"ms": (time.perf_counter() - begun) * 1000, "mib": rss()}


async def measure_stream(client, types):
    import asyncio

    options = {"streaming": True}
    if SDK == "copilot":
        from copilot import PermissionHandler

        options["on_permission_request"] = PermissionHandler.approve_all
    session = await client.create_session(**options)
    done, count, length = asyncio.Event(), 0, 0

    def handler(event):
        nonlocal count, length
        if event.type == types.ASSISTANT_MESSAGE_DELTA:
            count += 1
            length += len(event.data.delta_content)
        elif event.type == types.SESSION_IDLE:
            done.set()

    session.on(handler)
    await session.send("warm up")
    await done.wait()
    done.clear()
    count = 0
    wall, cpu = time.perf_counter(), time.process_time()
    await session.send("go")
    await done.wait()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"events": count, "cpu_us": cpu / count * 1e6, "per_second": count / wall}


async def measure_ping(client):
    import asyncio

    total, flight = int(os.environ.get("PINGS", "3000")), 50

    async def worker(number):
        for _ in range(number):
            await client.ping()

    await asyncio.gather(*(worker(5) for _ in range(flight)))
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker(total // flight) for _ in range(flight)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"per_second": total / wall, "cpu_us": cpu / total * 1e6}


async def run():
    client_class, connection, types = load()
    client = client_class(connection=connection.for_stdio(path=FAKE))
    await client.start()
    result = await (measure_stream(client, types) if WHAT == "stream" else measure_ping(client))
    await client.stop()
    return result


if WHAT == "import":
    result = measure_import()
else:
    import asyncio

    result = asyncio.run(run())
result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(result))
