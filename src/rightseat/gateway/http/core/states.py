r"""The states of a connection, one table a half: what is not in it does not happen.

    reading   HEAD --judged--> BODY --whole--> DONE --reuse--> HEAD         writing   NONE --respond--> DONE --reuse--> NONE
               |  \--no body-------------------^  |                                    |  \--stream--> OPEN --end--^
               +--------------+--------------------+--> DRAIN --> SHUT                 +------+-----------+--------------> SHUT

Reuse is the one transition that needs both halves: `reading` DONE and `writing` DONE. DRAIN reads and throws away, so that a client that
still sends can read why its request was refused. SHUT is the end. This module does not know bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class ReadState(IntEnum):
    """What comes next from the client."""

    HEAD = 0
    BODY = 1
    DONE = 2
    DRAIN = 3
    SHUT = 4


class WriteState(IntEnum):
    """What has gone to the client."""

    NONE = 0
    OPEN = 1
    DONE = 2
    SHUT = 3


READING: Mapping[ReadState, frozenset[ReadState]] = {
    ReadState.HEAD: frozenset((ReadState.BODY, ReadState.DONE, ReadState.DRAIN, ReadState.SHUT)),
    ReadState.BODY: frozenset((ReadState.DONE, ReadState.DRAIN, ReadState.SHUT)),
    ReadState.DONE: frozenset((ReadState.HEAD, ReadState.DRAIN, ReadState.SHUT)),
    ReadState.DRAIN: frozenset((ReadState.SHUT,)),
    ReadState.SHUT: frozenset(),
}
WRITING: Mapping[WriteState, frozenset[WriteState]] = {
    WriteState.NONE: frozenset((WriteState.OPEN, WriteState.DONE, WriteState.SHUT)),
    WriteState.OPEN: frozenset((WriteState.DONE, WriteState.SHUT)),
    WriteState.DONE: frozenset((WriteState.NONE, WriteState.SHUT)),
    WriteState.SHUT: frozenset(),
}
