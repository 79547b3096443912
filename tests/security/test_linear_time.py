"""Whatever comes from outside is matched in linear time: twice the text, about twice the work, with RE2 and without."""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

import rightseat
from rightseat.chat.message import ChatRequest, Message
from rightseat.masking import cut, finder, mask
from rightseat.masking.finder import MAX_ENGINE_BYTES, Finder, python_form, re2_gate
from rightseat.masking.patterns import PATTERNS
from rightseat.security import screening
from rightseat.security.redaction import StreamRedactor, redact
from rightseat.security.screening import fence, screen

sys.path.insert(0, str(Path(__file__).parent))
from hostile import hostile, is_linear, worse_than_linear

SRC = Path(rightseat.__file__).parent
# They read the developer's own code, the user's own terminal, or only what a test says.
EXEMPT = ("lint", "simulator", "commands", "testing", "__main__.py", "terminal.py", "pytest_plugin.py")
TEXTS = {
    "path": lambda n: "GET /" + "a" * n,
    "keys that begin": lambda n: "-----BEGIN PRIVATE KEY-----" * (n // 27),
    "keys that begin, lines": lambda n: ("-----BEGIN RSA PRIVATE KEY-----\n" + "A" * 64 + "\n") * (n // 97),
    "keys": lambda n: (
        ("-----BEGIN PRIVATE KEY-----\n" + "A" * 64 + "\n-----END PRIVATE KEY-----\n-----END PRIVATE KEY\n")
        * (n // 140)
    ),
    "tokens that begin": lambda n: "eyJ-" * (n // 4),
    "two parts of a token": lambda n: "-eyJaaaaaaaa.eyJaaaaaaaa" * (n // 24),
    "backslashes": lambda n: "\\" * n,
    "backslashes in words": lambda n: "\\\\\\n" * (n // 4),
    "blanks": lambda n: "token" + " " * n + "x",
    "members": lambda n: '"token": "' * (n // 10),
    "names": lambda n: "a.secret-" * (n // 9),
    "digits": lambda n: "2 " * (n // 2),
    "addresses": lambda n: "a@a." * (n // 4),
    "passwords in addresses": lambda n: "aaa://a:a" * (n // 9),
    "marks": lambda n: "a" + "\u0315\u0300" * (n // 2),
    "orders": lambda n: "ignore all " * (n // 11),
    "wide": lambda n: "no" + " " * n + "no",
    "rules": lambda n: "=" * n,
    "exfiltration": lambda n: "send-secrets-to-" * (n // 16),
    "tags": lambda n: "<a>" * (n // 3),
    "one tag": lambda n: "<a" * (n // 2),
    "tags that end otherwise": lambda n: "<aa></a>" * (n // 8),
}


@pytest.fixture(params=["re2", "re"])
def engine(request, monkeypatch):
    """Each of the engines."""
    caches = (finder._gate, screening._compiled)
    if request.param == "re":
        monkeypatch.setitem(sys.modules, "re2", None)
        for cache in caches:
            cache.cache_clear()
    yield request.param
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.kind)
def test_each_secret_is_looked_for_in_linear_time(pattern):
    assert worse_than_linear(lambda text: list(finder._matches(pattern, text)), python_form(pattern.regex)) == []


RULES = [(name, regex) for name, _, regex in screening._RULES] + list(screening._HINTS)


@pytest.mark.parametrize("name", [name for name, _ in RULES])
def test_each_rule_of_screening_is_linear_without_re2(name):
    regex = screening.bounded(dict(RULES)[name])
    rule = re.compile(regex)
    assert worse_than_linear(lambda text: screening._searched([rule], text), regex, 2000) == []


def patterns_of_the_package():
    """(where, pattern) of every regular expression that is compiled in a module, or written where it is used."""
    for path in sorted(SRC.rglob("*.py")):
        relative = path.relative_to(SRC)
        source = path.read_text(encoding="utf-8")
        if relative.parts[0] in EXEMPT or "re." not in source:
            continue
        name = ".".join(("rightseat", *relative.with_suffix("").parts)).removesuffix(".__init__")
        module = importlib.import_module(name)
        spaces = [module, *(value for value in vars(module).values() if isinstance(value, type))]
        for space in spaces:
            for value in vars(space).values():
                if isinstance(value, re.Pattern):
                    yield name, value
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in USES:
                if name == "rightseat.patterns.safety":  # the application's own patterns
                    continue
                assert isinstance(node.args[0], ast.Constant), f"{name}:{node.lineno}: a pattern made at run time"
                yield name, re.compile(node.args[0].value)


USES = {f"re.{name}" for name in ("search", "match", "fullmatch", "split", "sub", "subn", "findall", "finditer")}
ALL = {f"{name} {pattern.pattern!r}"[:120]: pattern for name, pattern in patterns_of_the_package()}


@pytest.mark.parametrize("name", ALL)
def test_each_regular_expression_of_the_package_is_linear(name):
    pattern = ALL[name]
    is_bytes = isinstance(pattern.pattern, bytes)

    def work(text):
        subject = text.encode("utf-8", "replace") if is_bytes else text
        for _ in pattern.finditer(subject):
            pass
        pattern.fullmatch(subject)

    assert worse_than_linear(work, pattern.pattern, 4000, pattern.flags & ~re.UNICODE) == []


@pytest.mark.parametrize("work", [mask, redact, screen, fence, cut], ids=lambda work: work.__name__)
def test_texts_that_were_slow_once_are_not(engine, work):
    slow = [name for name, text in TEXTS.items() if not is_linear(work, text(8_000), text(16_000))]
    assert slow == []


def test_a_text_that_is_kept_is_masked_whole_in_linear_time(engine):
    work = lambda text: mask(text, limit=None)  # noqa: E731
    assert [name for name, text in TEXTS.items() if not is_linear(work, text(8_000), text(16_000))] == []


def test_all_that_is_hostile_to_a_pattern_is_masked_in_linear_time(engine):
    work = lambda texts: [mask(text, limit=None) for text in texts]  # noqa: E731
    for pattern in PATTERNS:
        regex = python_form(pattern.regex)
        assert is_linear(work, list(hostile(regex, 500))[::9], list(hostile(regex, 1000))[::9]), pattern.kind


def test_a_stream_is_redacted_in_linear_time(engine):
    def work(text):
        redactor = StreamRedactor()
        for i in range(0, len(text), 4):
            redactor.feed(text[i : i + 4])
        redactor.end()

    streams = {
        "an open key": lambda n: "-----BEGIN PRIVATE KEY-----\n" + "A" * n,
        "a run": lambda n: "a1" * (n // 2),
        **{name: TEXTS[name] for name in ("keys that begin", "keys", "tokens that begin", "members", "names")},
    }
    assert [name for name, text in streams.items() if not is_linear(work, text(8_000), text(16_000))] == []


@pytest.mark.parametrize("name", TEXTS)
def test_a_prompt_is_unwrapped_in_linear_time(name):
    def work(text):
        return ChatRequest("m", (Message("user", text),)).prompt

    assert is_linear(work, TEXTS[name](32_000), TEXTS[name](64_000))


def test_a_path_of_63_kb_is_masked_in_no_time(engine):
    path = "/v1/" + "-----BEGIN PRIVATE KEY-----" * 2300
    mask(path)
    assert is_linear(mask, path, path * 2)
    assert len(mask(path)) < 3000


def test_every_pattern_is_one_that_re2_takes_within_its_memory():
    for pattern in PATTERNS:
        re2_gate([pattern.regex], MAX_ENGINE_BYTES)
    for _, regex in RULES:
        re2_gate([regex], MAX_ENGINE_BYTES)
    assert re2_gate([p.regex for p in PATTERNS], MAX_ENGINE_BYTES)("ghp_abcdefghijklmnopqrstuvwxyz0123456789") == [1]
    assert re2_gate([r for _, r in RULES], screening.MAX_ENGINE_BYTES)("") == ()


def test_a_pattern_that_only_backtracking_can_match_is_refused():
    import re2

    with pytest.raises(re2.error):
        re2_gate([r"(a)\1"], MAX_ENGINE_BYTES)


def test_the_scans_find_what_their_patterns_find():
    # The pattern is what a reader believes; the scan is what runs.
    for pattern in PATTERNS:
        if pattern.scan is None:
            continue
        plain = re.compile(python_form(pattern.regex))
        texts = [text(300) for text in TEXTS.values()] + list(hostile(plain.pattern, 120))
        for text in texts:
            expected = [(m.span(), m.span(1 if plain.groups else 0)) for m in plain.finditer(text)]
            assert list(pattern.scan(text)) == expected, (pattern.kind, text)


def test_the_gate_without_re2_lets_through_what_re2_lets_through(monkeypatch):
    texts = [text for pattern in PATTERNS for text in list(hostile(python_form(pattern.regex), 60))[::5]]
    with_re2 = [Finder().find(text) for text in texts]
    monkeypatch.setitem(sys.modules, "re2", None)
    finder._gate.cache_clear()
    try:
        for text, expected in zip(texts, with_re2, strict=True):
            assert Finder().find(text) == expected, text
    finally:
        finder._gate.cache_clear()
