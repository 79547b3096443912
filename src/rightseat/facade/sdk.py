"""`CopilotSDK`: one object for a program, however many conversations it has."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rightseat.errors import ConfigError, InvalidOptionError, NotStartedError, UnknownOptionError
from rightseat.facade.session import ChatResponse, ChatSession
from rightseat.handler import Handler, Layer, as_handler, stack
from rightseat.layers.observe import Observe, Observer
from rightseat.layers.presets import Layers, Resilience
from rightseat.sdk.client import CopilotClient
from rightseat.sdk.handler import SessionHandler
from rightseat.security.secret import Secret
from rightseat.security.sources import find_secret

DEFAULT_MODEL = "gpt-5"


class CopilotSDK:
    """Conversations with Copilot, with production's defaults around every call.

        async with CopilotSDK(api_key=...) as sdk:
            async with await sdk.create_session() as session:
                response = await session.chat("What is Python?")
                print(response.text)

    Args:
        api_key: a GitHub token, a Copilot token, or with `base_url` a key of that server. None: the secret `COPILOT_API_KEY`
            (see `rightseat.security.sources.find_secret`), else an account that `rightseat login` has stored.
        base_url: a gateway, or any server with OpenAI's chat dialect.
        model: the model of sessions that name no other.
        client: a CopilotClient: answers come from the Copilot CLI, which keeps the conversations and runs tools.
        handler: anything that answers: a Handler, or a function as `rightseat.handler.as_handler` takes it.
        account: which of several stored accounts.
        host: "github.com", or the tenant "NAME.ghe.com". None: `RIGHTSEAT_GITHUB_HOST`, else github.com.
        home: where accounts are stored.
        compression: large requests are sent compressed, where the server takes it.
        observers: told of every call: `rightseat.telemetry` has metrics and traces.
        **resilience: the layers; see `Resilience`: timeout, silence, retry, breaker, concurrency, requests_per_minute,
            tokens_per_minute, cache, fallbacks, window, summarise, extra.

    Nothing is opened before it is used. Belongs to one event loop.

    Raises:
        UnknownOptionError, InvalidOptionError: an option that makes no sense; the message names it.
    """

    def __init__(
        self,
        api_key: str | Secret | None = None,
        *,
        base_url: str | None = None,
        model: str = DEFAULT_MODEL,
        client: CopilotClient | None = None,
        handler: Handler | Callable[..., Any] | None = None,
        account: str | None = None,
        host: str | None = None,
        home: Path | str | None = None,
        compression: bool = False,
        observers: Sequence[Observer] = (),
        **resilience: Any,
    ) -> None:
        if sum(given is not None for given in (client, handler, base_url)) > 1:
            raise InvalidOptionError("client, handler, base_url: give one of them")
        if not isinstance(model, str) or not model:
            raise InvalidOptionError(f"model: must be a name, not {model!r}")
        unknown = [name for name in resilience if name not in Resilience.__struct_fields__]
        if unknown:
            raise UnknownOptionError(
                f"{unknown[0]}: no such option; there is {', '.join(Resilience.__struct_fields__)}"
            )
        self.model = model
        self._given = Resilience(**resilience)
        self.state = Layers(self._given)
        self._api_key = api_key.reveal() if isinstance(api_key, Secret) else api_key
        self._where: dict[str, Any] = {
            "base_url": base_url,
            "account": account,
            "host": host or os.environ.get("RIGHTSEAT_GITHUB_HOST") or "github.com",
            "home": Path(home) if home is not None else None,
            "compression": compression,
        }
        self._observers: tuple[Layer, ...] = (Observe(observers=observers),) if observers else ()
        self._client = client
        self._own = as_handler(handler) if handler is not None else None
        self._stack = AsyncExitStack()
        self._handler: Handler | None = None
        self._opening = asyncio.Lock()
        self._closed = False
        self._sessions: set[ChatSession] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def create_session(
        self,
        *,
        model: str | None = None,
        system: str | None = None,
        tools: Sequence[Any] = (),
        max_steps: int = 10,
        **options: Any,
    ) -> ChatSession:
        """Begin a conversation.

        Args:
            model: the model; None: the SDK's.
            system: a system message.
            tools: functions, or Tools made by `define_tool`, which the model may call.
            max_steps: how many times the model is asked for one answer, as long as it calls tools.
            **options: sent with each request (temperature, max_tokens, reasoning_effort ...); with a CLI: options of
                `CopilotClient.create_session`.

        Raises:
            NotStartedError: the SDK is closed.
            ConfigError, NotLoggedInError: the key is of no use; see `CopilotSDK`.
            InvalidToolError: a tool that cannot be offered to a model.
        """
        name = model or self.model
        if self._client is not None:
            handler, close = await self._cli_session(name, system, tools, options)
            session = ChatSession(handler, name, keeps_history=False, on_close=close)
        else:
            session = ChatSession(
                await self.open(), name, system=system, tools=tools, max_steps=max_steps, options=options
            )
        self._sessions.add(session)
        session.on_close(lambda: self._sessions.discard(session))
        return session

    async def chat(self, prompt: str, **options: Any) -> ChatResponse:
        """One question without a conversation. Options are those of `create_session` and of `ChatSession.chat`."""
        own = {name: options.pop(name) for name in ("timeout", "priority", "images") if name in options}
        async with await self.create_session(**options) as session:
            return await session.chat(prompt, **own)

    async def open(self) -> Handler:
        """The upstream with all layers around it: for requests that are put together by hand."""
        if self._closed:
            raise NotStartedError("this CopilotSDK is closed")
        async with self._opening:
            if self._handler is None:
                inner = self._own or await self._backend()
                self._handler = stack(*self._observers, *self.state.layers)(inner)
        return self._handler

    async def _backend(self) -> Handler:
        try:
            from rightseat.facade.backends import backend_for  # needs an HTTP client, which the CLI's part does not
        except ModuleNotFoundError as e:
            raise ConfigError(f"asking over HTTP needs the package {e.name}: pip install 'rightseat[http]'") from e
        key = self._api_key
        if key is None and not self._where["base_url"]:
            found = await asyncio.to_thread(find_secret, "COPILOT_API_KEY", folder=self._where["home"])
            key = found.reveal() if found is not None else None
        backend = await backend_for(self._stack, api_key=key, **self._where)
        return backend.handle

    async def close(self) -> None:
        """Close all sessions and connections. May be called twice."""
        self._closed = True
        for session in list(self._sessions):
            await session.close()
        await self._stack.aclose()
        self._handler = None

    async def _cli_session(
        self, model: str, system: str | None, tools: Sequence[object], options: Mapping[str, object]
    ) -> tuple[Handler, Callable[[], object]]:
        """A session of the CLI. Its conversation and its tools are the CLI's; a window of ours has nothing to do."""
        if self._closed:
            raise NotStartedError("this CopilotSDK is closed")
        assert self._client is not None
        more: dict[str, Any] = dict(options)
        if system is not None:
            more["system_message"] = {"mode": "append", "content": system}
        if tools:
            more["tools"] = list(tools)
        session = await self._client.create_session(**{"model": model, "streaming": True, **more})
        # The CLI tries again by itself, and a turn that has begun may have done things: it is not asked twice.
        layers = Layers(
            Resilience(timeout=self._given.timeout, silence=self._given.silence, retry=None, cache=None, window=None)
        ).layers
        handler: Handler = stack(*self._observers, *layers)(SessionHandler(session))
        return handler, session.disconnect

    @property
    def sessions(self) -> int:
        """How many are open."""
        return len(self._sessions)
