"""For tests of code that uses Rightseat: scripted models and sessions, virtual time, faults, recordings.

    from rightseat.testing import ScriptedHandler, run_virtual

Nothing here needs the network, and nothing sleeps for real. Fixtures for pytest are in `rightseat.pytest_plugin`.
"""

from rightseat.backends.doubles import HandlerBackend
from rightseat.testing.clock import FakeClock, LoopClock, NothingLeftError, SeededIds, VirtualTimeLoop, run_virtual
from rightseat.testing.faults import Cut, Fail, Hang, Slow
from rightseat.testing.record import NotRecordedError, Recorder, Replayer
from rightseat.testing.scripted import PendingCall, Played, ScriptedHandler
from rightseat.testing.scripted_session import ScriptedSession

__all__ = [
    "Cut",
    "Fail",
    "FakeClock",
    "HandlerBackend",
    "Hang",
    "LoopClock",
    "NotRecordedError",
    "NothingLeftError",
    "PendingCall",
    "Played",
    "Recorder",
    "Replayer",
    "ScriptedHandler",
    "ScriptedSession",
    "SeededIds",
    "Slow",
    "VirtualTimeLoop",
    "run_virtual",
]
