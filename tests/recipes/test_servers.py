"""C9: the recipes for servers, as they stand in the documentation, with clients that leave in the middle."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

PAGE = Path(__file__).parent.parent.parent / "docs" / "recipes" / "servers.md"
FASTAPI, STARLETTE, FLASK, DJANGO = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
QUESTION = {"question": "Tell me a long story"}
EXACT = {"question": "Reply with exactly: the whole answer"}


def simulate(*command: str) -> list[str]:
    return [sys.executable, "-m", "rightseat", "simulate", "--pace", "100", "--", sys.executable, *command]


@pytest.mark.contract
@pytest.mark.parametrize("recipe", [FASTAPI, STARLETTE], ids=["fastapi", "starlette"])
async def test_a_client_that_leaves_ends_its_answer_and_leaves_nothing_behind(recipe, tmp_path, cli_path):
    (tmp_path / "recipe.py").write_text(recipe, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *simulate("-X", "dev", "-m", "uvicorn", "recipe:app", "--port", "0"),
        cwd=tmp_path, env={**os.environ, "COPILOT_CLI_PATH": cli_path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said = ""
    async with asyncio.timeout(60):
        while not (found := re.search(r"running on (http://\S+)", said)):
            said += (await process.stdout.readline()).decode()
        async with httpx.AsyncClient(base_url=found[1], timeout=30) as http:
            for _ in range(3):
                async with http.stream("GET", "/ask", params=QUESTION) as response:
                    assert await anext(response.aiter_text())
            assert (await http.get("/ask", params=EXACT)).text == "the whole answer"
        process.terminate()
        said += (await process.stdout.read()).decode()
        await process.wait()
    assert "Application shutdown complete" in said
    assert not re.search(r"Traceback|never retrieved|never awaited|was destroyed", said), said


TRY_FLASK = """
import gc
from recipe import app, sdk

http = app.test_client()
response = http.get("/ask", query_string={"question": "Tell me a long story"})
print(next(response.response).decode() != "")
response.close()
print(sdk.sessions, http.get("/ask", query_string={"question": "Reply with exactly: the whole answer"}).text)
sdk.close()
"""


TRY_DJANGO = """
import django
from django.conf import settings

settings.configure(ROOT_URLCONF="recipe", ALLOWED_HOSTS=["testserver"])
django.setup()
from django.test import Client
from recipe import sdk

http = Client()
response = http.get("/ask", {"question": "Tell me a long story"})
print(next(response.streaming_content).decode() != "")
response.close()
whole = http.get("/ask", {"question": "Reply with exactly: the whole answer"})
print(sdk.sessions, b"".join(whole.streaming_content).decode())
sdk.close()
"""


@pytest.mark.parametrize(("recipe", "program"), [(FLASK, TRY_FLASK), (DJANGO, TRY_DJANGO)], ids=["flask", "django"])
async def test_a_recipe_without_a_loop(recipe, program, tmp_path):
    (tmp_path / "recipe.py").write_text(recipe, encoding="utf-8")
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *simulate("-X", "dev", "program.py"), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, errors = await process.communicate()
    assert out.decode().splitlines()[-2:] == ["True", "0 the whole answer"], errors.decode()
    assert "Traceback" not in errors.decode()
