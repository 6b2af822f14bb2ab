"""One request and its answer on uvicorn's connection: what goes out at once, goes out in one write.

uvicorn's own cycle takes an answer apart again, looks at each header with two patterns and writes head and body one
after the other; that costs more than the check of a signature. An answer that is whole has its head made before, and
checked once (`answers.head_of`). Everything else goes by ASGI's messages, as uvicorn has it.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from producers.ingress.answers import CLOSE

if TYPE_CHECKING:
    from producers.ingress.answers import Answer, RawHeaders

REQUEST_ID: Final = b"x-request-id: "
HEAD_END: Final = b"\r\n\r\n"
DATES_HELD_MAX: Final = 2
"""Seconds whose date is kept as a header's line."""


@lru_cache(DATES_HELD_MAX)
def own_lines(headers: RawHeaders) -> bytes:
    """Return the headers that the server puts on every answer, each with its line's end: the date, for a second."""
    return b"".join(b"%s: %s\r\n" % header for header in headers)


class HttpCycle(RequestResponseCycle):
    """uvicorn's request and answer, which can also send a whole answer."""

    def send_whole(self, answer: Answer, request_id: bytes) -> bool:
        """Send the answer in one write; return False, and send nothing, where it must go by ASGI's messages.

        That is where the connection ends with it, where the method is HEAD, and where the sender reads too slowly.
        """
        if not self._can_go_at_once(answer):
            return False
        head = STATUS_LINE[answer.status] + own_lines(tuple(self.default_headers)) + answer.head()
        self.waiting_for_100_continue = False
        self.response_started = self.response_complete = True
        self.transport.write(b"".join((head, REQUEST_ID, request_id, HEAD_END, answer.body)))
        self.message_event.set()
        self.on_response()
        return True

    def _can_go_at_once(self, answer: Answer) -> bool:
        return (
            self.keep_alive
            and not self.response_started
            and not self.disconnected
            and not self.flow.write_paused
            and answer.status != HTTPStatus.NO_CONTENT
            and CLOSE not in answer.headers
            and self.scope["method"] != "HEAD"
        )
