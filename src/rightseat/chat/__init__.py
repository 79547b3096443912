"""What is said to a model and by it: frozen values, the same for every dialect. Imports nothing but errors."""

from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, TextDelta, ToolCallEvent, Usage
from rightseat.chat.fold import Completion, fold
from rightseat.chat.message import ChatRequest, Message, ToolCall, ToolSpec
from rightseat.chat.reply import Reply

__all__ = [
    "ChatRequest",
    "Completion",
    "Finish",
    "Message",
    "ModelEvent",
    "ReasoningDelta",
    "Reply",
    "TextDelta",
    "ToolCall",
    "ToolCallEvent",
    "ToolSpec",
    "Usage",
    "fold",
]
