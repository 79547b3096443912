"""Bodies of requests: what they hold is counted, and however large they are, nobody else waits for them."""

import asyncio
import json
import random
import time

import msgspec
import pytest

from rightseat.gateway.http import body as by_structure
from rightseat.gateway.http import body_scan as by_signs
from rightseat.gateway.http.body import decode_body
from rightseat.wire.body import BadRequestError

MIB = 1024 * 1024


async def decode(data, messages=10_000, tools=1024):
    return await decode_body(data, messages, tools)


@pytest.mark.parametrize("field", ["messages", "input", "tools"])
@pytest.mark.parametrize("fill", [0, 2 * MIB])
async def test_messages_items_and_tools_are_counted(field, fill):
    def data(count):
        return msgspec.json.encode({"model": "m", "note": "x" * fill, field: [{"a": [1, {}]}] * count})

    assert len((await decode(data(50), 50, 50))[field]) == 50
    with pytest.raises(BadRequestError) as caught:
        await decode(data(51), 50, 50)
    assert caught.value.field == field
    assert "50" in str(caught.value)


def members(count):
    return b'{"metadata":{' + b",".join(b'"k%d":%d' % (i, i) for i in range(count)) + b"}}"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b'{"messages":[' + b",".join([b'{"role":"user","content":"x"}'] * 600_000) + b"]}", "messages"),
        (members(1_000_000), "metadata"),
        (b'{"input":[' + b",".join([b"1"] * 1_000_000) + b"]}", "input"),
        (b'{"a":[' + b",".join([b"[[],[]]"] * 400_000) + b"]}", "a"),
    ],
)
async def test_a_body_of_very_many_parts_is_refused_by_name(data, field):
    with pytest.raises(BadRequestError) as caught:
        await decode(data)
    assert caught.value.field == field


def large_bodies():
    text = 'word \\"quoted\\" \\\\ \\u00e9 \\ud83d\\ude00 é😀 ' * 40_000
    return {
        "a body at the limit of messages": msgspec.json.encode({"messages": [{"role": "user", "content": "x" * 200, "n": {"a": [1, 2, {"b": None}]}}] * 9_999, "fill": "y" * 9 * MIB}),
        "many values": msgspec.json.encode({"tools": [{"p": {f"k{i}-{j}": {"type": "string", "x": [True, 1.5, -2]} for j in range(40)}} for i in range(1000)]}),
        "a text": msgspec.json.encode({"messages": [{"role": "user", "content": "a" * 40 * MIB}]}),
        "a text of other letters": msgspec.json.encode({"messages": [{"role": "user", "content": "é😀" * 3 * MIB}]}),
        "a text with escapes": b'{"messages":[{"content":"' + (text * 8).encode() + b'"},7]}',
        "quotation marks": b'{"a":"' + b'\\"' * 5 * MIB + b'","b":"' + b"\\\\" * 5 * MIB + b'"}',
        "numbers": b'{"x":{"input":[' + b",".join([b"123456"] * 300_000) + b"]}}" + b" " * 9 * MIB,
    }  # fmt: skip


@pytest.mark.parametrize("name", list(large_bodies()))
async def test_a_large_body_is_what_it_would_be_at_once_and_gives_way(name):
    data = large_bodies()[name]
    turns, busy = 0, True

    async def others():
        nonlocal turns
        while busy:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.ensure_future(others())
    body = await decode(data)
    busy = False
    await beside
    assert body == msgspec.json.decode(data)
    assert turns >= (1 if name == "a text" else len(data) / (2 * MIB))


async def test_small_bodies_are_decoded_at_once():
    data = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "x" * 10_000}]})
    steps = decode_body(data, 10, 10)
    with pytest.raises(StopIteration) as done:
        steps.send(None)
    assert done.value.value == msgspec.json.decode(data)


