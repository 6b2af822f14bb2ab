"""`ratchet ingress` that also writes down where its only thread's time goes: run with the file to write as argument.

Wall-clock time says little on a machine that others use too. What an attack does to a genuine webhook is the time that
the loop's thread works on other things between the webhook's first byte and its answer, and how long one turn of the
loop takes at most: CPU time of that thread, the same on a busy machine and an idle one. It runs on asyncio's own loop,
since uvloop's turns cannot be seen; that is the slower one.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ops.cli import main
from producers.ingress.http.protocol import HttpProtocol
from producers.ingress.http.uvicorn_parts import HttpCycle

GENUINE = "127.0.0.9"
"""The address that genuine webhooks come from."""
WARM_UP = 20
"""The first genuine requests: what came before the last of them is no figure."""
warm: list[bool] = []
turns: list[float] = []
genuine: list[float] = []


def watch_turns() -> None:
    """Note the CPU time of every turn of the loop, waiting for events left out."""
    run_once = asyncio.base_events.BaseEventLoop._run_once  # type: ignore[attr-defined]

    def timed(self: Any) -> None:
        began = time.thread_time()
        run_once(self)
        turns.append(time.thread_time() - began)

    asyncio.base_events.BaseEventLoop._run_once = timed  # type: ignore[attr-defined]


def watch_requests() -> None:
    """Note the CPU time from a genuine request's connection to its answer."""
    made, send_whole = HttpProtocol.connection_made, HttpCycle.send_whole

    def connection_made(self: Any, transport: Any) -> None:
        made(self, transport)
        self.began_thread_time = time.thread_time()

    def answered(self: Any, answer: Any, request_id: bytes) -> bool:
        sent = send_whole(self, answer, request_id)
        if sent and self.scope["client"][0] == GENUINE and answer.status == 202:
            protocol = self.on_response.__self__
            genuine.append(time.thread_time() - protocol.began_thread_time)
            if len(genuine) == WARM_UP and not warm:
                warm.append(True)
                turns.clear()
                genuine.clear()
        return sent

    HttpProtocol.connection_made = connection_made  # type: ignore[method-assign]
    HttpCycle.send_whole = answered  # type: ignore[method-assign]


def write(path: Path) -> None:
    path.write_text(json.dumps({"turns": turns, "genuine": genuine, "cpu": time.process_time()}))


if __name__ == "__main__":
    target = Path(sys.argv.pop(1))
    sys.modules["uvloop"] = SimpleNamespace(new_event_loop=asyncio.new_event_loop)  # type: ignore[assignment]
    watch_turns()
    watch_requests()
    atexit.register(write, target)
    main()
