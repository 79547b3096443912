"""Keys come from a stated order of places, and never print themselves."""

import contextlib
import copy
import json
import pickle
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import keyring
import keyring.backend
import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from rightseat import ConfigError
from rightseat.commands.root import cli
from rightseat.gateway.config import load_settings
from rightseat.security import sources
from rightseat.security.sealed import SealedFile
from rightseat.security.secret import Secret
from rightseat.security.sources import AzureVault, Keyring, default_sources, find_secret, unsafe_backend

VALUE = "s3cret-value-of-a-key-0123456789"
PASS = Secret("correct horse battery")


class Ring(keyring.backend.KeyringBackend):
    """A keyring in memory: the operating system's is not to be had in a test."""

    priority = 10

    def __init__(self):
        super().__init__()
        self.held = {}

    def get_password(self, service, username):
        return self.held.get((service, username))

    def set_password(self, service, username, password):
        self.held[service, username] = password


@pytest.fixture
def ring():
    before, ring = keyring.get_keyring(), Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


class TestSecret:
    def test_it_never_prints_itself(self):
        secret = Secret(VALUE)
        shown = [
            str(secret),
            repr(secret),
            f"{secret}",
            f"{secret:>10}",
            f"{secret}",
            f"{secret!r}",
            str([secret]),
            str({"a": secret}),
        ]
        assert not [text for text in shown if VALUE in text]
        assert secret.reveal() == VALUE
        assert VALUE not in json.dumps({"key": secret}, default=str)

    def test_it_is_not_written_down(self):
        for write in (pickle.dumps, json.dumps, msgspec.json.encode, msgspec.msgpack.encode):
            with pytest.raises(TypeError):
                write(Secret(VALUE))
        assert not hasattr(Secret(VALUE), "__dict__")
        assert copy.deepcopy(Secret(VALUE)) == Secret(VALUE)

    def test_a_traceback_with_locals_does_not_show_it(self):
        from rich.console import Console
        from rich.traceback import Traceback

        def fail(key):
            raise ValueError("no")

        console = Console(record=True, width=200)
        try:
            fail(Secret(VALUE))
        except ValueError:
            console.print(Traceback(show_locals=True))
        assert "fail" in console.export_text(clear=False)
        assert VALUE not in console.export_text()

    def test_two_are_equal_if_their_texts_are(self):
        assert Secret("a") == Secret("a") != Secret("b")
        assert Secret("a") != "a"
        assert len({Secret("a"), Secret("a")}) == 1
        assert not Secret("")


class TestOrder:
    def test_the_environment_goes_first_then_a_file_then_the_keyring_then_the_encrypted_file(self, tmp_path, ring):
        named = tmp_path / "named"
        named.write_text("from-named-file\n")
        SealedFile(tmp_path / "secrets.json", PASS).set("MY_KEY", Secret("from-sealed"))
        ring.set_password("rightseat", "MY_KEY", "from-keyring")
        env = {
            "MY_KEY": "from-environment",
            "MY_KEY_FILE": str(named),
            "RIGHTSEAT_HOME": str(tmp_path),
            "RIGHTSEAT_SECRETS_PASSPHRASE": PASS.reveal(),
        }
        found = []
        for gone in ("MY_KEY", "MY_KEY_FILE", None, "RIGHTSEAT_SECRETS_PASSPHRASE"):
            found.append(find_secret("MY_KEY", environment=env).reveal())
            if gone is None:
                ring.held.clear()
            else:
                env.pop(gone)
        assert found == ["from-environment", "from-named-file", "from-keyring", "from-sealed"]
        assert find_secret("MY_KEY", environment=env) is None

    @pytest.mark.parametrize("name", ["", "../x", "a b", "1x", "x" * 200, "a\n"])
    def test_a_name_that_is_none_is_refused(self, name):
        with pytest.raises(ConfigError, match="secret's name"):
            find_secret(name, environment={})

    @pytest.mark.parametrize(
        ("content", "said"),
        [(b"", "is empty"), (b"\xff\xfe", "UTF-8"), (b"x" * 70_000, "larger"), (None, "cannot be read")],
    )
    def test_a_file_that_cannot_be_used_is_named_and_not_passed_over(self, tmp_path, content, said):
        path = tmp_path / "key"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=said) as e:
            find_secret("MY_KEY", environment={"MY_KEY_FILE": str(path)})
        assert "MY_KEY_FILE" in str(e.value)

    def test_settings_take_secrets_by_name_and_by_file(self, tmp_path):
        (tmp_path / "management").write_text("m" * 20 + "\n")
        (tmp_path / "s.toml").write_text(f'keys = ["secret:CLIENT_KEY"]\nhome = "{tmp_path}"\n')
        env = {"CLIENT_KEY": "c" * 20, "RIGHTSEAT_MANAGEMENT_KEY_FILE": str(tmp_path / "management")}
        found = load_settings(tmp_path / "s.toml", env)
        assert (found.keys, found.management_key) == (("c" * 20,), "m" * 20)
        with pytest.raises(ConfigError, match=r"keys\[0\]: there is no secret 'CLIENT_KEY'"):
            load_settings(tmp_path / "s.toml", {"RIGHTSEAT_KEYRING": "off"})


