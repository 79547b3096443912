"""Secrets of every kind, made by a seed and true to their forms, so that none stands in the source. For tests."""

import random
import string

WORD = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits


def planted(seed: int = 1) -> list[tuple[str, str]]:
    """(kind, text that holds it): several of each kind. What must not be left is the text's longest run, or the whole."""
    chance = random.Random(seed)

    def some(alphabet: str, n: int) -> str:
        text = "".join(chance.choices(alphabet, k=n - 3))
        return text + (
            chance.choice("qzx") + chance.choice("QZX") + chance.choice("379")
            if alphabet == WORD
            else "".join(chance.choices(alphabet, k=3))
        )

    def luhn(prefix: str, n: int) -> str:
        body = prefix + "".join(chance.choices(string.digits, k=n - len(prefix) - 1))
        for check in string.digits:
            total = 0
            for i, digit in enumerate(reversed(body + check)):
                d = int(digit) * (2 if i % 2 else 1)
                total += d - 9 if d > 9 else d
            if total % 10 == 0:
                return body + check
        raise AssertionError

    def iban(country: str, n: int) -> str:
        body = "".join(chance.choices(string.digits, k=n))
        number = int("".join(str(int(c, 36)) for c in body + country + "00"))
        return f"{country}{98 - number % 97:02d}{body}"

    def spaced(text: str, n: int = 4, sep: str = " ") -> str:
        return sep.join(text[i : i + n] for i in range(0, len(text), n))

    def key(kind: str) -> str:
        lines = "\n".join(some(WORD + "+/", 64) for _ in range(12))
        return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"

    def jwt() -> str:
        return f"eyJ{some(WORD, 30)}.eyJ{some(WORD, 60)}.{some(WORD, 43)}"

    found: list[tuple[str, str]] = []
    for _ in range(4):
        found += [
            *(("private_key", key(kind)) for kind in ("", "RSA ", "OPENSSH ")),
            *(("github_token", f"{prefix}_{some(WORD, 36)}") for prefix in ("ghp", "gho", "ghu", "ghs", "ghr")),
            ("github_token", f"github_pat_{some(WORD, 82)}"),
            ("copilot_token", f"tid={some(HEX, 32)};exp=1700000000;sku=x;st=dotcom:{some(HEX, 64)}"),
            (
                "rightseat_key",
                "rsk_"
                + "".join(chance.choices("abcdefghijklmnopqrstuvwxyz234567", k=10))
                + "_"
                + "".join(chance.choices("abcdefghijklmnopqrstuvwxyz234567", k=38)),
            ),
            ("anthropic_key", f"sk-ant-api03-{some(WORD, 90)}"),
            ("openai_key", f"sk-proj-{some(WORD, 48)}"),
            ("openai_key", f"sk-{some(WORD, 48)}"),
            ("aws_access_key", f"AKIA{''.join(chance.choices('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', k=16))}"),
            ("google_api_key", f"AIza{some(WORD, 35)}"),
            ("google_oauth_token", f"ya29.{some(WORD, 60)}"),
            ("google_oauth_secret", f"GOCSPX-{some(WORD, 28)}"),
            ("slack_token", f"xoxb-{some(string.digits, 12)}-{some(WORD, 24)}"),
            ("slack_webhook", f"https://hooks.slack.com/services/T{some(UPPER, 8)}/B{some(UPPER, 8)}/{some(WORD, 24)}"),
            ("discord_webhook", f"https://discord.com/api/webhooks/{some(string.digits, 18)}/{some(WORD, 68)}"),
            ("stripe_key", f"sk_live_{some(WORD, 24)}"),
            ("stripe_key", f"rk_test_{some(WORD, 24)}"),
            ("twilio_key", f"SK{some(HEX, 32)}"),
            ("sendgrid_key", f"SG.{some(WORD, 22)}.{some(WORD, 43)}"),
            ("mailgun_key", f"key-{some(HEX, 32)}"),
            ("mailchimp_key", f"{some(HEX, 32)}-us12"),
            ("gitlab_token", f"glpat-{some(WORD, 20)}"),
            ("npm_token", f"npm_{some(WORD, 36)}"),
            ("pypi_token", f"pypi-AgEIcHlwaS5vcmc{some(WORD, 60)}"),
            ("docker_token", f"dckr_pat_{some(WORD, 27)}"),
            ("huggingface_token", f"hf_{some(WORD, 34)}"),
            ("digitalocean_token", f"dop_v1_{some(HEX, 64)}"),
            ("azure_storage_key", f"AccountKey={some(WORD, 86)}=="),
            ("azure_client_secret", f"{some(WORD, 3)}8Q~{some(WORD, 34)}"),
            ("azure_sas", f"https://x.blob.core.windows.net/c?sv=2022&sig={some(WORD, 44)}"),
            ("telegram_token", f"{some(string.digits, 10)}:AA{some(WORD, 33)}"),
            ("shopify_token", f"shpat_{some(HEX, 32)}"),
            ("square_token", f"sq0atp-{some(WORD, 22)}"),
            ("databricks_token", f"dapi{some(HEX, 32)}"),
            ("linear_key", f"lin_api_{some(WORD, 40)}"),
            ("notion_token", f"ntn_{some(WORD, 46)}"),
            ("atlassian_token", f"ATATT3{some(WORD, 60)}"),
            ("vault_token", f"hvs.{some(WORD, 24)}"),
            ("terraform_token", f"{some(WORD, 14)}.atlasv1.{some(WORD, 60)}"),
            ("new_relic_key", f"NRAK-{some(UPPER, 27)}"),
            ("grafana_token", f"glsa_{some(WORD, 32)}_{some(HEX, 8)}"),
            ("sentry_token", f"sntrys_{some(WORD, 60)}"),
            ("heroku_key", f"HRKU-{some(WORD, 40)}"),
            ("doppler_token", f"dp.pt.{some(WORD, 43)}"),
            ("postman_key", f"PMAK-{some(HEX, 24)}-{some(HEX, 34)}"),
            ("groq_key", f"gsk_{some(WORD, 52)}"),
            ("age_key", f"AGE-SECRET-KEY-1{some(UPPER, 58)}"),
            ("jwt", jwt()),
            ("url_password", f"postgres://admin:{some(WORD, 16)}@db.internal:5432/x"),
            ("bearer", f"Authorization: Bearer {some(WORD, 40)}"),
            ("named_secret", f"DATABASE_PASSWORD={some(WORD, 18)}"),
            ("named_secret", f'"client_secret": "{some(WORD, 24)}"'),
            ("email", f"{some(string.ascii_lowercase, 8)}.x@mail.example.org"),
            ("card", luhn("4", 16)),
            ("card", spaced(luhn("52", 16))),
            ("card", luhn("34", 15)),
            ("card", spaced(luhn("6011", 16), 4, "-")),
            ("ssn", f"{chance.randint(100, 665):03d}-{chance.randint(1, 99):02d}-{chance.randint(1, 9999):04d}"),
            ("iban", iban("DE", 18)),
            ("iban", spaced(iban("FR", 23))),
            ("phone", f"+1 (555) {chance.randint(200, 999)}-{chance.randint(1000, 9999)}"),
            ("phone", f"+49{some(string.digits, 11)}"),
        ]
    return found
