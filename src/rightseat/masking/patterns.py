"""What secrets and personal data look like: data.

`VERSION` grows with every change of what is found, so that a report can say by which list it was made. Each pattern is RE2 syntax, which
runs in linear time whatever the text, and is written so that the standard library's engine does, too: a repeat without a bound is the
last thing of a pattern, or is followed by what it cannot hold itself. Where that cannot be, a scan by hand stands beside the pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from rightseat.masking.checks import is_iban, is_phone, is_random, is_ssn
from rightseat.masking.scans import Span, cards, jwts, named_secrets, private_keys

VERSION = 2

SECRET, PERSONAL = "secret", "personal"


class Pattern(Struct, frozen=True):
    """Something to find.

    Attributes:
        kind: its name, as in `[REDACTED_GITHUB_TOKEN]`.
        group: "secret" or "personal".
        regex: RE2 syntax. The first group, if there is one, is the secret itself, and the rest is how it is recognised.
        check: decides on the secret itself; None: every match counts.
        spans: where in a match the thing itself is, as often as it is there; None: all of the match, or its first group.
        marks: one of them is in every text that holds a match, letters in lower case where the pattern ignores case; (): no such text.
        scan: finds the same without `regex`, as (span of the match, span of the secret itself); None: `regex` is linear everywhere.
    """

    kind: str
    group: str
    regex: str
    check: Callable[[str], bool] | None = None
    spans: Callable[[str], list[Span]] | None = None
    marks: tuple[str, ...] = ()
    scan: Callable[[str], Iterable[tuple[Span, Span]]] | None = None


def _whole(scan: Callable[[str], Iterable[Span]]) -> Callable[[str], Iterator[tuple[Span, Span]]]:
    """The match is the secret."""
    return lambda text: ((span, span) for span in scan(text))


def _has_digit(text: str) -> bool:
    return any(c.isdigit() for c in text)


PATTERNS: tuple[Pattern, ...] = (
    Pattern("private_key", SECRET, r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s:,\\-]{16,}?-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----", marks=("PRIVATE KEY",), scan=_whole(private_keys)),
    Pattern("github_token", SECRET, r"\b(?:gh[pousr]_[A-Za-z0-9]{16,255}|github_pat_[A-Za-z0-9_]{20,255})", marks=("gh", "github_pat_")),
    Pattern("copilot_token", SECRET, r"\btid=[A-Za-z0-9-]{6,};[^\s\"'\\<>]{16,}", marks=("tid=",)),
    Pattern("rightseat_key", SECRET, r"\brsk_[a-z2-7]{10}_[a-z2-7]{38}", marks=("rsk_",)),
    Pattern("anthropic_key", SECRET, r"\bsk-ant-[A-Za-z0-9_-]{16,}", marks=("sk-ant-",)),
    Pattern("openai_key", SECRET, r"\bsk-(?:proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{20,}", _has_digit, marks=("sk-",)),
    Pattern("aws_access_key", SECRET, r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b", marks=("AKIA", "ASIA", "ABIA", "ACCA")),
    Pattern("google_api_key", SECRET, r"\bAIza[0-9A-Za-z_-]{35}", marks=("AIza",)),
    Pattern("google_oauth_token", SECRET, r"\bya29\.[0-9A-Za-z_-]{20,}", marks=("ya29.",)),
    Pattern("google_oauth_secret", SECRET, r"\bGOCSPX-[0-9A-Za-z_-]{20,}", marks=("GOCSPX-",)),
    Pattern("slack_token", SECRET, r"\b(?:xox[abeoprs]-[0-9A-Za-z-]{10,}|xapp-[0-9]-[0-9A-Za-z-]{10,})", marks=("xox", "xapp-")),
    Pattern("slack_webhook", SECRET, r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_+-]{20,}", marks=("hooks.slack.com",)),
    Pattern("discord_webhook", SECRET, r"https://(?:canary\.|ptb\.)?discord(?:app)?\.com/api/webhooks/[0-9]{15,}/[A-Za-z0-9_-]{30,}", marks=("/api/webhooks/",)),
    Pattern("stripe_key", SECRET, r"\b(?:[sr]k_(?:live|test|prod)_[0-9A-Za-z]{10,}|whsec_[0-9A-Za-z+/=]{20,})", marks=("k_", "whsec_")),
    Pattern("twilio_key", SECRET, r"\b(?:SK|AC)[0-9a-f]{32}\b", marks=("SK", "AC")),
    Pattern("sendgrid_key", SECRET, r"\bSG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}", marks=("SG.",)),
    Pattern("mailgun_key", SECRET, r"\bkey-[0-9a-f]{32}\b", marks=("key-",)),
    Pattern("mailchimp_key", SECRET, r"\b[0-9a-f]{32}-us[0-9]{1,2}\b", marks=("-us",)),
    Pattern("gitlab_token", SECRET, r"\bgl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat)-[0-9A-Za-z_.-]{20,}", marks=("gl",)),
    Pattern("npm_token", SECRET, r"\bnpm_[0-9A-Za-z]{36}", marks=("npm_",)),
    Pattern("pypi_token", SECRET, r"\bpypi-[0-9A-Za-z_-]{32,}", marks=("pypi-",)),
    Pattern("docker_token", SECRET, r"\bdckr_(?:pat|oat)_[0-9A-Za-z_-]{20,}", marks=("dckr_",)),
    Pattern("huggingface_token", SECRET, r"\b(?:hf_|api_org_)[A-Za-z0-9]{30,}", marks=("hf_", "api_org_")),
    Pattern("digitalocean_token", SECRET, r"\bdo[opr]_v1_[0-9a-f]{64}", marks=("_v1_",)),
    Pattern("azure_storage_key", SECRET, r"AccountKey=([0-9A-Za-z+/]{40,}={0,2})", marks=("AccountKey=",)),
    Pattern("azure_client_secret", SECRET, r"\b[0-9A-Za-z_~.]{3}[0-9]Q~[0-9A-Za-z_~.-]{31,34}", marks=("Q~",)),
    Pattern("azure_sas", SECRET, r"[?&]sig=([0-9A-Za-z%]{30,})", marks=("sig=",)),
    Pattern("telegram_token", SECRET, r"\b[0-9]{8,10}:AA[0-9A-Za-z_-]{33}", marks=(":AA",)),
    Pattern("shopify_token", SECRET, r"\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", marks=("shp",)),
    Pattern("square_token", SECRET, r"\bsq0(?:atp|csp|idp)-[0-9A-Za-z_-]{22,}", marks=("sq0",)),
    Pattern("databricks_token", SECRET, r"\bdapi[0-9a-f]{32}", marks=("dapi",)),
    Pattern("linear_key", SECRET, r"\blin_(?:api|oauth)_[0-9A-Za-z]{32,}", marks=("lin_",)),
    Pattern("notion_token", SECRET, r"\b(?:ntn_[0-9A-Za-z]{40,}|secret_[0-9A-Za-z]{43}\b)", marks=("ntn_", "secret_")),
    Pattern("atlassian_token", SECRET, r"\bATATT3[0-9A-Za-z_=-]{40,}", marks=("ATATT3",)),
    Pattern("vault_token", SECRET, r"\bhv[sbr]\.[0-9A-Za-z_-]{24,}", marks=("hv",)),
    Pattern("terraform_token", SECRET, r"\b[0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_=-]{40,}", marks=(".atlasv1.",)),
    Pattern("new_relic_key", SECRET, r"\bNRAK-[0-9A-Z]{27}", marks=("NRAK-",)),
    Pattern("grafana_token", SECRET, r"\bgl(?:sa|c)_[0-9A-Za-z+/=_]{32,}", marks=("gl",)),
    Pattern("sentry_token", SECRET, r"\bsntr(?:ys|yu)_[0-9A-Za-z+/=_]{40,}", marks=("sntr",)),
    Pattern("heroku_key", SECRET, r"\bHRKU-[0-9A-Za-z_-]{36,}", marks=("HRKU-",)),
    Pattern("doppler_token", SECRET, r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[0-9A-Za-z._-]{30,}", marks=("dp.",)),
    Pattern("postman_key", SECRET, r"\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}", marks=("PMAK-",)),
    Pattern("groq_key", SECRET, r"\b(?:gsk|xai|pplx|r8|csk|fw|nvapi)[_-][0-9A-Za-z_-]{32,}", _has_digit, marks=("gsk", "xai", "pplx", "r8", "csk", "fw", "nvapi")),
    Pattern("age_key", SECRET, r"\bAGE-SECRET-KEY-1[0-9A-Z]{50,}", marks=("AGE-SECRET-KEY-1",)),
    Pattern("jwt", SECRET, r"\beyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}", marks=(".eyJ",), scan=_whole(jwts)),
    Pattern("url_password", SECRET, r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:@/\"'<>]{1,100}:([^\s@/\"'<>]{3,200})@", marks=("://",)),
    Pattern("bearer", SECRET, r"(?i)\b(?:bearer|token|basic)[ \t]+([A-Za-z0-9._~+/-]{20,}={0,2})", is_random, marks=("bearer", "token", "basic")),
    Pattern("named_secret", SECRET, r"""(?i)\b[a-z0-9_.-]{0,40}(?:api[_-]?key|apikey|secret|token|passwd|password|pwd|credential|auth[_-]?key|access[_-]?key|private[_-]?key)(?:s|[_-]?(?:id|key|value|base64|prod|production|dev|test|live|staging|[0-9]{1,3}))?(?:[ \t]{0,40}["'])?[ \t]{0,3}(?:=>|:=|[=:])[ \t]{0,40}["'`]?([^\s"'`,;<>(){}\[\]]{8,500})""", marks=("key", "secret", "token", "passw", "pwd", "credential"), check=is_random, scan=named_secrets),
    Pattern("email", PERSONAL, r"\b[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}\b", marks=("@",)),
    Pattern("card", PERSONAL, r"\b[2-6](?:[ -]?[0-9]){12,60}\b", spans=cards),
    Pattern("ssn", PERSONAL, r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", is_ssn),
    Pattern("iban", PERSONAL, r"\b[A-Z]{2}[0-9]{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?\b", is_iban),
    Pattern("phone", PERSONAL, r"\+[0-9]{1,3}(?:[ .-]?\(?[0-9]{1,4}\)?){2,5}\b|\([0-9]{2,4}\)[ ]?[0-9]{3,4}[ .-][0-9]{3,4}\b|\b[0-9]{3}[.-][0-9]{3}[.-][0-9]{4}\b", is_phone),
)  # fmt: skip

SECRETS = frozenset(p.kind for p in PATTERNS if p.group == SECRET)
PERSONAL_DATA = frozenset(p.kind for p in PATTERNS if p.group == PERSONAL)
