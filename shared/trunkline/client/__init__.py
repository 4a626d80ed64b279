"""Asking from Python: `async with Client.connect() as client: answer = await client.ask("…")`."""

from trunkline.client.client import Client, Conversation, Reply
from trunkline.client.progress import Answered, Progress, StreamItem, TextDelta
from trunkline.client.ways import Ways

__all__ = ["Answered", "Client", "Conversation", "Progress", "Reply", "StreamItem", "TextDelta", "Ways"]
