"""Tools, permissions and questions with the real CLI."""

import asyncio
import threading

import pytest
from pydantic import BaseModel, Field

from rightseat import (
    PermissionDecision,
    PermissionHandler,
    SessionEventType,
    ToolFailure,
    ToolInvocation,
    ToolResult,
    define_tool,
)
from rightseat.simulator.script import Rule, Script, ScriptedTool

pytestmark = pytest.mark.contract
T = SessionEventType

SHELL = "Run the shell command `echo hello from the shell` and reply with its output"


class CalculateParams(BaseModel):
    expression: str = Field(description="Math expression to evaluate")


async def results_of(session, prompt: str) -> tuple[list, str]:
    """The tool results of a turn, and its answer."""
    results = []
    stop = session.on(lambda e: results.append(e.data), T.TOOL_RESULT)
    reply = await session.send_and_wait(prompt, timeout=30)
    stop()
    return results, reply.data.content


async def test_a_sync_tool_runs_off_the_loop_and_its_result_is_used(shared):
    threads = []

    @define_tool("calculate", description="Evaluate a math expression")
    def calculate(params: CalculateParams, invocation: ToolInvocation) -> str:
        threads.append(threading.current_thread())
        assert invocation.tool_name == "calculate"
        assert invocation.session_id
        assert invocation.arguments == {"expression": params.expression}
        return f"Result: {25 * 4 + 10}"

    async with shared() as client, await client.create_session(tools=[calculate]) as session:
        calls = []
        session.on(lambda e: calls.append(e.data.name), T.TOOL_CALL)
        results, answer = await results_of(session, "What is 25 * 4 + 10? Use the calculate tool.")
    assert calls == ["calculate"]
    assert results[0].success
    assert "Result: 110" in answer
    assert threads[0] is not threading.main_thread()


async def test_an_async_tool_with_plain_hints(shared):
    @define_tool
    async def weather(city: str, days: int = 1) -> dict:
        """The weather of a city."""
        await asyncio.sleep(0)
        return {"city": city, "days": days, "sky": "clear"}

    async with shared() as client, await client.create_session(tools=[weather]) as session:
        _, answer = await results_of(session, 'Use the weather tool for "Oslo" and 3 days')
    assert '{"city":"Oslo","days":3,"sky":"clear"}' in answer


async def test_a_tool_that_raises_is_a_failure_the_model_hears_of_without_its_secrets(shared, caplog):
    @define_tool
    def leak() -> str:
        """Leak."""
        raise ValueError("password=hunter2")

    @define_tool
    def refuse() -> str:
        """Refuse."""
        raise ToolFailure("The library is closed today.")

    async with shared() as client, await client.create_session(tools=[leak, refuse]) as session:
        results, answer = await results_of(session, "Use the leak tool")
        assert not results[0].success
        assert "ValueError" in answer
        assert "hunter2" not in answer
        _, answer = await results_of(session, "Use the refuse tool")
        assert "The library is closed today." in answer
    assert "leak failed" in caplog.text


async def test_arguments_of_the_wrong_kind_are_told_to_the_model(copilot, simulate):
    @define_tool
    def double(number: int) -> int:
        """Double it."""
        return 2 * number

    server = await simulate(script=Script([Rule(tool=ScriptedTool("double", {"number": "many"}))]))
    async with copilot(server) as client, await client.create_session(tools=[double]) as session:
        _, answer = await results_of(session, "double many")
    assert "Invalid arguments for tool double" in answer


async def test_a_result_that_cannot_be_sent_is_a_failure_that_says_so(shared, caplog):
    @define_tool
    def handle() -> object:
        """Give an open file."""
        return object()

    async with shared() as client, await client.create_session(tools=[handle]) as session:
        results, answer = await results_of(session, "Use the handle tool")
    assert not results[0].success
    assert "returned a value of type object, which cannot be sent" in answer
    assert "the result of tool handle cannot be written as JSON" in caplog.text


async def test_a_tool_that_never_returns_ends_with_its_time(shared):
    @define_tool(timeout=0.5)
    async def sleepy() -> str:
        """Sleep."""
        await asyncio.Event().wait()
        return "never"

    async with shared() as client, await client.create_session(tools=[sleepy]) as session:
        _, answer = await results_of(session, "Use the sleepy tool")
    assert "did not finish within 0.5 seconds" in answer


async def test_aborting_cancels_a_tool_that_runs(shared):
    cancelled, started = asyncio.Event(), asyncio.Event()

    @define_tool
    async def sleepy() -> str:
        """Sleep."""
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "never"

    async with shared() as client, await client.create_session(tools=[sleepy]) as session:
        await session.send("Use the sleepy tool")
        await asyncio.wait_for(started.wait(), 10)
        await session.abort()
        await session.disconnect()
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_structured_results(shared):
    @define_tool
    def classic() -> dict:
        """The dict of older SDKs."""
        return {"textResultForLlm": "classic text", "resultType": "success"}

    @define_tool
    def modern() -> ToolResult:
        """A ToolResult."""
        return ToolResult("modern text", session_log="logged")

    @define_tool
    def failing() -> dict:
        """A structured failure."""
        return {"success": False, "error": "no such user", "error_type": "NotFound"}

    async with shared() as client, await client.create_session(tools=[classic, modern, failing]) as session:
        assert "classic text" in (await results_of(session, "Use the classic tool"))[1]
        assert "modern text" in (await results_of(session, "Use the modern tool"))[1]
        results, answer = await results_of(session, "Use the failing tool")
        assert not results[0].success
        assert "NotFound" in answer