class TestKeyring:
    def test_a_backend_that_stores_plain_text_is_refused(self, ring, caplog):
        class PlaintextKeyring(Ring):
            priority = 11

        keyring.set_keyring(PlaintextKeyring())
        with pytest.raises(ConfigError, match="stores plain text"):
            Keyring().set("MY_KEY", Secret(VALUE))
        assert Keyring().get("MY_KEY") is None
        assert "stores plain text" in caplog.text

    def test_a_chain_with_one_is_refused_too(self):
        class PlaintextKeyring(Ring):
            priority = 1

        class Chain:
            backends = (Ring(), PlaintextKeyring())

        assert "plain text" in unsafe_backend(Chain())
        assert unsafe_backend(Ring()) == ""

    def test_without_any_keyring_it_is_passed_over(self):
        import keyring.backends.fail

        before = keyring.get_keyring()
        keyring.set_keyring(keyring.backends.fail.Keyring())
        try:
            assert Keyring().get("MY_KEY") is None
        finally:
            keyring.set_keyring(before)


class TestSealedFile:
    def test_it_keeps_secrets_and_nobody_else_reads_them(self, tmp_path):
        path = tmp_path / "deep" / "secrets.json"
        file = SealedFile(path, PASS)
        assert file.names() == []
        file.set("A", Secret(VALUE))
        file.set("B", Secret("other"))
        assert (file.get("A"), file.names()) == (Secret(VALUE), ["A", "B"])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        text = path.read_text()
        assert VALUE not in text
        assert '"A"' not in text
        assert file.remove("A") is True
        assert file.remove("A") is False
        assert file.get("A") is None

    def test_a_new_passphrase_opens_it_and_the_old_one_no_more(self, tmp_path):
        path = tmp_path / "s"
        old = SealedFile(path, PASS)
        old.set("A", Secret(VALUE))
        assert old.rotate(Secret("another passphrase")) == 1
        assert SealedFile(path, Secret("another passphrase")).get("A") == Secret(VALUE)
        assert old.get("A") == Secret(VALUE)
        with pytest.raises(ConfigError, match="passphrase is wrong"):
            SealedFile(path, PASS).get("A")

    def test_every_save_has_its_own_salt_and_nonce(self, tmp_path):
        file, seen = SealedFile(tmp_path / "s", PASS), set()
        for _ in range(5):
            file.set("A", Secret(VALUE))
            value = json.loads((tmp_path / "s").read_text())
            seen |= {value["kdf"]["salt"], value["nonce"]}
        assert len(seen) == 10

    @settings(max_examples=25, deadline=None)
    @given(data=st.data())
    def test_a_change_anywhere_is_noticed_and_never_opens(self, tmp_path_factory, data):
        path = tmp_path_factory.mktemp("sealed") / "s"
        file = SealedFile(path, PASS)
        file.set("A", Secret(VALUE))
        raw = bytearray(path.read_bytes())
        value = json.loads(raw)
        value["kdf"] |= {"memory_kib": 8192, "iterations": 1}  # a cheaper head is not the one that was sealed
        cheaper = json.dumps(value).encode()
        where = data.draw(st.integers(0, len(raw) - 1))
        raw[where] ^= data.draw(st.integers(1, 255))
        for broken in (bytes(raw), cheaper, bytes(raw[:where])):
            path.write_bytes(broken)
            with contextlib.suppress(ConfigError):
                assert file.get("A") == Secret(VALUE)  # white space may change
        path.write_bytes(cheaper)
        with pytest.raises(ConfigError):
            file.get("A")

    @pytest.mark.parametrize(
        "change",
        [{"memory_kib": 1 << 40}, {"iterations": 1 << 30}, {"lanes": 1000}, {"name": "none"}, {"salt": "AA=="}],
    )
    def test_a_strange_file_does_not_choose_its_price(self, tmp_path, change):
        file = SealedFile(tmp_path / "s", PASS)
        file.set("A", Secret(VALUE))
        value = json.loads((tmp_path / "s").read_text())
        value["kdf"] |= change
        (tmp_path / "s").write_text(json.dumps(value))
        with pytest.raises(ConfigError, match="damaged"):
            file.get("A")

    def test_a_short_passphrase_is_refused(self, tmp_path):
        with pytest.raises(ConfigError, match="at least 8"):
            SealedFile(tmp_path / "s", Secret("short"))


