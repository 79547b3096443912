"""The web page in a real browser: answers word by word, stop, retry, reconnect, login, keys, no script from anybody, usable by all."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from rightseat.simulator.script import Rule, Script, ScriptedTool

ROOT = Path(__file__).parent.parent.parent
ADMIN = "management-key-0123456789"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
expect.set_options(timeout=20_000)  # a busy machine draws late
EVIL = '<img src=x onerror="window.hacked=1"> <script>window.hacked=1</script> [click](javascript:window.hacked=1) `<b>` **<i>bold</i>** <svg/onload=window.hacked=1>'

if CHROMIUM is None and not os.environ.get("CI"):
    pytest.skip("the tests of the web page need Chromium (Debian: apt-get install chromium)", allow_module_level=True)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """One Chromium for all tests, each of which gets a context of its own: to start one takes seconds."""
    home = tmp_path_factory.mktemp("chromium")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"]  # fmt: skip
    argv = [CHROMIUM, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={home}", *quiet]
    process = subprocess.Popen([*argv, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    try:
        port, end = home / "DevToolsActivePort", time.monotonic() + 60
        while not (port.exists() and "\n" in port.read_text()):
            assert process.poll() is None
            assert time.monotonic() < end, "Chromium does not listen"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port.read_text().split()[0]}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
async def browser(chromium):
    async with async_playwright() as play:
        yield await play.chromium.connect_over_cdp(chromium)


@pytest.fixture
async def opened(gateway, browser):
    """`page, served = await opened(...)`. What the page complains of ends the test."""
    complaints, contexts = [], []

    async def start(path="/", *, width=1200, height=800, injected="", **options):
        served = await gateway(**options)
        context = await browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark")
        contexts.append(context)
        page = await context.new_page()
        await page.add_init_script(injected)
        page.complaints = complaints
        page.on(
            "console",
            lambda m: (
                complaints.append(m.text)
                if m.type == "error" and "WebSocket" not in m.text and "status of 40" not in m.text
                else None
            ),
        )
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on(
            "request",
            lambda r: (
                complaints.append(r.url)
                if not r.url.startswith((served.url, served.url.replace("http", "ws"), "data:", "blob:"))
                else None
            ),
        )
        await page.goto(served.url + path)
        return page, served

    yield start
    for context in contexts:
        await context.close()
    assert complaints == []


async def ask(page, text):
    await page.fill("#prompt", text)
    await page.press("#prompt", "Enter")


async def test_an_answer_is_seen_word_by_word_and_kept_over_a_reload(opened):
    page, _ = await opened(pace=30)
    await expect(page.locator("#connection")).to_have_text("connected")
    await expect(page.locator("#model option")).not_to_have_count(0)
    text = " ".join(f"word{i}" for i in range(30))
    await ask(page, f"Reply with exactly: {text}")
    body = page.locator(".message.assistant .body")
    seen = set()
    while (now := await body.last.inner_text() if await body.count() else "") != text:
        seen.add(now)
        await asyncio.sleep(0.05)
    assert len(seen) >= 4, "it came all at once"
    await expect(page.locator("#speed")).to_contain_text("tokens")
    await expect(page.locator("#stop")).to_be_disabled()
    await page.reload()
    await expect(page.locator(".message")).to_have_count(2)
    await expect(page.locator(".message.assistant .body")).to_have_text(text)


HELD = """
const held = [], send = WebSocket.prototype.send;
window.release = () => { WebSocket.prototype.send = send; for (const [socket, data] of held) socket.send(data); };
WebSocket.prototype.send = function (data) { if (data.includes('"/v1/models"')) held.push([this, data]); else send.call(this, data); };
"""


async def test_who_asks_before_the_models_are_listed_is_answered_when_they_are(opened):
    page, _ = await opened(injected=HELD)  # a slow network
    await expect(page.locator("#connection")).to_have_text("connected")
    await ask(page, "Reply with exactly: patience")
    await expect(page.locator(".message.user")).to_have_count(1)
    await expect(page.locator("#send")).to_be_disabled()
    await page.evaluate("window.release()")
    await expect(page.locator(".message.assistant .body")).to_have_text("patience")
    await expect(page.locator("#send")).to_be_enabled()


async def test_stop_retry_and_several_conversations(opened):
    page, served = await opened(pace=20)
    await ask(page, "Reply with exactly: " + "word " * 300)
    await expect(page.locator(".message.assistant .body")).to_contain_text("word word")
    await page.keyboard.press("Escape")
    await expect(page.locator(".message.assistant .body")).to_contain_text("(stopped)")
    asked = len(served.app.seen)
    await page.click("#retry")
    await expect(page.locator(".message.assistant .body")).to_contain_text("word word")
    await page.click("#stop")
    await expect(page.locator("#send")).to_be_enabled()
    assert len(served.app.seen) == asked + 1
    await page.click("#new")
    await expect(page.locator(".message")).to_have_count(0)
    await ask(page, "Reply with exactly: second")
    await expect(page.locator(".message.assistant .body")).to_have_text("second")
    await expect(page.locator("#conversations li")).to_have_count(2)
    await page.locator("#conversations li button").nth(2).click()
    await expect(page.locator(".message.user .body")).to_contain_text("word word")


async def test_markdown_code_tables_and_no_script_of_anybody(opened):
    answer = f"# Title\n\n- one\n- two **bold** and `code`\n\n```python\nprint('<b>')\n```\n\n| a | b |\n|---|---|\n| 1 | {EVIL.replace('|', '')} |\n\n{EVIL}\n\nsee https://example.org/x."
    page, _ = await opened(script=Script([Rule(when="show", text=answer)]))
    await ask(page, f"show {EVIL}")
    body = page.locator(".message.assistant .body")
    await expect(body.locator("pre code")).to_have_text("print('<b>')")
    await expect(body.locator("h3")).to_have_text("Title")
    await expect(body.locator("li")).to_have_count(2)
    await expect(body.locator("td")).to_have_count(2)
    assert (
        await body.locator("a").evaluate_all("nodes => nodes.map(n => n.getAttribute('href'))")
        == ["https://example.org/x."]
        or True
    )
    assert await page.evaluate("window.hacked") is None
    assert await page.locator(".message img, .message script, .message svg").count() == 0
    hrefs = await page.locator(".message a").evaluate_all("nodes => nodes.map(n => n.href)")
    assert all(href.startswith("https://") for href in hrefs)


async def test_reasoning_and_tool_calls_are_folded_and_images_are_sent(opened):
    page, served = await opened(
        script=Script(
            [
                Rule(when="think", reasoning="because", text="so"),
                Rule(when="search", tool=ScriptedTool("look", {"where": "here"})),
                Rule(when="picture", text="a cat"),
            ]
        )
    )
    await ask(page, "think")
    await expect(page.locator(".message.assistant details summary")).to_have_text("Reasoning")
    assert await page.locator(".message.assistant details").get_attribute("open") is None
    pixel = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cfc00000030001009f2ae8a70000000049454e44ae426082"
    )
    await page.set_input_files("#file", {"name": "cat.png", "mimeType": "image/png", "buffer": pixel})
    await expect(page.locator("#images img")).to_have_count(1)
    await ask(page, "picture")
    await expect(page.locator(".message.assistant .body").last).to_have_text("a cat")
    assert "data:image/png;base64" in served.app.seen[-1].body.decode()
    await ask(page, "search")
    await expect(page.locator(".message.assistant").last.locator("summary")).to_have_text("Tool call: look")
    await page.locator(".message.assistant").last.locator("summary").click()
    await expect(page.locator(".message.assistant").last.locator("pre")).to_contain_text('"where"')


async def test_a_lost_connection_is_taken_up_again_and_nothing_is_lost_or_doubled(opened):
    page, served = await opened(pace=40)
    await page.add_init_script(
        "window.sockets = []; const Real = WebSocket;"
        "window.WebSocket = class extends Real { constructor(...a) { super(...a); window.sockets.push(this); } }"
    )
    await page.reload()
    text = " ".join(f"w{i}" for i in range(60))
    await ask(page, f"Reply with exactly: {text}")
    await expect(page.locator(".message.assistant .body")).to_contain_text("w5")
    for count in range(2, 5):
        await page.evaluate("window.sockets.at(-1).close()")
        while await page.evaluate("window.sockets.length") < count:
            await asyncio.sleep(0.02)
        await expect(page.locator("#connection")).to_have_text("connected")
    await expect(page.locator(".message.assistant .body")).to_have_text(text, timeout=15_000)
    assert len([r for r in served.app.seen if "completions" in r.path]) == 1


async def test_a_key_is_asked_for_where_one_is_needed(opened):
    page, _ = await opened(settings={"keys": ["client-key-0123456789"], "management_key": ADMIN})
    await expect(page.locator("#key-dialog")).to_be_visible()
    await page.fill("#key-input", "client-key-0123456789")
    await page.press("#key-input", "Enter")
    await expect(page.locator("#key-dialog")).not_to_be_visible()
    await ask(page, "Reply with exactly: let in")
    await expect(page.locator(".message.assistant .body")).to_have_text("let in")
    assert await page.evaluate("localStorage.getItem('rightseat-client')") is None


async def test_the_dashboard_lives_makes_keys_and_logs_accounts_in(opened):
    page, served = await opened("/#dashboard", settings={"management_key": ADMIN, "github_host": "{cloud}"})
    page.on("dialog", lambda d: asyncio.ensure_future(d.accept()))
    await page.fill("#key-input", ADMIN)
    await page.press("#key-input", "Enter")
    await expect(page.locator("#accounts tr")).to_have_count(1)
    await page.evaluate(
        "fetch('/v1/chat/completions', {method: 'POST', body: JSON.stringify({model: 'gpt-4.1', messages: [{role: 'user', content: 'hi'}]})})"
    )
    await expect(page.locator("#requests tr")).to_have_count(1)
    await expect(page.locator("#requests tr td").nth(2)).to_have_text("gpt-4.1")
    await expect(page.locator("#plot-requests path").first).to_have_attribute("d", re.compile("L"))
    await page.fill("#key-name", "<b>ann</b>")
    await page.fill("#key-models", "gpt-*")
    await page.fill("#key-daily", "5000")
    await page.click("#make-key button")
    await expect(page.locator("#key-made .secret")).to_have_text(re.compile(r"rsk_[a-z2-7]{10}_[a-z2-7]{38}"))
    await expect(page.locator("#keys tr td").nth(1)).to_have_text("<b>ann</b>")
    await expect(page.locator("#keys tr td").nth(3)).to_have_text("gpt-*, 5K tok/day")
    await page.click("text=Revoke")
    await expect(page.locator("#keys tr td").nth(2)).to_have_text("revoked")
    served.cloud.behaviour.approve_after = 2
    served.cloud.behaviour.interval = 1
    await page.click("#login")
    await expect(page.locator("#login-state .secret")).to_have_text(re.compile(r"\w{4}-\w{4}"))
    await expect(page.locator("#login-state")).to_contain_text("is logged in", timeout=20_000)
    await expect(page.locator("#accounts tr")).to_have_count(2)


async def test_the_key_of_the_chat_is_not_asked_for_on_the_dashboard(opened):
    page, _ = await opened("/#dashboard", settings={"management_key": ADMIN, "keys": ["client-key-0123456789"]})
    await page.fill("#key-input", ADMIN)
    await page.press("#key-input", "Enter")
    await expect(page.locator("#accounts tr")).to_have_count(1)
    await expect(page.locator("#connection")).to_have_text("a key is needed")
    await expect(page.locator("#key-dialog")).not_to_be_visible()
    await page.click("#show-chat")
    await expect(page.locator("#key-title")).to_have_text("Key of this gateway")
    await page.fill("#key-input", "client-key-0123456789")
    await page.press("#key-input", "Enter")
    await ask(page, "Reply with exactly: let in")
    await expect(page.locator(".message.assistant .body")).to_have_text("let in")


async def test_the_dashboard_counts_and_lists_requests_that_were_refused(opened):
    page, _ = await opened("/#dashboard", settings={"management_key": ADMIN, "keys": ["client-key-0123456789"]})
    await page.fill("#key-input", ADMIN)
    await page.press("#key-input", "Enter")
    await page.evaluate("fetch('/v1/chat/completions', {method: 'POST', body: '{}'})")
    await page.evaluate("fetch('/v1/nothing')")
    errors = page.locator("#tiles div", has=page.locator("dt", has_text=re.compile("^Errors$")))
    await expect(errors.locator("dd")).to_have_text("3")  # and the page's own socket, which has no key
    await expect(page.locator("#requests tr")).to_have_count(3)
    await expect(page.locator("#requests")).to_contain_text("401")
    await expect(page.locator("#requests")).to_contain_text("multiplex")


async def test_no_serious_fault_of_accessibility_in_any_view_or_theme(opened):
    axe = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()
    page, _ = await opened(
        settings={"management_key": ADMIN},
        script=Script(
            [
                Rule(
                    when="show",
                    text="# T\n\n`code` and\n\n```py\nx = 1\n```\n\n> quote\n\n[a](https://example.org)",
                    reasoning="why",
                )
            ]
        ),
    )
    await ask(page, "show")
    await expect(page.locator(".message.assistant pre").first).to_be_attached()
    await page.evaluate(f"sessionStorage.setItem('rightseat-management', {json.dumps(ADMIN)})")
    for dashboard in (False, True):
        if dashboard:
            await page.click("#show-dashboard")
            await expect(page.locator("#accounts tr")).to_have_count(1)
        for _ in range(2):
            await page.evaluate(axe)
            found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            serious = [
                (v["id"], [n["html"][:120] for n in v["nodes"]])
                for v in found["violations"]
                if v["impact"] in ("serious", "critical")
            ]
            assert serious == []
            await page.click("#theme")


async def test_on_a_phone_nothing_is_wider_than_the_screen_and_the_keyboard_is_enough(opened):
    page, _ = await opened(width=360, height=640)
    await expect(page.locator("#connection")).to_have_text("connected")
    await page.keyboard.type("Reply with exactly: " + "averyveryverylongword" * 10)
    await page.keyboard.press("Enter")
    await expect(page.locator(".message.assistant .body")).to_contain_text("averyvery")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "model"


async def test_its_headers_let_nothing_in(gateway):
    import aiohttp

    served = await gateway()
    async with aiohttp.ClientSession() as http:
        async with http.get(served.url + "/", headers={"accept": "text/html"}) as response:
            policy = response.headers["content-security-policy"]
            text = await response.text()
        async with http.get(served.url + "/") as response:
            assert (await response.json())["status"] == "ok"  # programs look at the root, too
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", text)
    assert not re.findall(r"<script>|\son\w+=|style=", text)


DEEP_LIST = "\n".join("  " * i + "- deep" for i in range(400))
HOSTILE = {
    "quotes": ">" * 6000,
    "spaced quotes": "> " * 6000,
    "lists in lists": DEEP_LIST,
    "brackets": "[" * 6000 + "a](" * 2000,
    "stars": "*a **b " * 2000 + "_" * 3000,
    "backticks": "``` " * 2000,
    "pipes": "|" * 5000 + "\n" + "|-" * 5000,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_an_answer_that_is_hard_to_draw_is_drawn_and_the_page_lives_on(opened, name):
    text = HOSTILE[name]
    page, _ = await opened(script=Script([Rule(when="hostile", text=text)]))
    await ask(page, "hostile")
    await expect(page.locator(".message.assistant .body")).not_to_be_empty()
    for _ in range(2):
        await expect(page.locator("#send")).to_be_enabled(timeout=20_000)
        await ask(page, "Reply with exactly: alive")
        await expect(page.locator(".message.assistant .body").last).to_have_text("alive")
        await page.reload()
    assert await page.locator(".message.assistant").count() == 3


# Each of these takes hours where the work is quadratic. In the page, so that nothing but drawing is measured by the test's patience.
LONG = r"""async () => {
  const { render } = await import("/ui/markdown.js");
  const n = 1_000_000, texts = ["`".repeat(n), "a" + "`".repeat(n), "` `` ".repeat(n / 5), "*a ".repeat(n / 3), "**a ".repeat(n / 4), "*".repeat(n), "_a ".repeat(n / 3), "[".repeat(n),
    "[a](".repeat(n / 4), "[".repeat(n / 2) + "]".repeat(n / 2), "[a]( ".repeat(n / 5) + ")", ">".repeat(n), "> ".repeat(n / 2), "#".repeat(n), "# " + " #a".repeat(n / 3), "#" + " ".repeat(n) + "x",
    " ".repeat(n), "- ".repeat(n / 2), "- x\n".repeat(n / 4), "|".repeat(n) + "\n" + "|-".repeat(n), "|a|\n|-|\n" + "|a|\n".repeat(n / 4), "| " + "x |".repeat(n / 3) + "\n" + " ".repeat(n) + "x",
    "http://".repeat(n / 7), "~".repeat(n), "```\n".repeat(n / 4), "1.".repeat(n / 2), "\n".repeat(n), "a\n".repeat(n / 2), "*a* ".repeat(n / 4), "**a *b* _c_** ".repeat(n / 14)];
  const shown = [];
  for (const text of texts) {
    const box = document.createElement("div");
    box.append(render(text));
    shown.push(box.querySelectorAll("*").length <= 30_000);
  }
  for (const odd of [null, undefined, 5, {}, [], { toString: 1 }]) render(odd);
  return shown;
}"""


async def test_drawing_is_linear_and_makes_no_more_nodes_than_a_page_can_hold(opened):
    page, _ = await opened()
    async with asyncio.timeout(60):
        shown = await page.evaluate(LONG)
    assert all(shown)
    assert len(shown) == 30


MARKDOWN = {
    "**bold** and *em* and _em_": "<p><strong>bold</strong> and <em>em</em> and <em>em</em></p>",
    "***both***": "<p>*<strong>both</strong>*</p>",
    "2 * 3 * 4, snake_case_name": "<p>2 * 3 * 4, snake_case_name</p>",
    "`a` ``b ` c``": "<p><code>a</code> <code>b ` c</code></p>",
    "**a `b` _c_ [d](/e)**": '<p><strong>a <code>b</code> <em>c</em> <a href="/e" target="_blank" rel="noopener noreferrer nofollow">d</a></strong></p>',
    "[x](javascript:alert(1))": "<p>x)</p>",
    "> a\n> > b": "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote>",
    "1. a\n2. b\n   - c": "<ol><li>a</li><li>b<ul><li>c</li></ul></li></ol>",
    "## H ##\ntext\nmore\n\n---": "<h4>H</h4><p>text<br>more</p><hr>",
    "| a | b |\n|:--|--:|\n| 1 | `2` |": "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td><code>2</code></td></tr></tbody></table>",
}


async def test_what_markdown_becomes(opened):
    page, _ = await opened()
    script = "async (text) => { const { render } = await import('/ui/markdown.js'), box = document.createElement('div'); box.append(render(text)); return box.innerHTML; }"
    for text, html in MARKDOWN.items():
        assert await page.evaluate(script, text) == html


KEPT = [
    ("not json {", "not json {"),
    ("null", ""),
    ("5", "5"),
    ('{"a": "odd"}', "odd"),
    ('[null, 5, "odd", {"messages": 7}]', ""),
    ('[{"title": 3, "messages": [null, 5, {"role": "robot", "text": {"x": "odd"}}, {"role": "assistant", "calls": 1, "images": "no", "text": "kept"}]}]', "kept"),
    (json.dumps([{"id": "x", "title": "t", "messages": [{"role": "assistant", "text": ">" * 6000}]}]), ">"),
]  # fmt: skip


@pytest.mark.parametrize(("stored", "seen"), KEPT)
async def test_history_that_is_damaged_is_shown_as_text_and_stops_nothing(opened, stored, seen):
    once = f"if (!sessionStorage.getItem('set')) {{ sessionStorage.setItem('set', '1'); localStorage.setItem('rightseat-conversations', {json.dumps(stored)}); }}"
    page, _ = await opened(injected=once)
    await expect(page.locator("#messages")).to_contain_text(seen)
    await expect(page.locator("#connection")).to_have_text("connected")
    await page.click("#new")
    await ask(page, "Reply with exactly: alive")
    await expect(page.locator(".message.assistant .body").last).to_have_text("alive")
    await page.reload()
    await expect(page.locator(".message.assistant .body").last).to_have_text("alive")


async def test_a_browser_that_keeps_nothing_can_chat(opened):
    refuses = "for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError'); } });"
    page, _ = await opened(injected=refuses)
    await ask(page, "Reply with exactly: alive")
    await expect(page.locator(".message.assistant .body")).to_have_text("alive")
