"""`CopilotSDK`: one object for a program, however many conversations it has."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from rightseat.chat import ChatRequest, Reply
from rightseat.chat.structured import instructed
from rightseat.errors import ConfigError, InvalidOptionError, NotStartedError
from rightseat.facade.guards import PromptChecks, Redaction, guards
from rightseat.facade.options import (
    CLI,
    QUESTION,
    REQUEST,
    SESSION,
    OneShotOptions,
    ResilienceOptions,
    SessionKeywords,
    check_own,
    check_several,
    cli_options,
    refuse_unknown,
    resilience_options,
)
from rightseat.facade.response import ChatResponse
from rightseat.facade.session import ChatSession
from rightseat.handler import Handler, as_handler, stack
from rightseat.layers.observe import Observe, Observer
from rightseat.layers.presets import Layers, Resilience
from rightseat.sdk.client import CopilotClient
from rightseat.sdk.handler import SessionHandler
from rightseat.sdk.one_loop import OneLoop
from rightseat.security.logs import redact_own_logs
from rightseat.security.secret import Secret
from rightseat.security.sources import find_secret

if TYPE_CHECKING:
    from rightseat.backends.base import Backend
    from rightseat.backends.registry import Model

T = TypeVar("T")

DEFAULT_MODEL = "gpt-5"
# Options of CopilotSDK besides those of the layers, to be told by a hint.
_OWN = frozenset({
    "api_key", "base_url", "model", "client", "handler", "account", "host", "home", "compression", "observers", "prompt_checks",
    "redaction", "redact_logs",
})  # fmt: skip
# What says where Copilot is asked and as whom -> what answers elsewhere, so that it would mean nothing.
_NOT_WITH = {
    "client": ("api_key", "account", "host", "home", "compression"),
    "handler": ("api_key", "account", "host", "home", "compression"),
    "base_url": ("account", "host"),
    "api_key": ("account",),
}


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
        prompt_checks: prompts that are empty, longer than 10,000 characters, look like an injection or hold a script are refused with
            PromptError; see `PromptChecks`. Off by default.
        redaction: secrets and personal data are taken out of what is sent and of what comes back; see `Redaction`. Off by default.
        redact_logs: personal data is taken out of this package's log, too, for the whole process. Secrets always are.
        **resilience: the layers; see `ResilienceOptions`: timeout, silence, retry, breaker, concurrency, requests_per_minute,
            tokens_per_minute, cache, fallbacks, window, summarise, extra. With `client`, those that would need the conversation,
            or ask twice, are off and refused: retry, cache, fallbacks, window, summarise; concurrency is unlimited unless given.

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
        prompt_checks: PromptChecks | bool | None = None,
        redaction: Redaction | bool | None = None,
        redact_logs: bool = False,
        **resilience: Unpack[ResilienceOptions],
    ) -> None:
        places = {"client": client, "handler": handler, "base_url": base_url}
        _check_places(
            places,
            {"api_key": api_key, "account": account, "host": host, "home": home, "compression": compression or None},
        )
        if not isinstance(model, str) or not model:
            raise InvalidOptionError(f"model: must be a name, not {model!r}")
        check_own({"base_url": base_url, "account": account, "host": host, "home": home})
        check_several("observers", observers)
        if api_key is not None and not isinstance(api_key, (str, Secret)):
            raise InvalidOptionError(f"api_key: must be a string or a Secret, not {type(api_key).__name__}")
        if client is not None and not callable(getattr(client, "create_session", None)):
            raise InvalidOptionError(f"client: must be a CopilotClient, not {type(client).__name__}")
        self.model = model
        given = resilience_options(resilience, cli=client is not None, known=_OWN)
        self.state = Layers(Resilience(**given))
        self._api_key = api_key.reveal() if isinstance(api_key, Secret) else api_key
        self._where: dict[str, Any] = {
            "base_url": base_url,
            "account": account,
            "host": host or os.environ.get("RIGHTSEAT_GITHUB_HOST") or "github.com",
            "home": Path(home) if home is not None else None,
            "compression": compression,
        }
        self._outer = guards(prompt_checks, redaction)
        if observers:
            self._outer = (Observe(observers=observers), *self._outer)
        if redact_logs:
            redact_own_logs()
        self._client = client
        self._own = as_handler(handler) if handler is not None else None
        self._stack = AsyncExitStack()
        self._handler: Handler | None = None
        self._loop = OneLoop("this CopilotSDK")
        self._backend: Backend | None = None
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
        max_steps: int | None = None,
        response_format: Mapping[str, object] | None = None,
        **options: Unpack[SessionKeywords],
    ) -> ChatSession:
        """Begin a conversation.

        Args:
            model: the model; None: the SDK's.
            system: a system message.
            tools: functions, or Tools made by `define_tool`, which the model may call.
            max_steps: how many times the model is asked for one answer, as long as it calls tools; None: 10. Not with a CLI, which
                runs the tools itself.
            response_format: what every answer shall look like, as OpenAI names it; for a type of yours see `ChatSession.chat`.
            **options: sent with each request (temperature, max_tokens, reasoning_effort ...); with a CLI: options of
                `CopilotClient.create_session`.

        Raises:
            UnknownOptionError, InvalidOptionError: an option that makes no sense, or that this backend does not have.
            NotStartedError: the SDK is closed.
            ConfigError, NotLoggedInError: the key is of no use; see `CopilotSDK`.
            InvalidToolError: a tool that cannot be offered to a model.
        """
        check_own({"model": model, "system": system})
        check_several("tools", tools)
        name = model or self.model
        if self._client is not None:
            handler, close = await self._cli_session(name, system, tools, {"max_steps": max_steps, **options})
            asked = {"response_format": response_format}
            session = ChatSession(handler, name, options=asked, keeps_history=False, on_close=close)
        else:
            session = ChatSession(
                await self.open(),
                name,
                system=system,
                tools=tools,
                max_steps=10 if max_steps is None else max_steps,
                options={**options, "response_format": response_format},
            )
        self._sessions.add(session)
        session.on_close(lambda: self._sessions.discard(session))
        return session

    @overload
    async def chat(
        self, prompt: str, *, response_format: type[T], **options: Unpack[OneShotOptions]
    ) -> ChatResponse[T]: ...

    @overload
    async def chat(
        self, prompt: str, *, response_format: Mapping[str, object] | None = None, **options: Unpack[OneShotOptions]
    ) -> ChatResponse: ...

    async def chat(self, prompt: str, *, response_format: Any = None, **options: Unpack[OneShotOptions]) -> Any:
        """One question without a conversation. Options are those of `create_session` and of `ChatSession.chat`."""
        refuse_unknown(options, {*REQUEST, *QUESTION, *SESSION, *CLI}, "chat")
        given: dict[str, Any] = dict(options)
        own = {name: given.pop(name) for name in QUESTION if name in given}
        async with await self.create_session(**given) as session:
            return await session.chat(prompt, response_format=response_format, **own)

    async def models(self) -> list[Model]:
        """The models that can be asked: id, name, vendor, limits, efforts, whether they see images ...

        Raises:
            InvalidOptionError: answers come from a handler, which has no list of models.
            RightseatError: there is no list, and none can be got.
        """
        if self._client is not None:
            from rightseat.backends.registry import models_of

            await self._client.start()
            return list(models_of(await self._client.list_models()))
        await self.open()
        if self._backend is None:
            raise InvalidOptionError("models: a handler= has no list of models")
        return list((await self._backend.models()).models.values())

    async def open(self) -> Handler:
        """The upstream with all layers around it: for requests that are put together by hand."""
        self._loop.check()
        if self._closed:
            raise NotStartedError("this CopilotSDK is closed")
        async with self._opening:
            if self._handler is None:
                self._handler = stack(*self._outer, *self.state.layers)(await self._inner())
        return self._handler

    async def _inner(self) -> Handler:
        if self._own is not None:
            return _told_in_words(self._own)
        self._backend = await self._open_backend()
        return self._backend.handle

    async def _open_backend(self) -> Backend:
        try:
            from rightseat.facade.backends import backend_for  # needs an HTTP client, which the CLI's part does not
        except ModuleNotFoundError as e:
            raise ConfigError(f"asking over HTTP needs the package {e.name}: pip install rightseat") from e
        key = self._api_key
        if key is None and not self._where["base_url"] and self._where.get("account") is None:
            found = await asyncio.to_thread(find_secret, "COPILOT_API_KEY", folder=self._where["home"])
            key = found.reveal() if found is not None else None
        return await backend_for(self._stack, api_key=key, **self._where)

    async def close(self) -> None:
        """Close all sessions and connections. May be called twice."""
        self._loop.check()
        self._closed = True
        await asyncio.gather(*(session.close() for session in list(self._sessions)))
        await self._stack.aclose()
        self._handler = None

    async def _cli_session(
        self, model: str, system: str | None, tools: Sequence[object], options: Mapping[str, object]
    ) -> tuple[Handler, Callable[[], object]]:
        """A session of the CLI. Its conversation and its tools are the CLI's; a window of ours has nothing to do."""
        if self._closed:
            raise NotStartedError("this CopilotSDK is closed")
        assert self._client is not None
        more = cli_options(options)
        if system is not None:
            more["system_message"] = {"mode": "append", "content": system}
        if tools:
            more["tools"] = list(tools)
        session = await self._client.create_session(**{"model": model, "streaming": True, **more})
        handler: Handler = stack(*self._outer, *self.state.layers)(SessionHandler(session))
        return handler, session.disconnect

    @property
    def sessions(self) -> int:
        """How many are open."""
        return len(self._sessions)


def _told_in_words(own: Handler) -> Handler:
    """A handler of the user's own, which is told by a system message, too, what the answer shall look like."""

    async def handler(request: ChatRequest) -> Reply:
        return await own(instructed(request))

    return handler


def _check_places(places: Mapping[str, object], others: Mapping[str, object]) -> None:
    """Refuse two places that answer, and what one of them has no use for."""
    given = [name for name, value in places.items() if value is not None]
    if len(given) > 1:
        raise InvalidOptionError("client, handler, base_url: give one of them")
    for name in [*given, *(["api_key"] if others["api_key"] is not None else [])]:
        for other in _NOT_WITH[name]:
            if others[other] is not None:
                raise InvalidOptionError(f"{other}: has no meaning with {name}=; leave one of them out")