class _VaultApi(BaseHTTPRequestHandler):
    """The two reads of HashiCorp Vault's HTTP API that matter here."""

    def do_GET(self):
        status, body = 404, {"errors": []}
        if self.headers.get("X-Vault-Token") != "vault-token-0123456789":
            status, body = 403, {"errors": ["permission denied"]}
        elif self.path == "/v1/secret/data/rightseat":
            status, body = 200, {"data": {"data": {"MY_KEY": VALUE}, "metadata": {"version": 3}}}
        self.answer(status, body)

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class _AzureApi(_VaultApi):
    def do_GET(self):
        if not self.headers.get("Authorization"):
            self.send_response(401)
            self.send_header(
                "www-authenticate",
                'Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://vault.azure.net"',
            )
            self.send_header("content-length", "0")
            self.end_headers()
        elif self.path.startswith("/secrets/my-key/"):
            self.answer(200, {"value": VALUE, "id": "https://localhost/secrets/my-key/1", "attributes": {}})
        else:
            self.answer(404, {"error": {"code": "SecretNotFound", "message": "none"}})


@pytest.fixture
def serve_api():
    servers = []

    def start(handler, context=None):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestVault:
    def env(self, port, token="vault-token-0123456789"):
        return {
            "VAULT_ADDR": f"http://127.0.0.1:{port}",
            "VAULT_TOKEN": token,
            "RIGHTSEAT_VAULT_PATH": "secret/rightseat",
            "RIGHTSEAT_KEYRING": "off",
        }

    def test_a_field_of_a_secret(self, serve_api):
        env = self.env(serve_api(_VaultApi))
        assert find_secret("MY_KEY", environment=env) == Secret(VALUE)
        assert find_secret("OTHER_KEY", environment=env) is None
        assert find_secret("MY_KEY", environment={**env, "RIGHTSEAT_VAULT_PATH": "secret/none"}) is None

    def test_a_wrong_token_or_no_server_is_an_error_and_shows_no_token(self, serve_api):
        for env in (self.env(serve_api(_VaultApi), "wrong-token-9876543210"), self.env(1)):
            with pytest.raises(ConfigError, match="Vault at") as e:
                find_secret("MY_KEY", environment=env)
            assert "token-" not in str(e.value)

    @pytest.mark.parametrize("change", [{"VAULT_ADDR": ""}, {"VAULT_TOKEN": ""}, {"RIGHTSEAT_VAULT_PATH": "secret"}])
    def test_half_a_setup_is_named(self, change):
        with pytest.raises(ConfigError, match="RIGHTSEAT_VAULT_PATH"):
            default_sources({**self.env(1), **change})


