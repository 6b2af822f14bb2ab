"""What the ingress is compared with: a bare Starlette handler, aiokafka, and the same signature check.

    python -m ops.bench.bare_ingress PORT

It checks, publishes with acks=all and answers 202; it has no bounds, no spool, no log, no metrics and no attributes.
Python's garbage collector has the settings of our roles, uvicorn runs on uvloop and httptools; no request is logged.
"""

from __future__ import annotations

import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from ops.bench.http_load import PATH, SECRET
from producers.providers import verify
from runtime.gc_tuning import tune_collector
from runtime.kafka import close_producer, ensure_topics, open_producer
from runtime.settings import load
from schemas.errors import SignatureRejected
from schemas.topics import RECORD_BYTES_MAX, WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

CLOSE_SECONDS: Final = 2.0


async def take(request: Request) -> JSONResponse:
    """Check the signature, publish, answer."""
    body = await request.body()
    headers = {name: [value] for name, value in request.headers.items()}
    try:
        found = verify("stripe", headers=headers, body=body, url=str(request.url), secrets=[SECRET], now=time.time())
    except SignatureRejected as rejected:
        return JSONResponse({"error": rejected.reason}, 401)
    for one in found:
        await request.app.state.producer.send_and_wait(WEBHOOKS.name, one.body, (one.payment_ref or "").encode())
    return JSONResponse({"accepted": len(found)}, 202)


@asynccontextmanager
async def _producing(app: Starlette) -> AsyncIterator[None]:
    settings = load()
    await ensure_topics(settings.kafka)
    app.state.producer = await open_producer(settings.kafka, RECORD_BYTES_MAX)
    yield
    await close_producer(app.state.producer, CLOSE_SECONDS)


def main() -> None:
    """Serve until the process is asked to end."""
    tune_collector()
    app = Starlette(routes=[Route(PATH, take, methods=["POST"])], lifespan=_producing)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)


if __name__ == "__main__":
    main()
