"""Clients that leave while their connection is not read.

A connection whose reading is paused (a request waits behind another one on it, or its body is not wanted yet) shows no end: its bytes would have
to be read first. The kernel knows all the same, so it is asked twice a second for all such connections at once. Linux only; elsewhere the
end shows when something is read or written. This module does not know what is asked on a connection.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterable
from typing import Any

from rightseat.clock import SYSTEM_CLOCK, Clock

CHECK_SECONDS = 0.5
_LEFT = frozenset(
    (4, 5, 6, 7, 8, 9, 11)
)  # every state of tcp(7) in which the peer sends no more; TCP_CLOSE_WAIT is 8, TCP_CLOSE is 7


async def watch(connections: Iterable[Any], clock: Clock = SYSTEM_CLOCK) -> None:
    """Until cancelled: end the connections whose clients have left.

    Args:
        connections: uvicorn's protocols; those that are open now, each time it is looked at.
        clock: time.
    """
    while sys.platform == "linux":
        await clock.sleep(CHECK_SECONDS)
        for protocol in [one for one in connections if _is_paused(one)]:
            if has_left(protocol.transport):
                protocol.transport.abort()


def _is_paused(protocol: Any) -> bool:
    flow = getattr(protocol, "flow", None)
    return flow is not None and flow.read_paused and not protocol.transport.is_closing()


def has_left(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer has closed its side of a TCP connection."""
    sock = transport.get_extra_info("socket")
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in _LEFT
    except (OSError, AttributeError, ValueError):  # not TCP
        return False
