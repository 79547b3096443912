"""The same objects without `await`, for programs that have no event loop: scripts, notebooks, Flask, Django.

    from rightseat.sync import CopilotSDK

    with CopilotSDK() as sdk, sdk.create_session() as session:
        for chunk in session.stream("What is Python?"):
            print(chunk.text, end="", flush=True)

Names, options and errors are those of the asynchronous objects, from whose source `rightseat.sync.twins` is generated. All of them
run on one loop, in one thread, and may be used from any thread, at once. Handlers and tools that are plain functions run in
threads of their own, where they may use these objects; coroutine functions run on that loop. Ctrl-C cancels the call that is waited
for; leaving the `with` block closes. What is open when the program ends is closed then.
"""

from rightseat.sync.twins import (
    ChatSession,
    ChatStream,
    CopilotClient,
    CopilotSDK,
    CopilotSession,
    EventStream,
    LazySession,
    Rpc,
    SessionPool,
    TextStream,
)

__all__ = [
    "ChatSession",
    "ChatStream",
    "CopilotClient",
    "CopilotSDK",
    "CopilotSession",
    "EventStream",
    "LazySession",
    "Rpc",
    "SessionPool",
    "TextStream",
]
