"""GitHub's side of a login, simulated: device codes, GitHub tokens, Copilot tokens that really end.

Plain state and plain functions of it, no I/O; `app` puts it on HTTP. It does not know who asks.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from urllib.parse import urlencode

from msgspec import Struct

from rightseat.json_types import JsonObject

GITHUB_PREFIX = "gho_"
INTERVAL_SECONDS = 5


class Behaviour(Struct, kw_only=True):
    """What the cloud does. Change it at any time.

    Attributes:
        approve_after: how many polls are answered "pending" before the login is approved by itself; None: by the page only.
        deny: the login is denied instead.
        slow_down: how many polls are answered "slow_down", first of all.
        code_lives: seconds a device code lives.
        interval: seconds between polls that clients are told.
        token_lives: seconds a Copilot token lives.
        refresh_in: seconds after which clients are told to renew it.
        name_endpoint: whether the exchange names this cloud as the API to use.
        refuse_exchange: a notification id (such as "no_copilot_access"): the exchange is refused with 403.
        fail_exchange: this many exchanges are answered with 500.
        premium_remaining: premium requests left, of 300.
        token_based_billing: the plan is billed by tokens, as newer ones are.
        hang: requests to these paths are never answered, such as "/copilot_internal/v2/token" or "/models".
    """

    approve_after: int | None = 1
    deny: bool = False
    slow_down: int = 0
    code_lives: float = 900.0
    interval: float = INTERVAL_SECONDS
    token_lives: float = 1800.0
    refresh_in: float = 1500.0
    name_endpoint: bool = True
    refuse_exchange: str | None = None
    fail_exchange: int = 0
    premium_remaining: int = 300
    token_based_billing: bool = False
    hang: tuple[str, ...] = ()


class _DeviceLogin(Struct):
    device_code: str
    user_code: str
    ends_at: float
    polls: int = 0
    approved: bool | None = None


class Cloud:
    """The state of a simulated GitHub.

    Attributes:
        behaviour: what it does.
        exchanges: how many Copilot tokens were asked for.
    """

    def __init__(self, behaviour: Behaviour | None = None, now: Callable[[], float] = time.time) -> None:
        self.behaviour = behaviour or Behaviour()
        self.exchanges = 0
        self._now = now
        self._logins: dict[str, _DeviceLogin] = {}
        self._tokens: dict[str, float] = {}  # Copilot token -> when it ends

    def begin_login(self, url: str) -> JsonObject:
        """`POST /login/device/code`."""
        login = _DeviceLogin(secrets.token_hex(20), _user_code(), self._now() + self.behaviour.code_lives)
        self._logins[login.device_code] = login
        return {
            "device_code": login.device_code,
            "user_code": login.user_code,
            "verification_uri": f"{url}/login/device",
            "expires_in": self.behaviour.code_lives,
            "interval": self.behaviour.interval,
        }

    def poll_login(self, device_code: str) -> JsonObject:
        """`POST /login/oauth/access_token`: always 200, with an `error` until somebody has decided."""
        login = self._logins.get(device_code)
        if login is None:
            return {"error": "incorrect_device_code"}
        login.polls += 1
        if self._now() >= login.ends_at:
            return {"error": "expired_token"}
        if login.polls <= self.behaviour.slow_down:
            return {"error": "slow_down", "interval": self.behaviour.interval + 5}
        after = self.behaviour.approve_after
        if after is not None and login.polls - self.behaviour.slow_down > after:
            login.approved = not self.behaviour.deny
        if login.approved is None:
            return {"error": "authorization_pending"}
        del self._logins[device_code]
        if not login.approved:
            return {"error": "access_denied"}
        return {"access_token": f"{GITHUB_PREFIX}{secrets.token_hex(18)}", "token_type": "bearer", "scope": "read:user"}

    def decide_login(self, user_code: str, *, approved: bool) -> bool:
        """The page: approve or deny. False: no login waits with that code."""
        for login in self._logins.values():
            if login.user_code == user_code.strip().upper():
                login.approved = approved
                return True
        return False

    def exchange(self, authorization: str, url: str) -> tuple[int, JsonObject]:
        """`GET /copilot_internal/v2/token`."""
        self.exchanges += 1
        behaviour = self.behaviour
        if behaviour.fail_exchange > 0:
            behaviour.fail_exchange -= 1
            return 500, {"message": "simulated failure"}
        if not authorization.partition(" ")[2].startswith(GITHUB_PREFIX):
            return 401, {"message": "Bad credentials"}
        if behaviour.refuse_exchange is not None:
            details = {
                "notification_id": behaviour.refuse_exchange,
                "message": "No access to GitHub Copilot found.",
                "title": "No access",
            }
            return 403, {"message": "Resource not accessible", "error_details": details}
        ends_at = self._now() + behaviour.token_lives
        token = f"tid={secrets.token_hex(8)};exp={int(ends_at)};sku=simulated;st=dotcom:{secrets.token_hex(16)}"
        self._tokens[token] = ends_at
        body: JsonObject = {
            "token": token,
            "expires_at": int(ends_at),
            "refresh_in": behaviour.refresh_in,
            "sku": "simulated",
        }
        if behaviour.name_endpoint:
            body["endpoints"] = {"api": url, "telemetry": url, "proxy": url}
        return 200, body

    def user(self, login: str, url: str) -> JsonObject:
        """`GET /copilot_internal/user`: plan, endpoints, quota."""
        return {
            "login": login,
            "access_type_sku": "copilot_standalone_seat",
            "chat_enabled": True,
            "copilot_plan": "individual_pro",
            "assigned_date": "2026-01-01T00:00:00Z",
            "organization_login_list": [],
            "organization_list": [],
            "endpoints": {"api": url, "telemetry": url, "proxy": url, "origin-tracker": url},
            "is_mcp_enabled": True,
            "quota_reset_date": "2099-01-01",
            "token_based_billing": self.behaviour.token_based_billing,
            "quota_snapshots": self.quota(),
        }

    def quota(self) -> JsonObject:
        """The quota snapshots: kind -> what is left of it."""
        unlimited = {
            "entitlement": -1,
            "remaining": 0,
            "percent_remaining": 100.0,
            "unlimited": True,
            "overage_permitted": False,
        }
        left = self.behaviour.premium_remaining
        premium = {
            "entitlement": 300,
            "remaining": left,
            "quota_remaining": float(left),
            "percent_remaining": round(left / 3, 1),
            "unlimited": False,
            "overage_count": 0,
            "overage_permitted": False,
        }
        return {
            "chat": {"quota_id": "chat", **unlimited},
            "completions": {"quota_id": "completions", **unlimited},
            "premium_interactions": {"quota_id": "premium_interactions", **premium},
        }

    def quota_headers(self) -> dict[str, str]:
        """The same as answers of the API carry it: kind -> a form of `ent`, `ov`, `ovPerm`, `rem` (in percent) and `rst`."""
        return {
            name: urlencode(
                {
                    "ent": snapshot["entitlement"],
                    "ov": float(snapshot.get("overage_count", 0)),
                    "ovPerm": str(snapshot["overage_permitted"]).lower(),
                    "rem": snapshot["percent_remaining"],
                    "rst": "2099-01-01T00:00:00Z",
                }
            )
            for name, snapshot in self.quota().items()
        }

    def refusal(self, authorization: str) -> str | None:
        """Why a request to the Copilot API is refused with 401, or None. Only Copilot tokens are looked at: others are BYOK keys."""
        token = authorization.partition(" ")[2]
        if not token.startswith("tid="):
            return None
        ends_at = self._tokens.get(token)
        if ends_at is None:
            return "unauthorized: token invalid"
        return "unauthorized: token expired" if self._now() >= ends_at else None

    def revoke_all(self) -> None:
        """Every Copilot token given so far is worth nothing any more."""
        self._tokens.clear()


def _user_code() -> str:
    letters = "BCDFGHJKLMNPQRSTVWXZ"
    code = "".join(secrets.choice(letters) for _ in range(8))
    return f"{code[:4]}-{code[4:]}"
