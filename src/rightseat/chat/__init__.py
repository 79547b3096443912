"""Requests, events and answers of a model: frozen values, the same for every dialect. Imports nothing but errors."""

from rightseat.chat.answer import Answer, Reply
from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.chat.fold import MAX_ANSWER_CHARS, Block, Completion, Folding, Reasoning, fold
from rightseat.chat.message import ChatRequest, Estimate, Image, Message, Meta, ToolCall, ToolSpec

__all__ = [
    "MAX_ANSWER_CHARS",
    "Answer",
    "Block",
    "ChatRequest",
    "Completion",
    "Estimate",
    "Finish",
    "Folding",
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
