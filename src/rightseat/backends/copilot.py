"""The Copilot API over HTTP, as a backend: the right address and headers, a fresh token, the next account where one refuses.

A request can never choose where it goes: the address is the account's (configured by its owner, else named by its token, else the
official one). What is wrong before the answer begins is raised; what breaks later is raised while the body is read.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping

import msgspec

from rightseat.accounts.identity import Editor, copilot_headers
from rightseat.accounts.pool import AccountPool
from rightseat.accounts.quota import quota_left
from rightseat.accounts.selection import Candidate
from rightseat.accounts.store import Account, AccountStore
from rightseat.accounts.tokens import TokenSource
from rightseat.backends.asking import Sent, checked
from rightseat.backends.base import Readiness, RelayAnswer, UpstreamRequest
from rightseat.backends.catalogue import Catalogue
from rightseat.backends.fitting import dialect_for, fitted, has_image, initiator, intent, warnings_of, without
from rightseat.backends.readiness import WITHIN, Contact, CopilotReadiness, SharedReadiness
from rightseat.backends.reading import reply_of
from rightseat.backends.refusals import refused_item
from rightseat.backends.registry import Model, Registry, registry_of
from rightseat.chat import ChatRequest, Reply
from rightseat.chat.plain import PlainTools
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import LoginError, RightseatError, TransportError, UpstreamError
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.state.base import Cooldowns
from rightseat.transport.http.base import SMALL, HttpRequest, HttpSender, HttpStream, Timeouts, within

QUOTA_SECONDS = 1.0  # how often the headers of an answer are looked at for the quota
PEER = "Copilot"
_LARGE_TOKENS = 16_384  # of a request; a larger one is written beside the event loop


class CopilotBackend:
    """The Copilot API, for the accounts in a store. A Backend.

    Args:
        store: the accounts.
        sender: sends requests.
        editor: who we say we are.
        aliases: names of models -> ids.
        clock: time.
        ids: of requests that have none.
        cooldowns: where cooldowns of accounts are shared with other processes; None: they are not.
    """

    def __init__(
        self,
        store: AccountStore,
        sender: HttpSender,
        editor: Editor | None = None,
        aliases: Mapping[str, str] | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        ids: Ids = SYSTEM_IDS,
        cooldowns: Cooldowns | None = None,
    ) -> None:
        self._sender = sender
        self._editor = editor or Editor()
        self._clock = clock
        self._ids = ids
        self._pool = AccountPool(store, clock, cooldowns)
        self._tokens = TokenSource(store, sender, self._editor, clock)
        self._catalogue = Catalogue(self._pool, self._fetch_models, aliases or {}, clock)
        self._contact = Contact(clock)
        probe = functools.partial(self._get_models, timeouts=WITHIN)
        self._readiness = SharedReadiness(
            CopilotReadiness(self._pool, self._tokens, self._contact, probe, clock), clock
        )

    async def models(self) -> Registry:
        """The models of all accounts; the seed list while not logged in. The last good list serves while it is renewed.

        Raises:
            RightseatError: there is no list yet, and none can be got.
        """
        return await self._catalogue.registry()

    async def relay(self, request: UpstreamRequest) -> RelayAnswer:
        """Post a body; return when the head of the answer is there.

        An account that refuses for a reason of its own (402, 403, 429) cools down, and the next one is asked; never after the head.

        Raises:
            NotLoggedInError: no account.
            UpstreamError: the answer is an HTTP error, or all accounts are cooling down from one.
            LoginError, TransportError: there is no token, or no answer.
        """
        meta = request.meta
        sent = Sent(meta)
        with sent:
            attempts = await self._pool.attempts(request.model, meta.conversation, meta.caller)
            while True:
                account, candidate = attempts.next()
                candidate.load += 1
                answer: RelayAnswer | None = None
                try:
                    try:
                        account = await self._tokens.get(account)
                    except RightseatError as e:
                        if not attempts.without_token(candidate, e):
                            raise
                        continue
                    answer = self._answer(await self._send(account, request, sent), candidate)
                except (UpstreamError, LoginError) as e:
                    if not attempts.refused(candidate, e):
                        raise
                else:
                    return answer
                finally:
                    if answer is None:
                        candidate.load -= 1

    async def handle(self, request: ChatRequest) -> Reply:
        """Answer a request, event by event; see Handler.

        Raises:
            BadRequestError: it cannot be expressed for this model.
            NotLoggedInError, LoginError, UpstreamError, TransportError: see `relay`.
        """
        model = await self.resolve(request.model)
        size = request.meta.estimate.input_tokens if request.meta.estimate is not None else 0
        prepare = functools.partial(self._prepared, request, model)
        asked, reply = await asyncio.to_thread(prepare) if size > _LARGE_TOKENS else prepare()
        return reply(await self.relay(asked))

    def _prepared(
        self, request: ChatRequest, model: Model | None
    ) -> tuple[UpstreamRequest, Callable[[RelayAnswer], Reply]]:
        """What is sent for a request, and what reads the answer. Raises BadRequestError."""
        dialect = dialect_for(model)
        streams = model is None or model.streaming is not False
        taken = without(request, dialect.unsupported)
        plain = PlainTools(fitted(taken, model, dialect, stream=streams), text_tools=dialect.has_text_tools)
        meta = msgspec.structs.replace(
            request.meta,
            initiator=request.meta.initiator or initiator(request),
            headers={**request.meta.headers, **dialect.headers},
        )
        asked = UpstreamRequest(
            dialect.path,
            dialect.encode(plain.request),
            plain.request.model,
            vision=has_image(request),
            stream=streams,
            intent=intent(request.tools, request.extra.get("thinking_budget") or "x-interaction-type" in meta.headers),
            meta=meta,
        )

        def reply(answer: RelayAnswer) -> Reply:
            made = reply_of(dialect, answer, plain, streamed=streams)
            made.warns(lambda: warnings_of(request, plain.request, dialect))
            return made

        return asked, reply

    async def readiness(self) -> Readiness:
        """Whether requests can be served now: an account that is not cooling down, a usable token, and Copilot within reach.

        Answers within 3 seconds, and asks at most every few seconds, however many ask at once.
        """
        return await self._readiness.get()

    async def resolve(self, name: str) -> Model | None:
        """The model that a name means; None while only the seed list is known. Raises UpstreamError: there is none (404)."""
        return (await self.models()).require(name)

    def offers(self, model: str) -> bool:
        """Whether the last lists have a model of this id. Does not ask upstream."""
        return self._catalogue.offers(model)

    def accounts(self) -> list[tuple[Account, Candidate]]:
        """The accounts and what is known of their health, as they were last read."""
        known = self._pool.last
        return [(self._tokens.latest(account), self._pool.candidate(name)) for name, account in known.items()]

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the account store, for the operator: files that cannot be read, a folder that cannot be written."""
        return self._pool.problems()

    def rename(self, aliases: Mapping[str, str]) -> None:
        """Other names for models from now on: name -> id."""
        self._catalogue.rename(aliases)

    def reload(self) -> None:
        """The accounts have changed: they are read again before the next request."""
        self._pool.reload()

    async def look(self) -> None:
        """Read the accounts now."""
        self._pool.reload()
        await self._pool.known()

    async def refresh(self, name: str) -> None:
        """Fetch a new token for an account, however good the one it has.

        Raises:
            KeyError: there is no such account.
            LoginError, UpstreamError, TransportError: there is no new token.
        """
        self._pool.reload()  # else a token that was fetched in between would do
        await self._tokens.renew((await self._pool.known())[name])
        self._pool.forget(name)
        self._pool.reload()

    async def aclose(self) -> None:
        """Stop what is under way in the background."""
        await self._readiness.aclose()
        await self._catalogue.aclose()
        await self._tokens.close()
        await self._pool.aclose()

    async def _send(self, account: Account, request: UpstreamRequest, sent: Sent) -> HttpStream:
        meta = request.meta

        def build(account: Account) -> HttpRequest:
            headers = copilot_headers(
                self._editor,
                account.access_token,
                initiator=meta.initiator or "user",
                vision=request.vision,
                stream=request.stream,
                request_id=meta.request_id or self._ids.uuid(),
                intent=request.intent,
                extra=meta.headers,
            )
            return HttpRequest("POST", account.address + request.path, headers, request.body, peer=PEER, on_sent=sent)

        return await self._open(account, build)

    async def _open(self, account: Account, build: Callable[[Account], HttpRequest]) -> HttpStream:
        """Send with an account's token; with another one, once, where that token was refused. Raises UpstreamError for error answers."""
        try:
            stream = await self._sender.open(build(account))
            if stream.status == 401:
                if (refused := refused_item(await _text_of(stream))) is not None:
                    raise refused
                stream = await self._sender.open(build(await self._tokens.renew(account)))
        except TransportError:
            self._contact.failed()
            raise
        self._contact.made(ok=stream.status < 500)
        return await checked(stream, self._clock)

    def _answer(self, stream: HttpStream, candidate: Candidate) -> RelayAnswer:
        now = self._clock.now()
        if now - candidate.quota_at >= QUOTA_SECONDS:
            candidate.quota_at = now
            candidate.quota.update(quota_left(stream.headers))
        open_ = True

        async def close() -> None:
            nonlocal open_
            if open_:
                open_ = False
                candidate.load -= 1
            await stream.aclose()

        return RelayAnswer(
            stream.chunks(),
            close,
            status=stream.status,
            headers=stream.headers,
            account=candidate.name,
            framed=stream.framed,
            source=stream,
        )

    async def _fetch_models(self, account: Account) -> Registry:
        account = await self._tokens.get(account)
        try:
            return registry_of(await self._get_models(account, SMALL), {})
        except ValueError as e:
            raise UpstreamError(502, f"the Copilot API gave no model list: {e}") from e

    async def _get_models(self, account: Account, timeouts: Timeouts) -> bytes:
        def build(account: Account) -> HttpRequest:
            headers = copilot_headers(
                self._editor, account.access_token, intent="model-access", request_id=self._ids.uuid()
            )
            return HttpRequest("GET", account.address + "/models", headers, timeouts=timeouts, peer=PEER)

        async with within(timeouts, PEER):
            stream = await self._open(account, build)
            try:
                return await stream.read()
            finally:
                await stream.aclose()


async def _text_of(stream: HttpStream) -> bytes:
    """The body of an answer that is an error, which is closed."""
    try:
        return await stream.read()
    finally:
        await stream.aclose()
