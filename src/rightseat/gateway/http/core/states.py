r"""The states of a connection, one table a half: what is not in it does not happen.

    reading   HEAD --judged--> BODY --whole--> DONE --reuse--> HEAD         writing   NONE --respond--> DONE --reuse--> NONE
               |  \--no body-------------------^  |                                    |  \--stream--> OPEN --end--^
               +--------------+--------------------+--> DRAIN --> SHUT                 +------+-----------+--------------> SHUT

Reuse is the one transition that needs both halves: `reading` DONE and `writing` DONE. DRAIN reads and throws away, so that a client that
still sends can read why it is not listened to. SHUT is the end. This module refuses to know bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Reading(Enum):
    """What comes next from the client."""

    HEAD = "head"
    BODY = "body"
    DONE = "done"
    DRAIN = "drain"
    SHUT = "shut"


class Writing(Enum):
    """What has gone to the client."""

    NONE = "none"
    OPEN = "open"
    DONE = "done"
    SHUT = "shut"


READING: Mapping[Reading, frozenset[Reading]] = {
    Reading.HEAD: frozenset((Reading.BODY, Reading.DONE, Reading.DRAIN, Reading.SHUT)),
    Reading.BODY: frozenset((Reading.DONE, Reading.DRAIN, Reading.SHUT)),
    Reading.DONE: frozenset((Reading.HEAD, Reading.DRAIN, Reading.SHUT)),
    Reading.DRAIN: frozenset((Reading.SHUT,)),
    Reading.SHUT: frozenset(),
}
WRITING: Mapping[Writing, frozenset[Writing]] = {
    Writing.NONE: frozenset((Writing.OPEN, Writing.DONE, Writing.SHUT)),
    Writing.OPEN: frozenset((Writing.DONE, Writing.SHUT)),
    Writing.DONE: frozenset((Writing.NONE, Writing.SHUT)),
    Writing.SHUT: frozenset(),
}
