"""The CLI's methods, typed from the catalogue. Checked by mypy and pyright (strict), never run."""

from typing import Any, assert_type

from rightseat import CopilotClient, CopilotSession, Record, sync


async def use(client: CopilotClient, session: CopilotSession) -> None:
    quota = await client.rpc.account.get_quota()
    assert_type(quota.quota_snapshots, Record)
    assert_type((await client.rpc.models.list()).models, list[Record])
    assert_type((await session.rpc.history.compact(custom_instructions="keep the names")).success, bool)
    await session.rpc.history.compact({"customInstructions": "keep the names"}, timeout=5)
    await session.rpc.history.rewind(event_id="e", mode="conversation")
    assert_type(await session.rpc.suspend(), None)
    assert_type(await client.rpc("a.method.of.tomorrow", {"any": "thing"}), Any)
    assert_type((await client.rpc.auth.get_status())["isAuthenticated"], Any)

    await session.rpc.history.compac()  # type: ignore[attr-defined]
    await client.rpc.acount.get_quota()  # type: ignore[attr-defined]
    await session.rpc.history.compact(instructions="x")  # type: ignore[call-overload]
    await session.rpc.history.rewind(event_id="e", mode="backwards")  # type: ignore[call-overload]
    await session.rpc.history.rewind(mode="conversation")  # type: ignore[call-overload]


def in_sync(client: sync.CopilotClient, session: sync.CopilotSession) -> None:
    assert_type(client.rpc.account.get_quota().quota_snapshots, Record)
    assert_type(session.rpc.history.compact().success, bool)
    assert_type(client.rpc("account.getQuota"), Any)
    client.rpc.account.get_quta()  # type: ignore[attr-defined]
