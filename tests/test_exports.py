"""The public names: complete, importable, and cheap until used. And the drop-in: names only, no logic."""

import ast
import subprocess
import sys
from pathlib import Path

import copilot
import copilot.client
import copilot.generated.session_events
import copilot.rpc
import copilot.session
import copilot.session_events
import copilot.tools
import github_copilot_sdk

import rightseat

DROPIN = Path(__file__).parent.parent / "dropin"


def test_every_public_name_can_be_had():
    for name in rightseat.__all__:
        assert getattr(rightseat, name) is not None
    assert sorted(rightseat.__all__) == list(rightseat.__all__)
    assert set(rightseat.__all__) == set(rightseat._MODULE_OF)
    assert set(rightseat.__all__) <= set(dir(rightseat))


def test_the_type_checkers_see_the_same_names():
    source = ast.parse(Path(rightseat.__file__).read_text(encoding="utf-8"))
    block = next(node for node in source.body if isinstance(node, ast.If))
    assert set(rightseat.__all__) == {alias.name for node in block.body for alias in node.names}


def test_importing_the_package_imports_nothing_of_weight():
    code = (
        "import sys, rightseat; print([m for m in ('asyncio', 'msgspec', 'rightseat.sdk.client') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_name_is_an_attribute_error():
    try:
        rightseat.CopilotCleint  # noqa: B018
    except AttributeError as e:
        assert "CopilotCleint" in str(e)
    else:
        raise AssertionError("no error")


def test_the_drop_in_gives_the_same_objects():
    assert (
        copilot.CopilotClient
        is github_copilot_sdk.CopilotClient
        is copilot.client.CopilotClient
        is rightseat.CopilotClient
    )
    assert copilot.session.CopilotSession is rightseat.CopilotSession
    assert copilot.tools.define_tool is copilot.define_tool is rightseat.define_tool
    assert (
        copilot.session_events.SessionEventType
        is copilot.generated.session_events.SessionEventType
        is rightseat.SessionEventType
    )
    assert copilot.session_events.AssistantMessageDeltaData.__name__ == "AssistantMessageDeltaData"
    assert copilot.rpc.Rpc


def test_the_drop_in_holds_no_logic():
    for path in DROPIN.rglob("*.py"):
        if "build" in path.parts:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            assert isinstance(node, (ast.Expr, ast.Import, ast.ImportFrom)), f"{path.name}:{node.lineno} is logic"
