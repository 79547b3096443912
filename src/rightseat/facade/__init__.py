"""The high-level API: `CopilotSDK` puts a backend, the layers and a conversation together.

What is put together stays visible: every default is one keyword, and `CopilotSDK.handler` is the handler with its layers.
"""

from rightseat.facade.pool import LazySession, SessionPool
from rightseat.facade.response import ChatChunk, ChatResponse
from rightseat.facade.sdk import CopilotSDK
from rightseat.facade.session import ChatSession, ChatStream

__all__ = ["ChatChunk", "ChatResponse", "ChatSession", "ChatStream", "CopilotSDK", "LazySession", "SessionPool"]
