"""The probe: what it answers, over a real socket."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest

from runtime import health
from runtime.health import Probe, answer, join_address, serving, split_address
from schemas.errors import SettingsError

pytestmark = pytest.mark.unit


def running() -> Probe:
    return Probe("relay", state="running", facts={"lag": 3})


def test_livez_is_200_and_503_with_the_reason() -> None:
    probe = running()
    assert answer(probe, "GET", "/livez")[0] == 200
    probe.stuck = lambda: "no turn has ended for 30 s"
    status, document = answer(probe, "GET", "/livez")
    assert status == 503
    assert document["reason"] == "no turn has ended for 30 s"


def test_readyz_needs_running_and_no_reason_against() -> None:
    probe = running()
    assert answer(probe, "GET", "/readyz")[0] == 200
    probe.unready = lambda: "Postgres is away"
    assert answer(probe, "GET", "/readyz") == (
        503,
        {"role": "relay", "state": "running", "reason": "Postgres is away"},
    )
    assert answer(probe, "GET", "/livez")[0] == 200, "a broker that is away is no reason to be replaced"
    probe.unready = lambda: None
    for probe.state in ("starting", "halted", "stopping"):
        status, document = answer(probe, "GET", "/readyz")
        assert (status, document["reason"]) == (503, f"the role is {probe.state}")


def test_verbose_shows_the_facts() -> None:
    assert answer(running(), "GET", "/readyz?verbose")[1]["facts"] == {"lag": 3}
    assert "facts" not in answer(running(), "GET", "/readyz")[1]


def test_the_metrics_say_what_the_probe_says() -> None:
    probe = running()
    for stuck, lines in (
        (None, (b'ratchet_role_stuck{role="relay"} 0.0\n', b'ratchet_role_ready{role="relay"} 1.0\n')),
        ("no turn", (b'ratchet_role_stuck{role="relay"} 1.0\n', b'ratchet_role_ready{role="relay"} 0.0\n')),
    ):
        probe.stuck = lambda stuck=stuck: stuck
        status, page = answer(probe, "GET", "/metrics")
        assert status == 200
        assert isinstance(page, bytes)
        assert all(line in page for line in lines)


def test_other_paths_and_methods() -> None:
    assert answer(running(), "GET", "/metricz")[0] == 404
    assert answer(running(), "POST", "/metrics")[0] == 405
    assert answer(running(), "POST", "/livez")[0] == 405
    assert answer(running(), "HEAD", "/livez")[0] == 200


@pytest.mark.parametrize("address", ["8080", ":8080", "host:", "host:x", "host:70000", "host:-1", ""])
def test_bad_addresses(address: str) -> None:
    with pytest.raises(SettingsError, match="host:port"):
        split_address(address)


def test_addresses() -> None:
    assert split_address("[::1]:80") == ("::1", 80)
    assert join_address("::1", 80) == "[::1]:80"
    assert join_address(*split_address("127.0.0.1:0")) == "127.0.0.1:0"


async def ask(address: str, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*split_address(address))
    try:
        writer.write(request)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_over_a_socket() -> None:
    async with serving(running(), "127.0.0.1:0") as address:
        head, _, body = (await ask(address, b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert json.loads(body) == {"role": "relay", "state": "running", "reason": None}
        head, _, body = (await ask(address, b"GET /metrics HTTP/1.1\r\n\r\n")).partition(b"\r\n\r\n")
        assert b"content-type: text/plain; version=1.0.0; charset=utf-8\r\n" in head
        assert b"content-length: %d\r\n" % len(body) in head
        assert b'ratchet_role_ready{role="relay"} 1.0\n' in body
        assert (await ask(address, b"HEAD /livez HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")
        assert (await ask(address, b"rubbish\r\n\r\n")).startswith(b"HTTP/1.1 404")
        assert await ask(address, b"GET /livez HTTP/1.1\r\n") == b""
        assert await ask(address, b"GET /livez HTTP/1.1\r\nx: " + b"x" * 20_000) == b""


async def test_who_asks_nothing_is_let_go_and_a_figure_of_any_kind_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REQUEST_TIMEOUT_SECONDS", 0.02)
    async with serving(running(), "127.0.0.1:0") as address:
        reader, writer = await asyncio.open_connection(*split_address(address))
        writer.write(b"GET /livez HTTP/1.1\r\n")
        assert await asyncio.wait_for(reader.read(), 10.0) == b""
        writer.close()
    monkeypatch.undo()
    probe = Probe("relay", state="running", facts={"token": uuid.UUID(int=1)})
    async with serving(probe, "127.0.0.1:0") as address:
        assert str(uuid.UUID(int=1)).encode() in await ask(address, b"GET /readyz?verbose HTTP/1.1\r\n\r\n")


async def test_an_address_that_is_taken_is_reported_by_its_setting() -> None:
    async with serving(running(), "127.0.0.1:0") as address:
        with pytest.raises(SettingsError, match=f"RATCHET_ROLE__PROBE_BIND: {address} cannot be listened on"):
            async with serving(running(), address):
                pass
