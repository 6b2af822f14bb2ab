"""The sender, against a small ingress of its own."""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from local_http import served

from ops.sample.plan import PROVIDERS, make_plan
from ops.sample.send import NO_ANSWER, Progress, Sender
from ops.sample.signing import Signer, new_secret
from runtime.settings import SampleSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from ops.sample.post import Post

    Serve = Callable[["SmallIngress"], Awaitable[str]]

pytestmark = pytest.mark.unit

SETTINGS = SampleSettings(
    backoff_initial_seconds=0.001, backoff_max_seconds=0.002, attempts_max=3, requests_in_flight_max=4
)
SIGNERS = {name: Signer(new_secret(name)) for name in PROVIDERS}
POSTS = [post for post in make_plan(3, lives=8, providers=PROVIDERS, now=1_790_000_000).posts if not post.fault]
ONE_EACH = list({post.provider: post for post in POSTS}.values())
"""A post to each provider, for what costs several requests a post."""


class SmallIngress:
    """Answers each body as asked, the last answer again and again."""

    def __init__(self, *answers: int) -> None:
        self.answers = answers
        self.seen: Counter[bytes] = Counter()
        self.now = self.most = 0

    async def take(self, request: web.Request) -> web.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        body = await request.read()
        status = self.answers[min(self.seen[body], len(self.answers) - 1)]
        self.seen[body] += 1
        self.now -= 1
        return web.Response(status=status, text='{"accepted": 1}' if status == 202 else "oops")


@pytest.fixture
async def serve() -> AsyncIterator[object]:
    async with AsyncExitStack() as servers:

        async def begin(ingress: SmallIngress) -> str:
            app = web.Application()
            app.router.add_post("/webhooks/{provider}", ingress.take)
            return await servers.enter_async_context(served(app))

        yield begin


async def send(url: str, posts: Sequence[Post] = POSTS) -> Progress:
    progress = Progress(len(posts))
    await Sender(SETTINGS, SIGNERS, url, progress).send_all(posts)
    return progress


async def test_everything_is_posted_once_and_bounded(serve: Serve) -> None:
    ingress = SmallIngress(202)
    progress = await send(await serve(ingress))
    assert (progress.sent, progress.accepted, progress.refused) == (len(POSTS), len(POSTS), 0)
    assert {sent.post for sent in progress.results} == set(POSTS)
    assert all((sent.taken, sent.accepted, sent.attempts) == (True, 1, 1) for sent in progress.results)
    assert ingress.most <= SETTINGS.requests_in_flight_max


async def test_a_503_is_tried_again_and_counted(serve: Serve) -> None:
    class Flaky(SmallIngress):
        async def take(self, request: web.Request) -> web.Response:
            first = not self.seen["all"]
            self.seen["all"] += 1
            return web.Response(status=503) if first else web.json_response({"accepted": 1}, status=202)

    progress = await send(await serve(Flaky(202)))
    assert progress.retried == 1
    assert progress.accepted == len(POSTS)
    assert sorted({sent.attempts for sent in progress.results}) == [1, 2]


async def test_patience_ends(serve: Serve) -> None:
    progress = await send(await serve(SmallIngress(503)), ONE_EACH)
    assert {(sent.status, sent.attempts) for sent in progress.results} == {(503, 3)}
    assert progress.refused == len(ONE_EACH) == len(PROVIDERS)
    assert progress.retried == 2 * len(ONE_EACH), "after the last try there is none"


async def test_a_refusal_is_not_tried_again(serve: Serve) -> None:
    progress = await send(await serve(SmallIngress(401)))
    assert {(sent.status, sent.attempts, sent.accepted) for sent in progress.results} == {(401, 1, 0)}


async def test_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    progress = await send(f"http://127.0.0.1:{port}", ONE_EACH)
    assert {(sent.status, sent.attempts) for sent in progress.results} == {(NO_ANSWER, 3)}
    assert not any(sent.taken for sent in progress.results)


async def test_what_got_no_answer_is_tried_again(serve: Serve) -> None:
    class Restarting(SmallIngress):
        async def take(self, request: web.Request) -> web.Response:
            body = await request.read()
            self.seen[body] += 1
            if self.seen[body] == 1:
                assert request.transport is not None
                request.transport.abort()
            return web.json_response({"accepted": 1}, status=202)

    progress = await send(await serve(Restarting()), ONE_EACH)
    assert {(sent.status, sent.attempts) for sent in progress.results} == {(202, 2)}
    assert (progress.retried, progress.accepted) == (len(ONE_EACH), len(ONE_EACH))


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_who_leads_elsewhere_took_nothing(serve: Serve, status: int) -> None:
    """A proxy leads to another name or to https; what answers there is asked for a page by most of these."""
    elsewhere: list[str] = []

    class Leading(SmallIngress):
        async def take(self, request: web.Request) -> web.Response:
            if "elsewhere" in request.query:
                elsewhere.append(request.path)
                return web.json_response({"accepted": 1}, status=202)
            return web.Response(status=status, headers={"Location": f"{request.path}?elsewhere"})

    progress = await send(await serve(Leading()), ONE_EACH)
    assert {(sent.status, sent.attempts, sent.taken) for sent in progress.results} == {(status, 1, False)}
    assert (progress.refused, elsewhere) == (len(ONE_EACH), [])
