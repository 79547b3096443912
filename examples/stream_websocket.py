"""Stream answers to browsers over WebSockets: one CLI for the server's life, one session for each socket.

    python examples/stream_websocket.py [PORT]      then open http://127.0.0.1:PORT

Needs aiohttp (pip install 'rightseat[examples]').
"""

import asyncio
import contextlib
import signal
import sys

from aiohttp import WSMsgType, web

from rightseat import CopilotClient, RightseatError

CLIENT = web.AppKey("client", CopilotClient)

PAGE = """<!doctype html><meta charset="utf-8"><title>Streaming</title>
<form><input name="prompt" autofocus size="60" placeholder="Ask something"> <button>Ask</button></form><pre></pre>
<script>
const socket = new WebSocket(`ws://${location.host}/ws`), out = document.querySelector("pre");
out.style.whiteSpace = "pre-wrap";
socket.onmessage = ({data}) => {
  const message = JSON.parse(data);
  if (message.type === "chunk") out.append(message.content);   // append() adds text, never HTML
  if (message.type === "error") out.append("\\n[" + message.message + "]");
};
document.querySelector("form").onsubmit = event => {
  event.preventDefault(); out.textContent = ""; socket.send(event.target.prompt.value);
};
</script>"""


async def page(request):
    return web.Response(text=PAGE, content_type="text/html")


async def websocket(request):
    socket = web.WebSocketResponse(heartbeat=20)
    await socket.prepare(request)
    async with await request.app[CLIENT].create_session(streaming=True) as session:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await answer(socket, session, message.data)
    return socket


async def answer(socket, session, prompt):
    try:
        # A socket that is slow, or gone, only slows or ends its own answer: leaving the block aborts the turn.
        async with session.stream(prompt, timeout=None, inactivity_timeout=60) as stream:
            async for text in stream:
                await socket.send_json({"type": "chunk", "content": text})
        await socket.send_json({"type": "complete"})
    except RightseatError as e:
        await socket.send_json({"type": "error", "message": str(e)})


async def copilot(app):
    async with CopilotClient() as client:
        app[CLIENT] = client
        yield


async def main(port):
    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/ws", websocket)])
    app.cleanup_ctx.append(copilot)
    runner = web.AppRunner(app, shutdown_timeout=2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with contextlib.suppress(asyncio.CancelledError):
        await stop.wait()
    await runner.cleanup()


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8080))