BROKEN = [
    b"[%s]", b'{"a":[%s]', b'{"a":[%s]}}', b'{"a":[%s}', b'{"a":[%s,]}', b'{"a":[,%s]}', b'{"a":[%s],}', b'{"a":[%s] "b":1}', b'{"a":[%s]}x', b'{"a":[%s]} {}',
    b'{"a":[%s],"b"}', b'{"a":[%s],"b":"}', b'{"a":[%s],"b":"\\', b'{"a":[%s],,"b":1}', b"{[%s]:1}", b'{"a" [%s]}', b'{"a":x[%s]}', b'{"a":[%s]"x"}', b"%s", b'"%s"', b'{"a":[%s,\xff]}', b'{"a":["\xff",%s]}',
]  # fmt: skip


def with_sizes(monkeypatch, way, **sizes):
    """Bodies are decoded in small parts, along their structure or by looking at every sign."""
    monkeypatch.setattr(by_structure, "_SMALL", 0)
    monkeypatch.setattr(by_structure, "_HUGE", 10**6 if way == "structure" else -1)
    for name, size in sizes.items():
        for module in (by_structure, by_signs):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, size)


@pytest.mark.parametrize("way", ["structure", "signs"])
@pytest.mark.parametrize("shape", BROKEN)
@pytest.mark.parametrize("part", [b'{"b":"cd\\""},[1,2],{"e":[]}', b'"' + b"y" * 100 + b'"'])
async def test_a_large_body_that_is_no_json_object_is_refused(shape, part, way, monkeypatch):
    with_sizes(monkeypatch, way, LARGE=0, PART=8, _TEXT_PART=16)
    with pytest.raises(BadRequestError):
        await decode(shape.replace(b"%s", part))


async def test_nesting_is_bounded():
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b',"b":"' + b"x" * 9 * MIB + b'"}'
    with pytest.raises(BadRequestError, match="nested"):
        await decode(deep)
    large = b'"' + b"x" * 9 * MIB + b'"'
    for _ in range(100):
        large = b'{"a":' + large + b"}"
    with pytest.raises(BadRequestError, match="nested"):
        await decode(large)


def random_value(chance, depth=0):
    kind = chance.randrange(9 if depth < 5 else 6)
    text = "".join(chance.choices(['"', "\\", "é", "😀", "a", ",", "[", "}", "\n", "\u2028"], k=chance.randrange(12)))
    if kind >= 7:
        return {f"{text}{i}": random_value(chance, depth + 1) for i in range(chance.randrange(6))}
    if kind == 6:
        return [random_value(chance, depth + 1) for _ in range(chance.randrange(6))]
    return (None, True, chance.randrange(-1000, 1000), chance.random(), text, text * 30)[kind]


@pytest.mark.parametrize("way", ["structure", "signs"])
@pytest.mark.parametrize("seed", range(150))
async def test_any_body_decodes_in_parts_as_it_does_at_once(seed, way, monkeypatch):
    """With parts of a few bytes, so that every way of cutting is met."""
    chance = random.Random(seed)
    with_sizes(
        monkeypatch,
        way,
        LARGE=0,
        PART=chance.randrange(2, 60),
        _TEXT_PART=chance.randrange(13, 60),
        STEP=200,
        _LEVELS=chance.randrange(4),
    )
    value = {f"k{i}": random_value(chance) for i in range(8)}
    for data in (
        msgspec.json.encode(value),
        json.dumps(value, indent=chance.choice([None, 1])).encode(),
        msgspec.json.format(msgspec.json.encode(value)),
    ):
        assert await decode(data) == value
        cut = chance.randrange(1, len(data) - 1)
        try:
            expected = msgspec.json.decode(data[:cut] + data[cut + 1 :])
            assert await decode(data[:cut] + data[cut + 1 :]) == expected
        except msgspec.DecodeError:
            with pytest.raises(BadRequestError):
                await decode(data[:cut] + data[cut + 1 :])
        except UnicodeDecodeError:
            pass


@pytest.mark.parametrize("name", ["quotation marks", "many values"])
async def test_reading_takes_time_in_proportion(name):
    data = large_bodies()[name]
    began = time.process_time()
    await decode(data)
    assert time.process_time() - began < 10  # not the minutes of something quadratic
