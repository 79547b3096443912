"""What secrets and personal data look like. Data, and the sums that tell a card from a number.

`VERSION` grows with every change of what is found, so that a report can say by which list it was made. Each pattern is RE2 syntax, which
runs in linear time whatever the text; what a pattern alone cannot tell (a checksum, an issuer) a check decides on what it found.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

VERSION = 2

SECRET, PERSONAL = "secret", "personal"


class Pattern(Struct, frozen=True):
    """Something to find.

    Attributes:
        kind: its name, as in `[REDACTED_GITHUB_TOKEN]`.
        group: "secret" or "personal".
        regex: RE2 syntax. The first group, if there is one, is the secret itself, and the rest is how it is recognised.
        check: decides on a match; None: every match counts.
        spans: where in a match the thing itself is, as often as it is there; None: all of the match, or its first group.
    """

    kind: str
    group: str
    regex: str
    check: Callable[[str], bool] | None = None
    spans: Callable[[str], list[tuple[int, int]]] | None = None


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        n = int(digit)
        if i % 2:
            n = n * 2 - 9 if n > 4 else n * 2
        total += n
    return total % 10 == 0


# First digits and lengths by issuer: Visa, Mastercard, American Express, Discover, Diners, JCB, UnionPay, Maestro.
_ISSUERS: tuple[tuple[range, int, tuple[int, ...]], ...] = (
    (range(4, 5), 1, (13, 16, 19)),
    (range(51, 56), 2, (16,)),
    (range(2221, 2721), 4, (16,)),
    (range(34, 35), 2, (15,)),
    (range(37, 38), 2, (15,)),
    (range(6011, 6012), 4, (16, 19)),
    (range(644, 650), 3, (16, 19)),
    (range(65, 66), 2, (16, 19)),
    (range(300, 306), 3, (14,)),
    (range(36, 37), 2, (14,)),
    (range(38, 40), 2, (14,)),
    (range(3528, 3590), 4, (16, 19)),
    (range(62, 63), 2, (16, 17, 18, 19)),
    (range(50, 51), 2, (16, 19)),
    (range(56, 59), 2, (16, 19)),
)


def is_card(text: str) -> bool:
    """A payment card's number: an issuer's first digits and length, and the check digit."""
    digits = "".join(c for c in text if c.isdigit())
    known = any(len(digits) in lengths and int(digits[:width]) in prefixes for prefixes, width, lengths in _ISSUERS)
    return known and len(set(digits)) > 1 and _luhn(digits)


_DIGITS = re.compile(r"[0-9]+")


def card_spans(text: str) -> list[tuple[int, int]]:
    """Cards in a row of groups of digits: other numbers may stand before and behind them, and hide them from a greedy pattern."""
    groups = [match.span() for match in _DIGITS.finditer(text)]
    found: list[tuple[int, int]] = []
    first = 0
    while first < len(groups):
        for last in range(min(len(groups), first + 6) - 1, first - 1, -1):
            start, end = groups[first][0], groups[last][1]
            if end - start <= 24 and is_card(text[start:end]):
                found.append((start, end))
                first = last
                break
        first += 1
    return found


def is_iban(text: str) -> bool:
    """ISO 13616-1: mod 97 is 1."""
    plain = "".join(text.split()).upper()
    if not 15 <= len(plain) <= 34:
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def is_ssn(text: str) -> bool:
    """A number of US social security that can have been given: no 000, 666, 9xx; no 00; no 0000."""
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def is_phone(text: str) -> bool:
    """Ten to fifteen digits (ITU-T E.164), not all the same."""
    digits = [c for c in text if c.isdigit()]
    return 10 <= len(digits) <= 15 and len(set(digits)) > 2


def is_random(text: str) -> bool:
    """Looks made by a machine: for patterns that only a name before them tells."""
    if len(text) < 8 or len(set(text)) < 5:
        return False
    low = text.lower()
    if any(
        word in low
        for word in ("example", "placeholder", "your", "changeme", "dummy", "redacted", "xxxx", "<", "${", "{{", "...")
    ):
        return False
    kinds = sum((any(c.islower() for c in text), any(c.isupper() for c in text), any(c.isdigit() for c in text)))
    return kinds >= 2 and any(c.isdigit() for c in text)


PATTERNS: tuple[Pattern, ...] = (
    Pattern("private_key", SECRET, r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s:,\\-]{16,}?-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"),
    Pattern("github_token", SECRET, r"\b(?:gh[pousr]_[A-Za-z0-9]{16,255}|github_pat_[A-Za-z0-9_]{20,255})"),
    Pattern("copilot_token", SECRET, r"\btid=[A-Za-z0-9-]{6,};[^\s\"'\\<>]{16,}"),
    Pattern("rightseat_key", SECRET, r"\brsk_[a-z2-7]{10}_[a-z2-7]{38}"),
    Pattern("anthropic_key", SECRET, r"\bsk-ant-[A-Za-z0-9_-]{16,}"),
    Pattern("openai_key", SECRET, r"\bsk-(?:proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{20,}", lambda t: any(c.isdigit() for c in t)),
    Pattern("aws_access_key", SECRET, r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    Pattern("google_api_key", SECRET, r"\bAIza[0-9A-Za-z_-]{35}"),
    Pattern("google_oauth_token", SECRET, r"\bya29\.[0-9A-Za-z_-]{20,}"),
    Pattern("google_oauth_secret", SECRET, r"\bGOCSPX-[0-9A-Za-z_-]{20,}"),
    Pattern("slack_token", SECRET, r"\b(?:xox[abeoprs]-[0-9A-Za-z-]{10,}|xapp-[0-9]-[0-9A-Za-z-]{10,})"),
    Pattern("slack_webhook", SECRET, r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_+-]{20,}"),
    Pattern("discord_webhook", SECRET, r"https://(?:canary\.|ptb\.)?discord(?:app)?\.com/api/webhooks/[0-9]{15,}/[A-Za-z0-9_-]{30,}"),
    Pattern("stripe_key", SECRET, r"\b(?:[sr]k_(?:live|test|prod)_[0-9A-Za-z]{10,}|whsec_[0-9A-Za-z+/=]{20,})"),
    Pattern("twilio_key", SECRET, r"\b(?:SK|AC)[0-9a-f]{32}\b"),
    Pattern("sendgrid_key", SECRET, r"\bSG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}"),
    Pattern("mailgun_key", SECRET, r"\bkey-[0-9a-f]{32}\b"),
    Pattern("mailchimp_key", SECRET, r"\b[0-9a-f]{32}-us[0-9]{1,2}\b"),
    Pattern("gitlab_token", SECRET, r"\bgl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat)-[0-9A-Za-z_.-]{20,}"),
    Pattern("npm_token", SECRET, r"\bnpm_[0-9A-Za-z]{36}"),
    Pattern("pypi_token", SECRET, r"\bpypi-[0-9A-Za-z_-]{32,}"),
    Pattern("docker_token", SECRET, r"\bdckr_(?:pat|oat)_[0-9A-Za-z_-]{20,}"),
    Pattern("huggingface_token", SECRET, r"\b(?:hf_|api_org_)[A-Za-z0-9]{30,}"),
    Pattern("digitalocean_token", SECRET, r"\bdo[opr]_v1_[0-9a-f]{64}"),
    Pattern("azure_storage_key", SECRET, r"AccountKey=([0-9A-Za-z+/]{40,}={0,2})"),
    Pattern("azure_client_secret", SECRET, r"\b[0-9A-Za-z_~.]{3}[0-9]Q~[0-9A-Za-z_~.-]{31,34}"),
    Pattern("azure_sas", SECRET, r"[?&]sig=([0-9A-Za-z%]{30,})"),
    Pattern("telegram_token", SECRET, r"\b[0-9]{8,10}:AA[0-9A-Za-z_-]{33}"),
    Pattern("shopify_token", SECRET, r"\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    Pattern("square_token", SECRET, r"\bsq0(?:atp|csp|idp)-[0-9A-Za-z_-]{22,}"),
    Pattern("databricks_token", SECRET, r"\bdapi[0-9a-f]{32}"),
    Pattern("linear_key", SECRET, r"\blin_(?:api|oauth)_[0-9A-Za-z]{32,}"),
    Pattern("notion_token", SECRET, r"\b(?:ntn_[0-9A-Za-z]{40,}|secret_[0-9A-Za-z]{43}\b)"),
    Pattern("atlassian_token", SECRET, r"\bATATT3[0-9A-Za-z_=-]{40,}"),
    Pattern("vault_token", SECRET, r"\bhv[sbr]\.[0-9A-Za-z_-]{24,}"),
    Pattern("terraform_token", SECRET, r"\b[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_=-]{40,}"),
    Pattern("new_relic_key", SECRET, r"\bNRAK-[0-9A-Z]{27}"),
    Pattern("grafana_token", SECRET, r"\bgl(?:sa|c)_[0-9A-Za-z+/=_]{32,}"),
    Pattern("sentry_token", SECRET, r"\bsntr(?:ys|yu)_[0-9A-Za-z+/=_]{40,}"),
    Pattern("heroku_key", SECRET, r"\bHRKU-[0-9A-Za-z_-]{36,}"),
    Pattern("doppler_token", SECRET, r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[0-9A-Za-z._-]{30,}"),
    Pattern("postman_key", SECRET, r"\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    Pattern("groq_key", SECRET, r"\b(?:gsk|xai|pplx|r8|csk|fw|nvapi)[_-][0-9A-Za-z_-]{32,}", lambda t: any(c.isdigit() for c in t)),
    Pattern("age_key", SECRET, r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}"),
    Pattern("jwt", SECRET, r"\beyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}"),
    Pattern("url_password", SECRET, r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:@/\"'<>]{1,100}:([^\s@/\"'<>]{3,200})@"),
    Pattern("bearer", SECRET, r"(?i)\b(?:bearer|token|basic)[ \t]+([A-Za-z0-9._~+/-]{20,}={0,2})", lambda t: is_random(t.split()[-1])),
    Pattern("named_secret", SECRET, r"""(?i)\b[a-z0-9_.-]{0,40}(?:api[_-]?key|apikey|secret|token|passwd|password|pwd|credential|auth[_-]?key|access[_-]?key|private[_-]?key)(?:s|[_-]?(?:id|key|value|base64|prod|production|dev|test|live|staging|[0-9]{1,3}))?(?:[ \t]{0,40}["'])?[ \t]{0,3}(?:=>|:=|[=:])[ \t]{0,40}["'`]?([^\s"'`,;<>(){}\[\]]{8,500})""", None),
    Pattern("email", PERSONAL, r"\b[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}\b"),
    Pattern("card", PERSONAL, r"\b[2-6](?:[ -]?[0-9]){12,60}\b", spans=card_spans),
    Pattern("ssn", PERSONAL, r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", is_ssn),
    Pattern("iban", PERSONAL, r"\b[A-Z]{2}[0-9]{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?\b", is_iban),
    Pattern("phone", PERSONAL, r"\+[0-9]{1,3}(?:[ .-]?\(?[0-9]{1,4}\)?){2,5}\b|\([0-9]{2,4}\)[ ]?[0-9]{3,4}[ .-][0-9]{3,4}\b|\b[0-9]{3}[.-][0-9]{3}[.-][0-9]{4}\b", is_phone),
)  # fmt: skip

SECRETS = frozenset(p.kind for p in PATTERNS if p.group == SECRET)
PERSONAL_DATA = frozenset(p.kind for p in PATTERNS if p.group == PERSONAL)
