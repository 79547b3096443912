"""Who may import whom, from the AST: imports point downwards only."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "rightseat"

# Leaves: everybody may use them.
LEAVES = {"errors", "clock", "ids", "masking", "security", "log", "tokens"}
ALLOWED = {
    "errors": set(),
    "clock": set(),
    "ids": set(),
    "masking": set(),
    "security": {"errors"},
    "log": set(),
    "tokens": set(),
    "layers": {"handler", "chat", "state"},  # of state its protocols and values alone, see below
    "chat": {"errors"},
    "handler": {"chat"},
    "wire": {"chat"},
    "transport": set(),
    "sdk": {"handler", "wire", "transport", "chat"},
    "accounts": {"transport", "wire", "chat"},
    "backends": {"accounts", "handler", "wire", "transport", "chat"},
    "state": {"chat"},
    "telemetry": {"__init__", "layers", "chat"},
    "streams": set(),
    "terminal": {"streams", "__init__"},
    "batch": {"facade", "streams"},
    "lint": {"__init__"},
    "facade": {"layers", "telemetry", "sdk", "backends", "accounts", "handler", "transport", "chat"},
    "testing": {"facade", "gateway", "layers", "handler", "simulator", "backends", "accounts", "chat"},
    "pytest_plugin": {"facade", "gateway", "sdk", "simulator", "testing", "backends", "accounts"},
    "gateway": {
        "__init__",
        "state",
        "layers",
        "telemetry",
        "sdk",
        "backends",
        "accounts",
        "handler",
        "wire",
        "transport",
        "chat",
    },
    "simulator": {"handler", "wire", "transport", "chat"},  # never what it tests
    "commands": {
        "__init__",
        "sdk",
        "backends",
        "accounts",
        "gateway",
        "state",
        "simulator",
        "handler",
        "wire",
        "transport",
        "chat",
        "commands",
        "batch",
        "facade",
        "layers",
        "lint",
        "terminal",
    },
    "__main__": {"commands"},
    "__init__": {"facade", "layers", "sdk", "wire"},
}
# Pure: no event loop, no socket, no clock, no file.
PURE = {
    "wire": {"asyncio", "socket", "time", "threading", "subprocess", "selectors"},
    "chat": {"asyncio", "socket", "time", "threading"},
}
PURE_EXCEPTIONS = {("wire/openai_chat.py", "time"), ("wire/openai_responses.py", "time")}  # the time in an answer
# The SDK alone: what may be imported besides the standard library.
SDK_PACKAGES = {"msgspec", "rightseat"}


def part_of(path: Path) -> str:
    relative = path.relative_to(SRC)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
    return found


# Extras, imported where they are used.
OPTIONAL = {
    ("tokens.py", "splintr"), ("finder.py", "re2"), ("sealed.py", "cryptography"), ("sources.py", "keyring"), ("sources.py", "hvac"),
    ("sources.py", "azure"), ("context.py", "opentelemetry"),
}  # fmt: skip
MODULES = sorted(SRC.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_point_downwards(path):
    part = part_of(path)
    for name in imports(path):
        if name == "rightseat" or name.startswith("rightseat."):
            target = name.split(".")[1] if "." in name else "__init__"
            if part != target and target not in LEAVES:
                assert target in ALLOWED[part], f"{part} may not import {name}"


def test_layers_know_of_state_no_store():
    allowed = {"rightseat.state.base", "rightseat.state.buckets"}
    found = {name for path in (SRC / "layers").rglob("*.py") for name in imports(path)}
    assert {name for name in found if name.startswith("rightseat.state")} <= allowed


@pytest.mark.parametrize("path", [p for p in MODULES if part_of(p) in PURE], ids=lambda p: str(p.relative_to(SRC)))
def test_pure_packages_do_no_io(path):
    for name in imports(path):
        if (str(path.relative_to(SRC)), name) not in PURE_EXCEPTIONS:
            assert name.split(".")[0] not in PURE[part_of(path)], f"{path.name} imports {name}"


@pytest.mark.parametrize(
    "path",
    [
        p
        for p in MODULES
        if part_of(p)
        not in {
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
        and "http" not in p.parts
    ],
    ids=lambda p: str(p.relative_to(SRC)),
)
def test_the_sdk_needs_msgspec_alone(path):
    import sys

    for name in imports(path):
        top = name.split(".")[0]
        optional = (path.name, top) in OPTIONAL
        assert optional or top in SDK_PACKAGES or top in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_every_module_says_what_it_is():
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} has no docstring"
