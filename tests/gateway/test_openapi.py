"""The OpenAPI document is true: requests made of it, good and bad, are answered as it says, and none breaks the gateway (fault F10)."""

import asyncio
import contextlib
import json
from collections import Counter

import aiohttp
import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from tests.amounts import amount

from rightseat.gateway.routes import ROUTES, openapi

ADMIN = "management-key-0123456789"
EACH = amount(20, 70)  # of each operation, good and bad


async def test_thousands_of_requests_made_of_the_document(gateway):
    served = await gateway(settings={"management_key": ADMIN, "lockout_failures": 0, "body_seconds": 5})
    schema = schemathesis.openapi.from_dict(openapi(served.url))
    schema.config.base_url = served.url
    seen: Counter[tuple[str, int]] = Counter()
    wrong = []

    def run() -> None:
        operations = [result.ok() for result in schema.get_all_operations()]
        assert len(operations) == len(ROUTES)
        for operation in operations:
            for mode in GenerationMode:
                with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # nothing can be wrong about some
                    try_all(operation, mode)

    def try_all(operation, mode) -> None:
        label = operation.label

        @settings(
            max_examples=EACH,
            database=None,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def call(case):
            if label.endswith("/accounts") and isinstance(case.body, dict):  # nobody outside is asked
                for name in ("host", "base_url"):
                    if isinstance(case.body.get(name), str):
                        del case.body[name]
            response = case.call(headers={"authorization": f"Bearer {ADMIN}"}, timeout=20)
            seen[label, response.status_code] += 1
            asked_well = mode is GenerationMode.POSITIVE and not label.endswith("/accounts")
            # No schema can say that names must not differ in case alone.
            refused = asked_well and response.status_code in (400, 422) and "must be written" not in response.text
            fine = (not refused and response.status_code < 500) or (response.status_code == 503 and "readyz" in label)
            kind = str(response.headers.get("content-type", [""])[0])
            if not fine or not kind.startswith(("application/json", "text/")):
                wrong.append((label, response.status_code, kind, response.text[:200]))

        call()

    await asyncio.to_thread(run)
    assert wrong == []
    assert sum(seen.values()) >= amount(600, 2000), seen
    assert {label for label, _ in seen} == {f"{route.method} {route.path}" for route in ROUTES}


async def test_other_methods_of_open_paths_are_refused_by_what_they_take_and_bodies_are_described_strictly(gateway):
    served = await gateway(settings={"require_key": True})
    async with aiohttp.ClientSession() as http:
        for method in ("PUT", "TRACE", "QUERY"):
            async with http.request(method, f"{served.url}/healthz") as response:
                assert (response.status, response.headers["allow"]) == (405, "HEAD, GET"), method
                assert len(response.headers.getall("x-request-id")) == 1
        async with http.get(f"{served.url}/openapi.json") as response:
            document = json.loads(await response.read())
    body = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["model"] == {"type": "string", "minLength": 1, "maxLength": 256}
    assert body["properties"]["messages"]["minItems"] == 1
    assert body["properties"]["messages"]["items"]["required"] == ["role", "content"]
    assert {} in document["paths"]["/v1/models"]["get"]["security"]
    assert {} not in document["paths"]["/v0/management/keys"]["get"]["security"]