class TestAzure:
    def test_a_secret_with_dashes(self, serve_api, tmp_path, monkeypatch):
        context = _self_signed(tmp_path)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
        vault = AzureVault(f"https://localhost:{serve_api(_AzureApi, context)}", _Credential())
        assert vault.get("MY_KEY") == Secret(VALUE)
        assert vault.get("OTHER_KEY") is None

    def test_plain_http_is_refused(self):
        with pytest.raises(ConfigError, match="https"):
            AzureVault("http://localhost")

    def test_it_is_in_the_order_when_it_is_set_up(self):
        env = {"RIGHTSEAT_AZURE_VAULT": "https://x.vault.azure.net", "RIGHTSEAT_KEYRING": "off"}
        assert [s.label for s in default_sources(env)] == [
            "environment",
            "file named by the environment",
            "azure",
            "encrypted file",
        ]


class _Credential:
    def get_token(self, *_, **__):
        from azure.core.credentials import AccessToken

        return AccessToken("azure-token", int(datetime.now(UTC).timestamp()) + 3600)


def _self_signed(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


class TestCommand:
    @pytest.fixture
    def run(self, tmp_path):
        def call(*arguments, typed=None, **env):
            base = {
                "RIGHTSEAT_HOME": str(tmp_path),
                "RIGHTSEAT_SECRETS_PASSPHRASE": PASS.reveal(),
                "RIGHTSEAT_KEYRING": "off",
            }
            return CliRunner().invoke(cli, ["secrets", *arguments], input=typed, env={**base, **env})

        return call

    def test_set_get_list_rotate_remove(self, run):
        assert run("set", "MY_KEY", typed=VALUE + "\n").exit_code == 0
        found = run("get", "MY_KEY")
        assert (found.stdout, "encrypted file" in found.stderr) == (VALUE + "\n", True)
        assert run("list").stdout == "MY_KEY\n"
        assert run("rotate", RIGHTSEAT_SECRETS_NEW_PASSPHRASE="a new passphrase").exit_code == 0
        assert "passphrase is wrong" in run("get", "MY_KEY").stderr
        assert run("remove", "MY_KEY", RIGHTSEAT_SECRETS_PASSPHRASE="a new passphrase").exit_code == 0
        assert run("list", RIGHTSEAT_SECRETS_PASSPHRASE="a new passphrase").stdout == ""

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["get", "NONE"], "there is no secret"),
            (["set", "a/b"], "secret's name"),
            (["set", "A"], "standard input is empty"),
            (["remove", "A"], "there is no secret"),
        ],
    )
    def test_what_is_wrong_is_said(self, run, arguments, said):
        done = run(*arguments, typed="")
        assert done.exit_code == 1
        assert said in done.stderr

    def test_without_a_passphrase_and_a_terminal_it_says_what_to_set(self, run):
        done = run("list", RIGHTSEAT_SECRETS_PASSPHRASE="")
        assert "RIGHTSEAT_SECRETS_PASSPHRASE_FILE" in done.stderr

    def test_to_the_keyring(self, run, ring):
        assert run("set", "MY_KEY", "--to", "keyring", typed=VALUE).exit_code == 0
        assert ring.held == {("rightseat", "MY_KEY"): VALUE}


async def test_the_sdk_takes_its_key_from_there(tmp_path, monkeypatch, simulator):
    from rightseat import CopilotSDK

    (tmp_path / "token").write_text("gho_simulated\n")
    monkeypatch.delenv("COPILOT_API_KEY", raising=False)
    monkeypatch.setenv("COPILOT_API_KEY_FILE", str(tmp_path / "token"))
    async with CopilotSDK(host=simulator.url, home=tmp_path) as sdk:
        assert (await sdk.chat("hello")).text


def test_two_writers_lose_nothing(tmp_path):
    path = tmp_path / "s"

    def write(i):
        SealedFile(path, PASS).set(f"K{i}", Secret(str(i)))

    threads = [threading.Thread(target=write, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(SealedFile(path, PASS).names()) == 6
    assert not list(tmp_path.glob(".new-*"))
    assert sources.secrets_file({"RIGHTSEAT_HOME": str(tmp_path)}) == tmp_path / "secrets.json"
