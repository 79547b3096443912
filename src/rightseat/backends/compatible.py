"""Any server that speaks OpenAI's chat dialect, as a backend: another gateway, a model server, a provider.

Answers are asked for as streams and read as chat events; a body in the server's own dialect passes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from rightseat.accounts.hosts import clean_url, is_foreign
from rightseat.backends.asking import Sent, checked
from rightseat.backends.base import Readiness, RelayAnswer, UpstreamRequest
from rightseat.backends.cached import Cached
from rightseat.backends.fitting import fitted, warnings_of
from rightseat.backends.readiness import WITHIN, Contact, SharedReadiness
from rightseat.backends.reading import reply_of
from rightseat.backends.refusals import error_of
from rightseat.backends.registry import Model, Registry, registry_of
from rightseat.chat import ChatRequest, Meta, Reply
from rightseat.chat.plain import PlainTools
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError, RightseatError, TransportError, UpstreamError
from rightseat.transport.http.base import SMALL, HttpAnswer, HttpRequest, HttpSender, HttpStream, Timeouts, fetch
from rightseat.wire.dialects import CHAT

FRESH_SECONDS = 600.0  # how long a model list is believed


class CompatibleBackend:
    """A server that speaks OpenAI's chat dialect. A Backend.

    Args:
        sender: sends requests.
        base_url: the address below which `/chat/completions` is.
        api_key: shown as a bearer; "" for none.
        models: the models that can be asked; none: what `GET /models` lists.
        clock: time.

    Raises:
        ConfigError: `base_url` is none, or plain HTTP to another machine.
    """

    def __init__(
        self,
        sender: HttpSender,
        base_url: str,
        api_key: str = "",
        models: Sequence[str] = (),
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if is_foreign(base_url):
            raise ConfigError(
                "base_url: an address that ends in /backend-api/codex does not speak OpenAI's chat dialect"
            )
        self._sender = sender
        self._url = clean_url(base_url)
        self._key = api_key
        self._clock = clock
        self._contact = Contact(clock)
        self._fixed = Registry({name: Model(name, name) for name in models}, seed=False) if models else None
        self._models = Cached(self._fetch_models, seconds=FRESH_SECONDS, clock=clock)
        self._readiness = SharedReadiness(self._ask, clock)

    async def models(self) -> Registry:
        """The fixed list, or the server's own: the last good one serves while it is renewed. Raises as `relay` does."""
        return self._fixed or await self._models.get()

    async def relay(self, request: UpstreamRequest) -> RelayAnswer:
        """Post a body in the server's dialect. Raises UpstreamError: the server refused. TransportError: no answer."""
        sent = Sent(request.meta)
        with sent:
            stream = await self._post(request, sent)
        return RelayAnswer(
            stream.chunks(),
            stream.aclose,
            status=stream.status,
            headers=stream.headers,
            framed=stream.framed,
            source=stream,
        )

    async def handle(self, request: ChatRequest) -> Reply:
        """Answer a request, event by event; see Handler. Raises as `relay` does."""
        asked = fitted(request, None, CHAT, stream=True)
        plain = PlainTools(asked, text_tools=True)
        body = CHAT.encode(plain.request)
        answer = await self.relay(UpstreamRequest(CHAT.path, body, request.model, stream=True, meta=request.meta))
        reply = reply_of(CHAT, answer, plain, streamed=answer.is_stream)
        reply.warns(lambda: warnings_of(request, plain.request, CHAT))
        return reply

    async def readiness(self) -> Readiness:
        """Whether the server answers; it is asked for its models where it has not answered within the last half minute."""
        return Readiness() if self._contact.recent else await self._readiness.get()

    async def aclose(self) -> None:
        """Stop what is under way in the background."""
        await self._models.aclose()
        await self._readiness.aclose()

    async def _post(self, request: UpstreamRequest, sent: Sent) -> HttpStream:
        headers = self._headers(request.meta, stream=request.stream)
        try:
            stream = await self._sender.open(
                HttpRequest("POST", self._url + request.path, headers, request.body, on_sent=sent)
            )
        except TransportError:
            self._contact.failed()
            raise
        self._contact.made(ok=stream.status < 500)
        return await checked(stream, self._clock)

    def _headers(self, meta: Meta, *, stream: bool) -> dict[str, str]:
        headers = {
            **meta.headers,
            "content-type": "application/json",
            "accept": "text/event-stream" if stream else "application/json",
        }
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        if meta.request_id:
            headers["x-request-id"] = meta.request_id
        if meta.conversation:
            headers["x-session-id"] = meta.conversation
        if meta.initiator:
            headers["x-initiator"] = meta.initiator
        return headers

    async def _fetch_models(self) -> Registry:
        answer = await self._get_models(SMALL)
        if answer.status >= 400:
            raise error_of(answer.status, answer.headers, answer.body, self._clock.wall())
        try:
            return registry_of(answer.body, {})
        except ValueError as e:
            raise UpstreamError(502, f"the server gave no model list: {e}") from e

    async def _ask(self) -> Readiness:
        """A small call. Any answer that shows no trouble of the server will do: not every server lists its models."""
        try:
            answer = await self._get_models(WITHIN)
        except RightseatError as e:
            return Readiness((f"{self._url}: {e}",), (e.public,))
        self._contact.made(ok=answer.status < 500)
        if answer.status in (401, 403) or answer.status >= 500:
            return Readiness((f"{self._url}/models: HTTP {answer.status}",), ("the server refuses requests",))
        return Readiness()

    async def _get_models(self, timeouts: Timeouts) -> HttpAnswer:
        request = HttpRequest("GET", f"{self._url}/models", self._headers(Meta(), stream=False), timeouts=timeouts)
        return await fetch(self._sender, request)
