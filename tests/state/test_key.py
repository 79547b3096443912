"""A key: what its text is, what is kept of it, what it may do."""

import stat

import pytest

from rightseat.errors import ConfigError
from rightseat.gateway.access.keys import KeyRing
from rightseat.state.key_record import Key, digest_of, new_text, split
from rightseat.state.opening import open_state

PEPPER = b"pepper"


async def pepper(_):
    """What keys the hashes."""
    return b"pepper"


@pytest.fixture
async def ring(tmp_path):
    """A ring of keys over a file."""
    async with open_state(tmp_path / "keys.sqlite") as state:
        yield KeyRing(state.keys, pepper)


class TestKey:
    def test_a_text_has_an_id_and_a_secret(self):
        text, key_id, secret = new_text()
        assert split(text) == (key_id, secret)
        assert len({new_text()[0] for _ in range(100)}) == 100
        for wrong in ("", text[:-1], text + "a", text.upper(), "sk-abc", text.replace("rsk_", "rsk-")):
            assert split(wrong) is None

    async def test_only_a_keyed_hash_is_kept(self, ring, tmp_path):
        key, text = await ring.create("ann")
        secret = split(text)[1]
        assert key.fits(secret, PEPPER, 0)
        assert not key.fits(secret, b"another", 0)
        assert not key.fits(secret[:-1] + "a", PEPPER, 0) or secret.endswith("a")
        assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert stat.S_IMODE((tmp_path / "keys.sqlite").stat().st_mode) == 0o600

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"name": ""}, "name"), ({"name": "a\nb"}, "name"), ({"scopes": ()}, "scopes"), ({"scopes": ("all",)}, "scopes: all"), ({"models": ("gpt 4",)}, "models"),
            ({"requests_per_minute": 0}, "requests_per_minute"), ({"daily_tokens": -1}, "daily_tokens"), ({"colour": 1}, "colour"),
        ],
    )  # fmt: skip
    async def test_what_makes_no_sense_is_named(self, ring, fields, said):
        with pytest.raises(ConfigError, match=said):
            await ring.create(**{"name": "ann", **fields})
        assert await ring.list() == []

    @pytest.mark.parametrize(
        ("patterns", "name", "allowed"),
        [
            ((), "anything", True),
            (("gpt-*",), "gpt-4.1", True),
            (("gpt-*",), "claude-sonnet-4.5", False),
            (("claude-*", "gpt-5"), "gpt-5", True),
            (("gpt-5",), "gpt-5-mini", False),
            (("*mini",), "gpt-5-mini", True),
        ],
    )
    def test_models_by_pattern(self, patterns, name, allowed):
        assert Key(id="k", name="n", digest="", created_at=0, models=patterns).allows(name) is allowed

    def test_states(self):
        key = Key(id="k", name="n", digest="", created_at=0, expires_at=10)
        assert [key.state(now) for now in (0, 9.9, 10, 11)] == ["active", "active", "expired", "expired"]

    @pytest.mark.parametrize("field", ["daily_tokens", "monthly_tokens"])
    def test_a_budget_of_zero_is_a_budget(self, field):
        assert Key(id="k", name="n", digest="", created_at=0, **{field: 0}).limits_tokens
        assert not Key(id="k", name="n", digest="", created_at=0).limits_tokens


def test_the_hash_is_keyed_and_as_it_always_was():
    """Keys that were made must go on working: the hash may not change."""
    assert digest_of("a" * 38, b"pepper") == digest_of("a" * 38, b"pepper")
    assert digest_of("a" * 38, b"pepper") != digest_of("a" * 38, b"paprika")
    assert digest_of("abc", b"pepper") == "c37f5f0ee43a4d98ff9d4b9a7c783f0541d5ee301ca593b36edeea33e7f5a076"
