"""The endpoints of a gateway, by the names that `routes` gives them."""

from __future__ import annotations

from rightseat.gateway.access.access import Access
from rightseat.gateway.config import Settings
from rightseat.gateway.endpoints import probes, ui
from rightseat.gateway.endpoints.compact import CompactEndpoint, ResponsesEndpoint
from rightseat.gateway.endpoints.conversation import ConversationEndpoint, Conversing
from rightseat.gateway.endpoints.count_tokens import CountTokensEndpoint
from rightseat.gateway.endpoints.embeddings import EmbeddingsEndpoint
from rightseat.gateway.endpoints.models import ModelsEndpoint
from rightseat.gateway.endpoints.search import SearchEndpoint
from rightseat.gateway.observe.metrics import Metrics
from rightseat.gateway.pipeline.content import Content
from rightseat.gateway.pipeline.intake import Intake
from rightseat.gateway.pipeline.plan import Options
from rightseat.gateway.pipeline.upstream import Upstream
from rightseat.gateway.request import Endpoint
from rightseat.wire.dialects import ALL, COMPLETIONS, MESSAGES, RESPONSES


def small_endpoints(access: Access, metrics: Metrics | None, upstream: Upstream, intake: Intake) -> dict[str, Endpoint]:
    """Those that hold no conversation."""
    listing = ModelsEndpoint(upstream, access.authorize)
    page = metrics.page if metrics is not None else None
    return {
        "health": probes.health,
        "ready": probes.ReadyEndpoint(upstream, access.problems),
        "openapi": probes.document,
        "page": ui.page,
        "models": listing.all,
        "model": listing.one,
        "count_tokens": CountTokensEndpoint(intake, MESSAGES, lambda tokens: {"input_tokens": tokens}),
        "input_tokens": CountTokensEndpoint(
            intake, RESPONSES, lambda tokens: {"object": "response.input_tokens", "input_tokens": tokens}
        ),
        "embeddings": EmbeddingsEndpoint(upstream, intake),
        "metrics": probes.MetricsEndpoint(page),
    }


def conversations(settings: Settings, upstream: Upstream, intake: Intake, content: Content) -> dict[str, Endpoint]:
    """Those that ask a model."""
    options = Options(
        plain_tools=settings.custom_tools == "function",
        drop_tools=settings.unsupported_tools == "drop",
        read_answers=content.changes_answers,
    )
    shared = Conversing(upstream, intake, content, options, settings.ping_seconds, settings.log_content)
    return {
        **{dialect.name: ConversationEndpoint(dialect, shared) for dialect in (*ALL, COMPLETIONS)},
        RESPONSES.name: ResponsesEndpoint(shared),
        "compact": CompactEndpoint(shared),
        "search": SearchEndpoint(shared, settings.search_model),
    }
