"""The web page: files of this package, read once, with headers that let it load nothing from anywhere else."""

from __future__ import annotations

import functools
from pathlib import Path

from rightseat.gateway.request import Request

_FILES = {
    "page": ("index.html", b"text/html; charset=utf-8"),
    "app.js": ("app.js", b"text/javascript; charset=utf-8"),
    "markdown.js": ("markdown.js", b"text/javascript; charset=utf-8"),
    "dashboard.js": ("dashboard.js", b"text/javascript; charset=utf-8"),
    "style.css": ("style.css", b"text/css; charset=utf-8"),
}
# Scripts, styles and connections of our own origin only; nothing inline; pictures also from what the user has chosen (CSP Level 3).
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-cache"),
]


async def page(request: Request) -> None:
    """Answer with a file of the page."""
    file, kind = _FILES[request.route.name]
    await request.exchange.respond(200, _read(file), _HEADERS, kind)


@functools.cache
def _read(file: str) -> bytes:
    return (Path(__file__).parent.parent / "ui" / file).read_bytes()