async def test_approved_the_shell_runs(shared):
    async with shared() as client:
        session = await client.create_session(on_permission_request=PermissionHandler.approve_all)
        _, answer = await results_of(session, SHELL)
    assert answer == "hello from the shell"


async def test_approved_a_file_is_written(copilot, simulator, tmp_path):
    async with copilot(simulator) as client:
        session = await client.create_session(on_permission_request=PermissionHandler.approve_all)
        await results_of(session, "Write the file `note.txt` containing: some text")
    assert (tmp_path / "work" / "note.txt").read_text().strip() == "some text"


async def test_denied_the_shell_does_not_run_and_the_model_hears_why(shared):
    asked = []

    async def deny(request, invocation):
        asked.append((request.kind, request.full_command_text, invocation["session_id"]))
        return PermissionDecision("reject", "not on a Friday")

    async with shared() as client:
        session = await client.create_session(on_permission_request=deny)
        results, answer = await results_of(session, SHELL)
    assert asked == [("shell", "echo hello from the shell", session.session_id)]
    assert not results[0].success
    assert "not on a Friday" in answer


@pytest.mark.parametrize(
    ("decision", "runs"),
    [(True, True), (False, False), ("approved", True), ({"kind": "approve-once"}, True), ("nonsense", False)],
)
async def test_any_spelling_of_a_decision_works_and_nonsense_refuses(shared, decision, runs):
    async with shared() as client:
        session = await client.create_session(on_permission_request=lambda request: decision)
        results, _ = await results_of(session, SHELL)
    assert results[0].success is runs


async def test_without_a_handler_own_tools_run_and_all_else_is_refused_with_one_warning(shared, caplog):
    @define_tool
    def own() -> str:
        """Own."""
        return "it ran"

    async with shared() as client, await client.create_session(tools=[own]) as session:
        assert "it ran" in (await results_of(session, "Use the own tool"))[1]
        for _ in range(2):
            results, answer = await results_of(session, SHELL)
            assert not results[0].success
            assert "no permission handler" in answer
    assert caplog.text.count("has no on_permission_request handler") == 1


async def test_a_permission_handler_that_raises_refuses(shared, caplog):
    def broken(request):
        raise RuntimeError("broken handler")

    async with shared() as client:
        session = await client.create_session(on_permission_request=broken)
        results, _ = await results_of(session, SHELL)
    assert not results[0].success
    assert "broken handler" in caplog.text


async def test_the_cli_can_ask_the_user(shared):
    asked = []

    async def answer(request, invocation):
        asked.append(request.question)
        return "blue"

    async with shared() as client:
        session = await client.create_session(
            on_user_input_request=answer, on_permission_request=PermissionHandler.approve_all
        )
        _, said = await results_of(session, "Use the ask_user tool: Which colour?")
    assert asked == ["Which colour?"]
    assert "blue" in said


async def test_hooks_see_and_stop(shared):
    seen = []

    def before(given, context):
        seen.append(("before", given.tool_name))
        return {"permission_decision": "deny", "permission_decision_reason": "house rule"}

    async def prompt(given, context):
        seen.append(("prompt", given.prompt))

    hooks = {
        "on_pre_tool_use": before,
        "on_user_prompt_submitted": prompt,
        "on_session_start": lambda given: seen.append(("start",)),
    }
    async with shared() as client:
        session = await client.create_session(hooks=hooks, on_permission_request=PermissionHandler.approve_all)
        results, answer = await results_of(session, SHELL)
    assert ("before", "bash") in seen
    assert ("prompt", SHELL) in seen
    assert ("start",) in seen
    assert not results[0].success
    assert "house rule" in answer


async def test_a_guarding_hook_that_fails_does_not_open_the_door(shared):
    def broken(given):
        raise RuntimeError("broken hook")

    async with shared() as client:
        session = await client.create_session(
            hooks={"on_pre_tool_use": broken}, on_permission_request=PermissionHandler.approve_all
        )
        results, _ = await results_of(session, SHELL)
    assert not results[0].success


async def test_sections_of_the_system_message_can_be_transformed(shared):
    seen = {}

    def shorten(text: str) -> str:
        seen["length"] = len(text)
        return "Speak like a pirate."

    message = {"mode": "customize", "sections": {"tone": {"action": shorten}}, "content": "Be brief."}
    async with shared() as client, await client.create_session(system_message=message) as session:
        system = []
        session.on(lambda e: system.append(e.data.content), T.SYSTEM_MESSAGE)
        await session.send_and_wait("hello")
    assert seen["length"] > 0
    assert "Speak like a pirate." in system[0]
    assert "Be brief." in system[0]


async def test_elicitation_reaches_the_handler(shared):
    asked = []

    async def answer(request, context):
        asked.append(request.message)
        return {"action": "accept", "content": {"name": "Ada"}}

    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    async with shared() as client, await client.create_session(on_elicitation_request=answer) as session:
        result = await session.rpc.ui.elicitation({"message": "Who are you?", "requestedSchema": schema}, timeout=10)
    assert asked == ["Who are you?"]
    assert (result.action, result.content) == ("accept", {"name": "Ada"})


async def test_commands_reach_their_handlers(shared):
    ran = asyncio.Event()
    commands = [{"name": "greet", "description": "Greet", "handler": lambda data: ran.set()}]
    async with shared() as client, await client.create_session(commands=commands) as session:
        await session.rpc.commands.execute(command_name="greet", args="")
        await asyncio.wait_for(ran.wait(), 5)
