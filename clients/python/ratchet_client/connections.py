"""What aiokafka leaves undone with its connections on uvloop: their loss.

There a write to a connection that was just lost raises RuntimeError; aiokafka 0.14 foresees OSError alone, and its task
that fetches or asks for metadata ends for good: a consumer stays in its group and reads nothing (aiokafka#1038).
"""

from __future__ import annotations

from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


class Connection(AIOKafkaConnection):  # type: ignore[misc]
    """A connection that tells its loss by the library's own error, on every event loop."""

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002 - the library's
        """Send a request; return what waits for its answer. Raise KafkaConnectionError where the connection is lost."""
        try:
            return super().send(request, expect_response)
        except RuntimeError as error:
            if self._writer is None or not self._writer.transport.is_closing():
                raise
            self.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(f"Connection to {self.host}:{self.port} was lost") from error


def notice_losses() -> None:
    """Let every connection of this process that aiokafka opens from now on notice its loss."""
    if conn.AIOKafkaConnection is AIOKafkaConnection:
        conn.AIOKafkaConnection = Connection
