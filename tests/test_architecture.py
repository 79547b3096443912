"""Who may import whom, from the syntax trees: arrows point downwards, nothing goes in a circle, time and chance have one door each.

Every import counts: at the top of a module, for type checkers only, or within a function.
"""

import ast
import functools
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "rightseat"
SCRIPTS = SRC.parent.parent / "scripts"

# The ground: everybody may use it; of itself it uses what is named below.
GROUND = {"errors", "clock", "ids", "log", "masking", "json_types"}
ALLOWED = {
    "masking": set(),
    "errors": {"masking"},
    "clock": set(),
    "ids": set(),
    "log": {"masking"},
    "json_types": set(),
    "tokens": set(),
    "streams": set(),
    "security": set(),
    "chat": set(),
    "handler": {"chat"},
    "wire": {"chat"},
    "transport": set(),
    "state": {"chat", "security"},
    "layers": {"handler", "chat", "state", "tokens"},
    "accounts": {"state", "transport", "wire", "chat", "security"},
    "sdk": {"handler", "wire", "transport", "chat", "security"},
    "backends": {"sdk", "accounts", "state", "transport", "wire", "handler", "chat"},
    "telemetry": {"__init__", "layers", "chat"},
    "facade": {"backends", "layers", "sdk", "accounts", "handler", "chat", "security"},
    "sync": {"backends", "facade", "handler", "layers", "sdk", "chat", "security", "wire"},
    "batch": {"facade", "streams"},
    "terminal": {"streams"},
    "patterns": {"facade", "layers", "sdk", "security", "streams", "testing", "wire"},
    "lint": {"__init__"},
    "gateway": {
        "__init__",
        "backends",
        "layers",
        "state",
        "accounts",
        "telemetry",
        "security",
        "wire",
        "transport",
        "handler",
        "chat",
    },
    "simulator": {"handler", "wire", "transport", "chat"},  # never what it tests
    "testing": {"facade", "gateway", "layers", "handler", "simulator", "backends", "accounts", "chat"},
    "pytest_plugin": {"facade", "gateway", "sdk", "simulator", "testing", "backends", "accounts", "security"},
    "commands": {
        "__init__",
        "accounts",
        "backends",
        "batch",
        "chat",
        "facade",
        "gateway",
        "layers",
        "lint",
        "sdk",
        "security",
        "simulator",
        "state",
        "terminal",
        "transport",
        "wire",
    },
    "__main__": {"commands"},
    "__init__": {"facade", "layers", "sdk", "wire"},
}
# Of `state`, these parts know the pure modules alone: its protocols and values.
KNOWS_PURE_STATE = {"layers", "accounts", "backends"}
PURE_STATE = {"rightseat.state.base", "rightseat.state.buckets"}
# Pure: no event loop, no socket, no clock, no file.
PURE = {
    "wire": {"asyncio", "socket", "time", "threading", "subprocess", "selectors"},
    "chat": {"asyncio", "socket", "time", "threading", "subprocess", "selectors"},
    "masking": {"asyncio", "socket", "time", "threading", "subprocess", "selectors"},
}
# Modules of the standard library, and calls, that give time or chance; and who may use them.
TIME_AND_CHANCE = {"time", "uuid", "random", "secrets"}
CALLS = {"asyncio.sleep", "os.urandom", "datetime.now", "datetime.datetime.now", "datetime.utcnow"}
MAY_TELL_TIME = {"clock", "ids", "testing", "simulator", "commands", "lint"}
# `sleep(0)` lets others run and takes no time; a process that ends has no clock but the machine's.
MAY_SLEEP = {"rightseat.transport.process", "rightseat.sdk.pump"}
# What may be imported besides the standard library where the SDK alone is installed.
SDK_PACKAGES = {"msgspec", "rightseat"}
WITH_EXTRAS = {
    "state",
    "simulator",
    "commands",
    "__main__",
    "backends",
    "accounts",
    "gateway",
    "telemetry",
    "terminal",
    "pytest_plugin",
}
OPTIONAL = {
    ("rightseat.tokens", "splintr"),
    ("rightseat.masking.finder", "re2"),
    ("rightseat.security.sealed", "cryptography"),
    ("rightseat.security.sources", "keyring"),
    ("rightseat.security.sources", "hvac"),
    ("rightseat.security.sources", "azure"),
    ("rightseat.sdk.context", "opentelemetry"),
    ("rightseat.facade.structured", "pydantic"),  # for types of its own
    ("rightseat.facade.response", "typing_extensions"),  # for type checkers, which have it
}


