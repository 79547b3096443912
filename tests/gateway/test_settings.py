"""Settings: every one is checked, what is wrong is refused by name and in plain words, and a reload knows what it may change."""

import logging
import math
import re
from pathlib import Path

import msgspec
import pytest

from rightseat import ConfigError
from rightseat.gateway.config import FROM_ENVIRONMENT, Settings, load_settings


@pytest.fixture
def read(tmp_path):
    def read(toml="", **environment):
        path = tmp_path / "s.toml"
        path.write_text(toml)
        return load_settings(path, environment)

    return read


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("prot = 1", "prot: no such setting; did you mean port?"),
        ("xyzzy = 1", "xyzzy: no such setting ("),
        ("[editor]\nuser_agnet = 'x'", "editor.user_agnet: no such setting; did you mean editor.user_agent?"),
        ("port = 'many'", "port: must be a whole number, not 'many'"),
        ("port = 1.5", "port: must be a whole number, not '1.5'"),
        ("port = true", "port: must be a whole number"),
        ("header_seconds = 'soon'", "header_seconds: must be a number, not 'soon'"),
        ("header_seconds = nan", "header_seconds: must be a finite number"),
        ("header_seconds = inf", "header_seconds: must be a finite number"),
        ("metrics = 'perhaps'", "metrics: must be true or false, not 'perhaps'"),
        ("log = 'loud'", "log: must be one of off, console, json, not 'loud'"),
        ("keys = 5", "keys: must be a list of strings"),
        ("aliases = 5", "aliases: must be a table of strings"),
        ("editor = 5", "editor: must be a table"),
        ("trusted_proxies = ['10.0.0.0/8', 'proxy.example']", r"trusted_proxies\[1\]: 'proxy.example' is not an address"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_by_name_in_our_words(read, toml, said):
    with pytest.raises(ConfigError, match=said.replace("?", r"\?").replace("(", r"\(")) as e:
        read(toml)
    for word in ("Object", "`", "Expected", "msgspec", "unknown field"):
        assert word not in str(e.value)


def test_the_place_of_a_wrong_setting_is_named(read):
    with pytest.raises(ConfigError, match=r"port: must be a whole number, not 'x' \(.*s\.toml\)"):
        read("port = 'x'")
    with pytest.raises(ConfigError, match=r"port: must be a whole number, not 'y' \(RIGHTSEAT_PORT\)"):
        read("port = 'x'", RIGHTSEAT_PORT="y")


def test_a_value_that_may_be_a_secret_is_not_in_the_error(read):
    for toml in ("keys = 'the-key-of-the-team'", "management_key = ['the-key-of-the-team']"):
        with pytest.raises(ConfigError) as e:
            read(toml)
        assert "the-key" not in str(e.value)


def test_an_unknown_variable_of_ours_is_named_with_the_nearest_known_one(read, caplog):
    with caplog.at_level(logging.WARNING, "rightseat"):
        read(RIGHTSEAT_PROT="a-value-that-is-secret", RIGHTSEAT_KEY_PEPPER="x", RIGHTSEAT_KEYS_FILE="", OTHER_PROT="1")
    assert [record.getMessage() for record in caplog.records] == [
        "the environment variable RIGHTSEAT_PROT is not a setting and is ignored; did you mean RIGHTSEAT_PORT?"
    ]


def test_every_plain_setting_has_a_variable(read):
    assert set(Settings.__struct_fields__) - set(FROM_ENVIRONMENT) == {"aliases", "editor"}
    found = read(
        RIGHTSEAT_TRUSTED_PROXIES="10.0.0.0/8, ::1", RIGHTSEAT_BODY_MEMORY="200000000", RIGHTSEAT_MAX_TOOLS="7"
    )
    assert (found.trusted_proxies, found.body_memory, found.max_tools) == (("10.0.0.0/8", "::1"), 200_000_000, 7)
    assert [str(network) for network in found.proxy_networks] == ["10.0.0.0/8", "::1/128"]


def test_limits_have_these_defaults_and_bounds():
    settings = Settings()
    names = ("connections_per_address", "body_memory", "socket_memory", "sockets_per_key", "max_messages", "max_tools")
    assert [getattr(settings, name) for name in names] == [4096, 2**27, 2**27, 100, 10_000, 1024]
    assert Settings(connections_per_address=0).connections_per_address == 0
    for name in names:
        with pytest.raises(ConfigError, match=f"^{name}: "):
            Settings(**{name: -1})
    with pytest.raises(ConfigError, match="^body_memory: must be at least body_limit"):
        Settings(body_memory=1000)
    with pytest.raises(ConfigError, match="^ping_seconds: "):
        Settings(ping_seconds=math.nan)


def test_a_reload_tells_what_it_may_change():
    old = Settings(keys=("the-key-of-the-team",))
    new = msgspec.structs.replace(
        old, keys=("another-key-of-the-team",), port=5000, aliases={"a": "b"}, log_level="debug"
    )
    changes = old.changes(new)
    assert set(changes.changed) == {"keys", "port", "aliases", "log_level"}
    assert changes.needs_restart == ("port",)
    assert tuple(changes) == (changes.changed, changes.needs_restart)
    assert old.changes(Settings(keys=("the-key-of-the-team",))).changed == ()
    assert "another-key" not in repr(changes)


def test_every_setting_is_documented():
    text = (Path(__file__).parent.parent.parent / "docs" / "gateway.md").read_text()
    table = text.partition("## Settings")[2].partition("\n## ")[0]
    named = set(re.findall(r"`\[?([a-z_]+)\]?`", table))
    assert set(Settings.__struct_fields__) <= named
    for name in Settings.__struct_fields__:
        assert name in (Settings.__doc__ or "")
