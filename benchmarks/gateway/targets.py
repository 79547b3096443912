"""What is measured: nginx, relays that do nothing else, ours in several settings, and the peers that are installed."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import PEERS
from rightseat.accounts.store import Account, FileStore

FAKE, FAKE_TLS, COLLECTOR = 8931, 8929, 8930
_NGINX = """
worker_processes 1; daemon off; pid %(state)s/nginx.pid; error_log %(state)s/error.log;
events { worker_connections 24000; }
http {
  access_log off; client_body_temp_path %(state)s; proxy_temp_path %(state)s; fastcgi_temp_path %(state)s;
  uwsgi_temp_path %(state)s; scgi_temp_path %(state)s; keepalive_requests 1000000; client_max_body_size 0;
  upstream fake { server 127.0.0.1:%(fake)d; keepalive 128; keepalive_requests 1000000; }
  server { listen 127.0.0.1:%(port)d; location / {
    proxy_pass %(scheme)s://fake; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 300;
    %(tls)s } }
}
"""
_NGINX_TLS = """proxy_ssl_server_name on; proxy_ssl_name localhost; proxy_ssl_verify on; proxy_ssl_session_reuse on;
    proxy_ssl_trusted_certificate %s; proxy_set_header Host localhost;"""
_QUIET = {
    "RIGHTSEAT_LOG": "off",
    "RIGHTSEAT_METRICS": "false",
    "RIGHTSEAT_REDACT_REQUESTS": "off",
    "RIGHTSEAT_SCREEN_REQUESTS": "off",
}
# What each feature adds to a gateway that observes nothing.
_FEATURES = {
    "log": {"RIGHTSEAT_LOG": "console"},
    "metrics": {"RIGHTSEAT_METRICS": "true"},
    "looking for secrets": {"RIGHTSEAT_REDACT_REQUESTS": "report"},
    "looking for injections": {"RIGHTSEAT_SCREEN_REQUESTS": "report"},
    "traces": {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{COLLECTOR}"},
}


@dataclass
class Target:
    """Something that is measured."""

    name: str
    port: int
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    path: str = "/v1/chat/completions"
    messages_path: str = ""  # of Anthropic's dialect; "": none
    headers: dict[str, str] = field(default_factory=dict)
    wholes: bool = True  # answers may be whole
    quick: bool = True  # can hold thousands of streams in a time that somebody waits for


@dataclass(frozen=True)
class Upstream:
    """Where the fake upstream is, over TCP or TLS, and a folder for the state of those who ask it."""

    home: Path
    authority: str = ""

    @property
    def port(self) -> int:
        return FAKE_TLS if self.authority else FAKE

    @property
    def address(self) -> str:
        return f"https://localhost:{FAKE_TLS}" if self.authority else f"http://127.0.0.1:{FAKE}"


def _nginx(at: Upstream) -> list[Target]:
    if (nginx := shutil.which("nginx")) is None:
        return []
    conf = at.home / "nginx.conf"
    tls = _NGINX_TLS % at.authority if at.authority else ""
    scheme = "https" if at.authority else "http"
    conf.write_text(_NGINX % {"state": at.home, "fake": at.port, "port": 8934, "scheme": scheme, "tls": tls})
    return [Target("nginx", 8934, [nginx, "-c", str(conf)], wholes=False, messages_path="/v1/messages")]


def _relays(at: Upstream) -> list[Target]:
    module = [sys.executable, "-m", "benchmarks.gateway.relays"]
    more = [at.authority] if at.authority else []
    return [
        Target("bare relay", 8941, [*module, "bare", "8941", str(at.port), *more], wholes=False),
        Target("ASGI and aiohttp", 8932, [*module, "asgi", "8932", str(at.port), *more], wholes=False),
    ]


def _ours(at: Upstream, name: str, port: int, **env: str) -> Target:
    argv = [sys.executable, "-m", "rightseat", "serve", "--port", str(port)]
    env = {"RIGHTSEAT_HOME": str(at.home), "RIGHTSEAT_CONNECTIONS": "20000"} | env
    if at.authority:
        env["SSL_CERT_FILE"] = at.authority
    return Target(name, port, argv, env, messages_path="/v1/messages")


def _peers(at: Upstream) -> list[Target]:
    found = []
    for i, peer in enumerate(PEERS):
        state = at.home / f"peer{i}"
        state.mkdir(exist_ok=True)
        if (how := peer.command(8950 + i, at.address, state)) is not None:
            argv, env = how
            env = {**env, "NODE_EXTRA_CA_CERTS": at.authority, "SSL_CERT_FILE": at.authority} if at.authority else env
            found.append(Target(peer.name, 8950 + i, argv, env, peer.path, "/v1/messages", peer.headers, quick=False))
    return found


def main_targets(at: Upstream, before: Path | None = None) -> list[Target]:
    """Those of the main table. Makes an account for ours."""
    FileStore(at.home).save(Account("bench", "gho_bench", host=at.address))
    found = [*_nginx(at), *_relays(at), _ours(at, "Rightseat", 8933)]
    if before is not None:
        found.append(_ours(at, "Rightseat, before", 8938, PYTHONPATH=str(before.resolve() / "src")))
    return [*found, _ours(at, "Rightseat, nothing observed", 8935, **_QUIET), *_peers(at)]


def feature_targets(at: Upstream) -> list[Target]:
    """A gateway that observes nothing, and one with each feature."""
    found = [_ours(at, "nothing observed", 8935, **_QUIET)]
    found += [_ours(at, f"+ {name}", 8960 + i, **(_QUIET | env)) for i, (name, env) in enumerate(_FEATURES.items())]
    home = at.home / "limited"  # of its own: where there is a key, every client must show one
    FileStore(home).save(Account("bench", "gho_bench", host=at.address))
    limited = _ours(at, "+ a key with limits", 8970, **(_QUIET | {"RIGHTSEAT_HOME": str(home)}))
    make = [*limited.argv[:3], "keys", "create", "bench", "--rpm", "1e9", "--daily", str(10**12)]
    made = subprocess.run(make, env={**os.environ, **limited.env}, capture_output=True, text=True, check=True)
    limited.headers["authorization"] = f"Bearer {made.stdout.strip()}"
    return [*found, limited]
