"""What an account may still use: the quota that GitHub tells, in one form for all plans.

Older plans count premium requests, newer ones bill by token; every field may be missing. Pure but for one request.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct, field

from rightseat.accounts.hosts import Hosts
from rightseat.accounts.identity import Editor, github_headers
from rightseat.accounts.store import Account
from rightseat.errors import UpstreamError
from rightseat.json_types import JsonObject
from rightseat.transport.http.base import SMALL, HttpRequest, HttpSender, fetch


class Snapshot(Struct, frozen=True):
    """One kind of quota.

    Attributes:
        entitlement: how many there are in a period; None: unlimited or not told.
        remaining: how many are left.
        percent_remaining: the same in percent.
        unlimited: there is no limit.
        overage_permitted: more may be used, for money.
        overage_count: how many more were.
    """

    entitlement: float | None = None
    remaining: float | None = None
    percent_remaining: float | None = None
    unlimited: bool = False
    overage_permitted: bool = False
    overage_count: float = 0.0


class Quota(Struct, frozen=True):
    """An account's quota.

    Attributes:
        plan: the plan, as GitHub calls it.
        token_based_billing: the plan is billed by tokens; the snapshots may be empty.
        reset_date: when the period ends, as GitHub writes it.
        snapshots: kind -> what is left of it.
    """

    plan: str = ""
    token_based_billing: bool = False
    reset_date: str = ""
    snapshots: dict[str, Snapshot] = field(default_factory=dict)


async def fetch_quota(sender: HttpSender, editor: Editor, account: Account) -> Quota:
    """Ask GitHub (`GET /copilot_internal/user`).

    Raises:
        UpstreamError: it refused, or its answer cannot be read.
        TransportError: there is no answer.
    """
    hosts = Hosts.of(account.host)
    headers = github_headers(editor, account.github_access_token)
    url = f"{hosts.api}/copilot_internal/user"
    answer = await fetch(sender, HttpRequest("GET", url, headers, timeouts=SMALL, peer="GitHub"))
    if answer.status != 200:
        raise UpstreamError(502, f"GitHub did not return the quota (HTTP {answer.status})", code="quota_unknown")
    try:
        body = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise UpstreamError(502, "GitHub did not return the quota", code="quota_unknown") from e
    return quota_of(body)


def quota_of(body: object) -> Quota:
    """The quota in an answer; what is missing or odd is left out."""
    body = body if isinstance(body, dict) else {}
    snapshots = body.get("quota_snapshots")
    return Quota(
        plan=str(body.get("copilot_plan") or ""),
        token_based_billing=bool(body.get("token_based_billing")),
        reset_date=str(body.get("quota_reset_date_utc") or body.get("quota_reset_date") or ""),
        snapshots={
            str(name): _snapshot(value)
            for name, value in (snapshots if isinstance(snapshots, dict) else {}).items()
            if isinstance(value, dict)
        },
    )


_QUOTA = "x-quota-snapshot-"


def quota_left(headers: Mapping[str, str]) -> dict[str, float]:
    """Kind -> what is left of it, from 0 to 1, by the headers of an answer (`x-quota-snapshot-KIND: ent=300&rem=87.5&rst=...`)."""
    left = {}
    for name, value in headers.items():
        low = name.lower()
        if low.startswith(_QUOTA):
            given = parse_qs(value)
            try:
                if float(given["ent"][0]) >= 0:
                    left[low.removeprefix(_QUOTA)] = min(1.0, max(0.0, float(given["rem"][0]) / 100))
            except (KeyError, ValueError):
                continue
    return left


def _snapshot(value: JsonObject) -> Snapshot:
    entitlement = _number(value.get("entitlement"))
    unlimited = bool(value.get("unlimited")) or entitlement == -1
    remaining = _number(value.get("quota_remaining"))
    return Snapshot(
        entitlement=None if unlimited else entitlement,
        remaining=None if unlimited else remaining if remaining is not None else _number(value.get("remaining")),
        percent_remaining=_number(value.get("percent_remaining")),
        unlimited=unlimited,
        overage_permitted=bool(value.get("overage_permitted")),
        overage_count=_number(value.get("overage_count")) or 0.0,
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
