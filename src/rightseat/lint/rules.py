"""The rules, one function each: a file in, findings out. Codes never change their meaning."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

from msgspec import Struct

from rightseat.lint.names import File, asks, chain, inner, keyword, streams

_IGNORE = re.compile(r"#\s*rightseat:\s*ignore(?:\[([A-Z0-9,\s]+)\])?")
_IGNORE_FILE = re.compile(r"^#\s*rightseat:\s*ignore-file(?:\[([A-Z0-9,\s]+)\])?", re.MULTILINE)


class Finding(Struct, frozen=True, order=True):
    """Something that is likely wrong.

    Attributes:
        path: the file.
        line, column: where, both from 1.
        code: the rule, such as "RS101".
        message: what is there.
    """

    path: str
    line: int
    column: int
    code: str
    message: str


class Rule(Struct, frozen=True):
    """A rule.

    Attributes:
        code: never changes its meaning.
        name: the anti-pattern.
        why: what goes wrong.
        instead: what to write.
        check: finds it: (file) -> (node, message).
    """

    code: str
    name: str
    why: str
    instead: str
    check: Callable[[File], Iterator[tuple[ast.AST, str]]]


def check_source(source: str, path: str = "<text>", *, codes: frozenset[str] | None = None) -> list[Finding]:
    """The findings in a text of Python, in order.

    Args:
        source: the text.
        path: for messages; the name also tells whether it is a test.
        codes: only these rules; None: all.

    Raises:
        SyntaxError: it is not Python.
    """
    file = File(ast.parse(source, path), path)
    if not file.relevant:
        return []
    ignored_here, ignored_lines = _suppressed(source)
    found = set()
    for rule in RULES:
        if (codes is not None and rule.code not in codes) or rule.code in ignored_here or "*" in ignored_here:
            continue
        for node, message in rule.check(file):
            line = getattr(node, "lineno", 1)
            lines = range(line, (getattr(node, "end_lineno", None) or line) + 1) if _is_short(node) else (line,)
            if not any(rule.code in ignored_lines.get(n, ()) or "*" in ignored_lines.get(n, ()) for n in lines):
                found.add(Finding(path, line, getattr(node, "col_offset", 0) + 1, rule.code, message))
    return sorted(found)


def _is_short(node: ast.AST) -> bool:
    """A comment anywhere in the node counts: an expression over several lines, but not a whole function."""
    return isinstance(node, ast.expr)


def _suppressed(source: str) -> tuple[frozenset[str], dict[int, frozenset[str]]]:
    """Codes that a file says to leave out, and those of single lines; "*" for all."""
    whole: set[str] = set()
    lines: dict[int, frozenset[str]] = {}
    try:
        tokens = list(tokenize.generate_tokens(StringIO(source).readline))
    except tokenize.TokenError:
        tokens = []
    for token in tokens:
        if token.type == tokenize.COMMENT:
            if match := _IGNORE_FILE.match(token.string):
                whole |= _codes(match[1])
            elif match := _IGNORE.search(token.string):
                lines[token.start[0]] = lines.get(token.start[0], frozenset()) | _codes(match[1])
    return frozenset(whole), lines


def _codes(text: str | None) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip()) if text else frozenset("*")


# RS101 unbounded accumulation


def _unbounded(file: File) -> Iterator[tuple[ast.AST, str]]:
    for loop in file.walk(ast.AsyncFor, ast.For):
        assert isinstance(loop, (ast.AsyncFor, ast.For))
        if not _iterates_stream(file, loop) or _has_bound(loop):
            continue
        for node in ast.walk(loop):
            if (
                isinstance(node, ast.AugAssign)
                and isinstance(node.op, ast.Add)
                and _from_chunk(node.value, loop.target)
            ):
                yield node, "a streamed answer is added up without a limit"
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("append", "extend", "write")
                and node.args
                and node.func.attr != "write"
                and _from_chunk(node.args[0], loop.target)
            ):
                yield node, "the pieces of a streamed answer are kept without a limit"


def _iterates_stream(file: File, loop: ast.AsyncFor | ast.For) -> bool:
    source = inner(loop.iter)
    if streams(source):
        return True
    if not isinstance(source, ast.Name):
        return False
    where: ast.AST = file.function_of(loop) or file.tree
    for node in ast.walk(where):
        if isinstance(node, ast.Assign) and streams(inner(node.value)):
            if any(isinstance(t, ast.Name) and t.id == source.id for t in node.targets):
                return True
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                bound = item.optional_vars
                if isinstance(bound, ast.Name) and bound.id == source.id and streams(inner(item.context_expr)):
                    return True
    return False


def _has_bound(loop: ast.AST) -> bool:
    """The loop looks at a length or a count, or leaves."""
    for node in ast.walk(loop):
        if isinstance(node, (ast.Break, ast.Return, ast.Raise)):
            return True
        if isinstance(node, ast.Call) and chain(node.func)[-1] == "clear":
            return True
    return False


def _from_chunk(value: ast.AST, target: ast.AST) -> bool:
    if isinstance(value, ast.Call) and chain(value.func)[-1] in ("len", "count", "sum"):
        return False  # a number
    names = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
    return any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(value))


# RS102 swallowed errors


def _swallowed(file: File) -> Iterator[tuple[ast.AST, str]]:
    for node in file.walk(ast.Try):
        assert isinstance(node, ast.Try)
        if not any(asks(child) for part in node.body for child in ast.walk(part)):
            continue
        for handler in node.handlers:
            if _is_broad(handler.type) and _does_nothing(handler):
                yield handler, "whatever goes wrong with this call is swallowed"
    for node in file.walk(ast.With, ast.AsyncWith):
        assert isinstance(node, (ast.With, ast.AsyncWith))
        for item in node.items:
            call = item.context_expr
            if (
                isinstance(call, ast.Call)
                and chain(call.func)[-1] == "suppress"
                and any(_is_broad(arg) for arg in call.args)
                and any(asks(child) for part in node.body for child in ast.walk(part))
            ):
                yield node, "whatever goes wrong with this call is swallowed"


def _is_broad(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(chain(k)[-1] in ("Exception", "BaseException") for k in kinds)


def _does_nothing(handler: ast.ExceptHandler) -> bool:
    """No raise, no log, no use of the error: it is gone."""
    for node in (child for part in handler.body for child in ast.walk(part)):
        if isinstance(node, (ast.Raise, ast.Call)):
            return False
        if handler.name and isinstance(node, ast.Name) and node.id == handler.name:
            return False
    return True


# RS103 blocking the event loop

_BLOCKING: dict[tuple[str, ...], str] = {
    ("time", "sleep"): "time.sleep",
    ("requests", "get"): "requests.get",
    ("requests", "post"): "requests.post",
    ("requests", "put"): "requests.put",
    ("requests", "request"): "requests.request",
    ("subprocess", "run"): "subprocess.run",
    ("subprocess", "check_output"): "subprocess.check_output",
    ("subprocess", "call"): "subprocess.call",
    ("os", "system"): "os.system",
    ("request", "urlopen"): "urllib.request.urlopen",
}


def _blocking(file: File) -> Iterator[tuple[ast.AST, str]]:
    clients = _sync_clients(file)
    for node in file.walk(ast.Call):
        assert isinstance(node, ast.Call)
        names = chain(node.func)
        function = file.function_of(node)
        inside = isinstance(function, ast.AsyncFunctionDef)
        if names[-1] == "run_until_complete" and any(asks(child) for child in ast.walk(node)):
            yield node, "run_until_complete around a call to a model blocks whoever shares the loop"
        elif inside and (name := _BLOCKING.get(names[-2:])):
            yield node, f"{name} blocks the event loop, and with it every other conversation"
        elif inside and names[:2] == ("asyncio", "run"):
            yield node, "asyncio.run inside a coroutine fails: a loop is running already"
        elif inside and asks(node) and names[0] in clients and not isinstance(file.parents.get(node), ast.Await):
            yield node, f"{names[0]} is a synchronous client: this call blocks the event loop"


def _sync_clients(file: File) -> set[str]:
    """Names that stand for a synchronous client of openai or anthropic."""
    found = set()
    for node in file.walk(ast.Assign):
        assert isinstance(node, ast.Assign)
        if isinstance(node.value, ast.Call) and chain(node.value.func)[-1] in ("OpenAI", "AzureOpenAI", "Anthropic"):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


# RS104 hard-coded keys

_KEY_NAMES = re.compile(r"(?:api_?key|token|secret|password|bearer)$", re.IGNORECASE)
_KEY_SHAPES = re.compile(
    r"(?:gh[pousr]_\w{4,}|github_pat_\w{4,}|sk-[\w-]{8,}|tid=\S{8,}|xox[baprs]-\S{8,}|AKIA[0-9A-Z]{12,}|AIza[\w-]{20,})"
)
_PLACEHOLDERS = re.compile(
    r"^(?:any|none|unused|not[-_ ]?needed|x+|\.+|<.*>|your[-_ ].*|\$\{.*\}|[A-Z][A-Z0-9_]*)$|(?i:dummy|fake|example|placeholder|simulated)"
)


def _hard_coded(file: File) -> Iterator[tuple[ast.AST, str]]:
    for node in file.walk(ast.Constant):
        assert isinstance(node, ast.Constant)
        if not isinstance(node.value, str):
            continue
        if _PLACEHOLDERS.search(node.value):
            continue
        if _KEY_SHAPES.match(node.value):
            yield node, "a key stands in the code"
            continue
        name = _named(file, node)
        value = node.value
        if name and _KEY_NAMES.search(name) and len(value) >= 8 and not file.is_test:
            yield node, f"a value for {name} stands in the code"


def _named(file: File, node: ast.AST) -> str | None:
    """The name that a literal is given to: a keyword, a variable, a key of a dict."""
    parent = file.parents.get(node)
    if isinstance(parent, ast.keyword):
        return parent.arg
    if isinstance(parent, (ast.Assign, ast.AnnAssign)) and parent.value is node:
        target = parent.targets[0] if isinstance(parent, ast.Assign) else parent.target
        return chain(target)[-1] if isinstance(target, (ast.Name, ast.Attribute)) else None
    return None


# RS105 no timeout

_WAITERS = ("wait_for", "timeout", "timeout_at", "move_on_after", "fail_after")
_CLIENTS = ("OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI", "Anthropic", "AsyncAnthropic")


def _no_timeout(file: File) -> Iterator[tuple[ast.AST, str]]:
    for node in file.walk(ast.Call):
        assert isinstance(node, ast.Call)
        value = keyword(node, "timeout")
        if keyword(node, "inactivity_timeout") is not None:
            continue
        if asks(node) and isinstance(value, ast.Constant) and value.value is None:
            yield node, "timeout=None: this call may wait for ever"
        elif (
            chain(node.func)[-1] in (*_CLIENTS, "CopilotSDK")
            and isinstance(value, ast.Constant)
            and value.value is None
        ):
            yield node, "timeout=None: calls of this client may wait for ever"
    if "rightseat" in file.packages or (
        "github_copilot_sdk" in file.packages and not (file.packages & {"openai", "anthropic", "copilot"})
    ):
        return  # calls of CopilotSDK have one unless it was taken away
    limited = any(
        keyword(node, "timeout") is not None
        for node in file.walk(ast.Call)
        if isinstance(node, ast.Call) and chain(node.func)[-1] in _CLIENTS
    )
    if limited:
        return
    for node in file.walk(ast.Call):
        assert isinstance(node, ast.Call)
        if asks(node) and not _is_limited(file, node) and chain(node.func)[-1] not in ("send_and_wait", "ask"):
            yield node, "nothing limits how long this call may take"


def _is_limited(file: File, call: ast.Call) -> bool:
    if keyword(call, "timeout") is not None:
        return True
    for node in file.above(call):
        if isinstance(node, ast.Call) and chain(node.func)[-1] in _WAITERS:
            return True
        if isinstance(node, (ast.With, ast.AsyncWith)) and any(
            isinstance(item.context_expr, ast.Call) and chain(item.context_expr.func)[-1] in _WAITERS
            for item in node.items
        ):
            return True
    return False


# RS106 history without a window

_WINDOWS = ("ContextWindow", "Window", "fit", "create_session")


def _no_window(file: File) -> Iterator[tuple[ast.AST, str]]:
    if any(isinstance(n, ast.Call) and chain(n.func)[-1] in _WINDOWS[:3] for n in file.walk(ast.Call)):
        return
    sent = {
        value.id
        for node in file.walk(ast.Call)
        if isinstance(node, ast.Call) and asks(node)
        for name in ("messages", "input")
        if isinstance(value := keyword(node, name), ast.Name)
    }
    for node in file.walk(ast.Call):
        assert isinstance(node, ast.Call)
        if (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in ("append", "extend")
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in sent
            and any(
                isinstance(at, (ast.For, ast.While, ast.AsyncFor, ast.FunctionDef, ast.AsyncFunctionDef))
                for at in file.above(node)
            )
            and not _is_cut(file, node.func.value.id)
            and _repeats(file, node)
        ):
            yield node, f"{node.func.value.id} grows with every turn until it does not fit any more"


def _repeats(file: File, node: ast.AST) -> bool:
    """In a loop, or a list from outside of the function it is in."""
    function = file.function_of(node)
    for at in file.above(node):
        if isinstance(at, (ast.For, ast.While, ast.AsyncFor)):
            return True
        if at is function:
            break
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Attribute)
    assert isinstance(node.func.value, ast.Name)
    name = node.func.value.id
    own = function is not None and any(
        isinstance(n, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in n.targets)
        for n in ast.walk(function)
    )
    return not own


def _is_cut(file: File, name: str) -> bool:
    """Something takes away from the list: a slice, pop, clear, del."""
    for node in file.walk(ast.Call, ast.Subscript, ast.Delete):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("pop", "clear", "popleft", "remove") and chain(node.func)[0] == name:
                return True
        elif isinstance(node, ast.Subscript):
            if isinstance(node.slice, ast.Slice) and isinstance(node.value, ast.Name) and node.value.id == name:
                return True
        elif isinstance(node, ast.Delete) and any(chain(getattr(t, "value", t))[0] == name for t in node.targets):
            return True
    return False


# RS107 over-generic tools

_CATCH_ALL = frozenset({"action", "operation", "command", "op", "method", "task", "data", "payload", "params", "args", "kwargs", "options", "input"})  # fmt: skip
_VAGUE_NAMES = re.compile(
    r"^(?:do|run|execute|perform|handle|process|call|invoke|manage)(?:_?(?:stuff|it|all|any|anything|everything|task|action|operation|request|command|tool|thing))?$"
)


def _generic_tools(file: File) -> Iterator[tuple[ast.AST, str]]:
    for node in file.walk(ast.Dict):
        assert isinstance(node, ast.Dict)
        fields = _fields(node)
        name = _text(fields.get("name"))
        schema = fields.get("parameters") or fields.get("input_schema")
        if name is None or not isinstance(schema, ast.Dict):
            continue
        properties = _fields(schema).get("properties")
        found = _fields(properties) if isinstance(properties, ast.Dict) else {}
        free = {p for p, v in found.items() if p in _CATCH_ALL and isinstance(v, ast.Dict) and _is_free(_fields(v))}
        if len(free) >= 2 or (free and _VAGUE_NAMES.match(name)):
            yield node, f"tool {name!r} takes anything ({', '.join(sorted(free))}): one tool for one purpose"
    for node in file.walk(ast.FunctionDef, ast.AsyncFunctionDef):
        assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if not any(
            chain(d.func if isinstance(d, ast.Call) else d)[-1] in ("define_tool", "tool") for d in node.decorator_list
        ):
            continue
        free = {
            a.arg for a in (*node.args.args, *node.args.kwonlyargs) if a.arg in _CATCH_ALL and _is_open(a.annotation)
        }
        if node.args.kwarg is not None or len(free) >= 2 or (free and _VAGUE_NAMES.match(node.name)):
            what = ", ".join(sorted(free)) or "**" + (node.args.kwarg.arg if node.args.kwarg else "")
            yield node, f"tool {node.name!r} takes anything ({what}): one tool for one purpose"


def _fields(node: ast.Dict) -> dict[str, ast.expr]:
    return {
        key.value: value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_free(schema: dict[str, Any]) -> bool:
    """Nothing says what values there are."""
    return not ({"enum", "const", "pattern", "properties", "format", "oneOf", "anyOf"} & set(schema))


def _is_open(annotation: ast.expr | None) -> bool:
    """No annotation, or one that says little."""
    return annotation is None or chain(annotation if not isinstance(annotation, ast.Subscript) else annotation.value)[-1] in ("str", "dict", "Any", "object", "Mapping", "Dict")  # fmt: skip


# RS108 tests of the happy path only

_FAILURES = re.compile(
    r"(?:error|fail|timeout|time_out|invalid|refus|reject|retry|limit|cancel|abort|empty|broken|bad|wrong|missing|denied|except|"
    r"raises|closed|malformed|unavailable|down|lost|cut)",
    re.IGNORECASE,
)


def _happy_only(file: File) -> Iterator[tuple[ast.AST, str]]:
    if not file.is_test:
        return
    tests = [
        node
        for node in file.walk(ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test")
    ]
    asking = [test for test in tests if any(asks(node) for node in ast.walk(test))]
    if not asking:
        return
    for test in tests:
        if _FAILURES.search(test.name):
            return
        for node in ast.walk(test):
            if isinstance(node, ast.Try) or (
                isinstance(node, ast.Call) and chain(node.func)[-1] in ("raises", "assertRaises", "assertRaisesRegex")
            ):
                return
    yield asking[0], f"{len(asking)} tests ask a model, and none of them what happens when it fails"


RULES: tuple[Rule, ...] = (
    Rule("RS101", "unbounded accumulation", "A long answer takes all memory.", "streams.bounded(), streams.collect() or a limit of your own", _unbounded),
    Rule("RS102", "swallowed errors", "Failures go unnoticed and cannot be found.", "catch what you can handle, log the rest and raise", _swallowed),
    Rule("RS103", "blocking the event loop", "Every other conversation stands still meanwhile.", "await the async client; asyncio.to_thread() for what blocks", _blocking),
    Rule("RS104", "hard-coded keys", "Keys leak with the source.", "read them from the environment or a secret store", _hard_coded),
    Rule("RS105", "no timeout", "A call that hangs holds its caller for ever.", "timeout=..., or asyncio.timeout() around it", _no_timeout),
    Rule("RS106", "history without a window", "The conversation outgrows the model's window and every call fails.", "ContextWindow, or a CopilotSDK session, which has one", _no_window),
    Rule("RS107", "over-generic tools", "The model has to guess, and its calls cannot be checked.", "one tool for one purpose, with described and constrained parameters", _generic_tools),
    Rule("RS108", "tests without failure cases", "What happens on a bad day is found out on a bad day.", "test errors, time-outs and bad input too: rightseat.testing", _happy_only),
)  # fmt: skip