def name_of(path: Path) -> str:
    parts = list(path.relative_to(SRC.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(SRC.rglob("*.py"))}


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@functools.cache
def imports(module: str) -> frozenset[str]:
    """Modules that a module imports, wherever in it; ours by their full names."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            assert node.module is not None
            within = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in within}
    return frozenset(found - {module})


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if name in MODULES}


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


@functools.cache
def folder_of(module: str) -> str:
    """The folder of a module; in a folder that has folders, each module stands for itself."""
    folder = MODULES[module].parent
    has_folders = any(folder in path.parent.parents for path in MODULES.values())
    return module if has_folders else str(folder.relative_to(SRC))


def circles(arrows: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups of nodes each of which can be reached from each other one."""
    reached = {node: reachable(arrows, node) for node in arrows}
    groups = {
        frozenset({node, *(other for other in reached[node] if node in reached.get(other, ()))})
        for node in arrows
        if node in reached[node]
    }
    return sorted(sorted(group) for group in groups)


def reachable(arrows: Mapping[str, Iterable[str]], start: str) -> set[str]:
    seen: set[str] = set()
    ahead = list(arrows.get(start, ()))
    while ahead:
        node = ahead.pop()
        if node not in seen:
            seen.add(node)
            ahead += arrows.get(node, ())
    return seen


def wrong_arrows() -> Iterator[tuple[str, str, str]]:
    for module in MODULES:
        part = part_of(module)
        for target in ours(module):
            other = part_of(target)
            allowed = ALLOWED[part] if part in GROUND else ALLOWED[part] | GROUND
            beyond = part in KNOWS_PURE_STATE and other == "state" and target not in PURE_STATE
            if part != other and (other not in allowed or beyond):
                yield "arrow", module, target


def module_circles() -> Iterator[tuple[str, str, str]]:
    for group in circles({module: ours(module) for module in MODULES}):
        yield "modules", group[0], " ".join(group[1:])


def folder_circles() -> Iterator[tuple[str, str, str]]:
    arrows = defaultdict(set)
    for module in MODULES:
        for target in ours(module):
            if folder_of(module) != folder_of(target):
                arrows[folder_of(module)].add(folder_of(target))
    for group in circles(arrows):
        for folder in group:
            for other in sorted(arrows[folder] & set(group)):
                yield "folders", folder, other


def impure() -> Iterator[tuple[str, str, str]]:
    for module in MODULES:
        for name in imports(module):
            if name.split(".")[0] in PURE.get(part_of(module), ()):
                yield "pure", module, name


def time_and_chance() -> Iterator[tuple[str, str, str]]:
    for module in MODULES:
        if part_of(module) in MAY_TELL_TIME:
            continue
        for name in imports(module) & TIME_AND_CHANCE:
            yield "time", module, name
        called = {ast.unparse(node.func) for node in ast.walk(tree(module)) if isinstance(node, ast.Call)}
        for name in called & CALLS if module not in MAY_SLEEP else ():
            yield "time", module, name


def packages_beyond_the_sdk() -> Iterator[tuple[str, str, str]]:
    for module, path in MODULES.items():
        if part_of(module) in WITH_EXTRAS or "http" in path.parts:
            continue
        for top in {name.split(".")[0] for name in imports(module)}:
            known = top in SDK_PACKAGES or top in sys.stdlib_module_names
            if not known and (module, top) not in OPTIONAL:
                yield "packages", module, top


LAWS = {
    "arrow": wrong_arrows,
    "modules": module_circles,
    "folders": folder_circles,
    "pure": impure,
    "time": time_and_chance,
    "packages": packages_beyond_the_sdk,
}


@pytest.mark.parametrize("law", LAWS)
def test_the_laws_of_the_house_hold(law):
    assert set(LAWS[law]()) == set()


def test_every_part_has_its_arrows():
    assert {part_of(module) for module in MODULES} == set(ALLOWED)


def test_circles_are_found():
    assert circles({"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": []}) == [["a", "b", "c"]]
    assert circles({"a": ["b"], "b": ["c"], "c": []}) == []
    assert circles({"a": ["b", "c"], "b": ["a"], "c": ["d"], "d": ["c"]}) == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize("script", ["generate_sync.py", "generate_session_events.py", "generate_rpc.py"])
def test_what_is_generated_is_that_of_today(script):
    """The synchronous twins from the source of the asynchronous classes, the kinds of event from their catalogue: `make fix`."""
    done = subprocess.run([sys.executable, SCRIPTS / script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_module_says_what_it_is():
    for module in MODULES:
        assert ast.get_docstring(tree(module)), f"{module} has no docstring"


# Each dialect's folder has the same files, and counts as one place; every folder may have its base.
DIALECTS = {"anthropic", "openai_chat", "openai_responses"}
LONGEST_MODULE = 400
GENERATED = {"rightseat.wire.session_events", "rightseat.sync.twins"}
REPEATED_LINES = 12
MOST_ANY = 400
P90_LINES = 19


def nodes(kind: type | tuple[type, ...]) -> Iterator[tuple[str, ast.AST]]:
    return ((module, node) for module in MODULES for node in ast.walk(tree(module)) if isinstance(node, kind))


def test_no_two_classes_have_one_name():
    places = defaultdict(list)
    for module, node in nodes(ast.ClassDef):
        if module != "rightseat.sync.twins":  # they have the names of what they are twins of
            places[node.name].append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


def test_no_three_files_have_one_name():
    places = defaultdict(set)
    for path in MODULES.values():
        places[path.name].add("a dialect" if path.parent.name in DIALECTS else path.parent)
    common = {name for name, folders in places.items() if len(folders) > 2}
    assert common <= {"__init__.py", "base.py"}


def test_no_run_of_lines_stands_twice():
    runs = defaultdict(list)
    for module in MODULES.keys() - GENERATED:
        lines = [line.strip() for line in MODULES[module].read_text(encoding="utf-8").splitlines() if line.strip()]
        for i in range(len(lines) - REPEATED_LINES + 1):
            runs[tuple(lines[i : i + REPEATED_LINES])].append(module)
    assert [modules for modules in runs.values() if len(modules) > 1] == []


def test_modules_and_functions_are_short():
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}
    assert {module for module, length in lengths.items() if length > LONGEST_MODULE} <= GENERATED
    functions = sorted(f.end_lineno - f.lineno + 1 for _, f in nodes((ast.FunctionDef, ast.AsyncFunctionDef)))
    assert functions[len(functions) * 9 // 10] <= P90_LINES


def test_any_is_rare():
    assert sum(node.id == "Any" for _, node in nodes(ast.Name)) <= MOST_ANY
