"""What is said to a model and by it: frozen values, the same for every dialect. Imports nothing but errors."""

from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.chat.fold import Block, Completion, Reasoning, fold
from rightseat.chat.message import ChatRequest, Image, Message, Meta, ToolCall, ToolSpec
from rightseat.chat.reply import Answer, Reply

__all__ = [
    "Answer",
    "Block",
    "ChatRequest",
    "Completion",
    "Finish",
    "Image",
    "Message",
    "Meta",
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
