"""What is said to a model and by it: frozen values, the same for every dialect. Imports nothing but errors."""

from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.chat.fold import Block, Completion, Reasoning, fold
from rightseat.chat.message import ChatRequest, Image, Message, ToolCall, ToolSpec
from rightseat.chat.reply import Reply

__all__ = [
    "Block",
    "ChatRequest",
    "Completion",
    "Finish",
    "Image",
    "Message",
    "ModelEvent",
    "Reasoning",
    "ReasoningDelta",
    "ReasoningOpaque",
    "Reply",
    "TextDelta",
    "ToolCall",
    "ToolCallEvent",
    "ToolSpec",
    "Usage",
    "fold",
]
