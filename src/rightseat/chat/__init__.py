"""Requests, events and answers of a model: frozen values, the same for every dialect. Imports nothing but errors."""

from rightseat.chat.answer import Answer, Reply
from rightseat.chat.event import Finish, ModelEvent, ReasoningDelta, ReasoningOpaque, TextDelta, ToolCallEvent, Usage
from rightseat.chat.fold import Block, Completion, Reasoning, fold
from rightseat.chat.message import ChatRequest, Estimate, Image, Message, Meta, ToolCall, ToolSpec

__all__ = [
    "Answer",
    "Block",
    "ChatRequest",
    "Completion",
    "Estimate",
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
