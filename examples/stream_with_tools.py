"""A tool of your own. Only this tool may run: without a permission handler everything else is refused."""

import ast
import asyncio
import operator
from typing import Annotated

from rightseat import CopilotClient, SessionEventType, ToolFailure, define_tool

OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}


def evaluate(node):
    """Arithmetic only. Never eval() what a model wrote."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp() if type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](evaluate(node.left), evaluate(node.right))
        case ast.UnaryOp() if type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](evaluate(node.operand))
    raise ToolFailure("I can only add, subtract, multiply and divide numbers.")


@define_tool
def calculate(expression: Annotated[str, "an arithmetic expression, such as 25 * 4 + 10"]) -> str:
    """Evaluate an arithmetic expression."""
    try:
        return f"Result: {evaluate(ast.parse(expression, mode='eval').body):g}"
    except (SyntaxError, ZeroDivisionError) as e:
        raise ToolFailure(f"{expression!r} cannot be calculated: {e}") from e


def show(event):
    if event.type is SessionEventType.TOOL_CALL:
        print(f"[calls {event.data.name} with {event.data.arguments}]")
    elif event.type is SessionEventType.TOOL_RESULT:
        print(f"[{'done' if event.data.success else 'failed'}]")


async def main():
    async with CopilotClient() as client, await client.create_session(streaming=True, tools=[calculate]) as session:
        session.on(show, SessionEventType.TOOL_CALL, SessionEventType.TOOL_RESULT)
        async for text in session.stream("What is 25 * 4 + 10? Use the calculate tool.", timeout=60):
            print(text, end="", flush=True)
        print()


asyncio.run(main())
