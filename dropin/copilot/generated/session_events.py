"""Event types and what they carry."""

from rightseat.wire.events import SessionEvent
from rightseat.wire.session_events import *
from rightseat.wire.session_events import EventData as Data
