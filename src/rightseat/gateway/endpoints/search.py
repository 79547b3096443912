"""`/v1/alpha/search`: the web search that Codex asks its provider for, answered by a model that can search.

The form is that of openai/codex (codex-rs/codex-api/src/search.rs). Nothing is kept between two searches: a page that is to be opened by its
number in an earlier result is named to the model in the words of the request.
"""

from __future__ import annotations

import msgspec

from rightseat.errors import CallerError
from rightseat.gateway.endpoints.conversation import ConversationEndpoint, Conversing
from rightseat.gateway.pipeline.intake import Taken
from rightseat.gateway.request import Request
from rightseat.json_types import Json, JsonObject
from rightseat.wire.body import BadRequestError, dig, list_of
from rightseat.wire.dialects import RESPONSES

_ASK = (
    "Search the web as the following request says, and answer with what was found, each fact with the address of its page. "
    "Say so where nothing was found.\n\n"
)
_MOST_TOKENS = 8000


class SearchOffError(CallerError):
    """A search was asked for, and no model is set to do it."""

    status_hint = 403


class SearchEndpoint(ConversationEndpoint):
    """The endpoint.

    Args:
        shared: see Conversing.
        model: the name of the model that searches; "": none.
    """

    def __init__(self, shared: Conversing, model: str) -> None:
        super().__init__(RESPONSES, shared)
        self._model = model

    async def _answer(self, taken: Taken, request: Request) -> None:
        if not self._model:
            raise SearchOffError(
                "no model is set to search the web: set search_model to a model that Copilot serves over /responses",
                code="search_off",
            )
        model = await self._shared.intake.model(self._model, request)
        if model is not None and RESPONSES.path not in model.endpoints:
            raise SearchOffError(f"search_model: {model.id} is not served over /responses", code="search_off")
        body = _asked(taken.body, self._model)
        searched = msgspec.structs.replace(taken, body=body, raw=msgspec.json.encode(body), model=model)
        made, meta = self._planned(searched, request)
        self._note(made, request)
        fields = self._fields(made, request)
        asked = await self._ask(made, meta, request, fields)
        async with asked.answer:
            response = msgspec.json.decode(await asked.whole())
        await request.exchange.respond(200, msgspec.json.encode({"output": _text_of(response)}), fields)


def _asked(body: JsonObject, model: str) -> JsonObject:
    """The request to the model that searches. Raises BadRequestError."""
    commands, settings = body.get("commands"), body.get("settings")
    if not isinstance(commands, dict) or not any(commands.values()):
        raise BadRequestError.at("commands", "must be an object with at least one command, such as search_query")
    tool: JsonObject = {"type": "web_search"}
    if isinstance(size := dig(settings, "search_context_size"), str):
        tool["search_context_size"] = size
    filters = dig(settings, "filters")
    allowed = {name: value for name, value in filters.items() if value} if isinstance(filters, dict) else {}
    if allowed:
        tool["filters"] = allowed
    limit = body.get("max_output_tokens")
    wanted: JsonObject = {"commands": commands}
    if isinstance(body.get("input"), str):
        wanted["about"] = body["input"]
    return {
        "model": model,
        "input": _ASK + msgspec.json.encode(wanted).decode(),
        "tools": [tool],
        "store": False,
        "max_output_tokens": limit if isinstance(limit, int) and limit > 0 else _MOST_TOKENS,
    }


def _text_of(response: Json) -> str:
    messages = [item for item in list_of(dig(response, "output")) if dig(item, "type") == "message"]
    return "\n".join(str(dig(part, "text") or "") for item in messages for part in list_of(item.get("content"))).strip()
