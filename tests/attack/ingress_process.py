"""The ingress as a process of its own, so that its memory is measured alone; loopback only."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024
OURS = ["-c", "from ops.cli import main; main()"]
MEASURED = Path(__file__).with_name("measured_ingress.py")
START_SECONDS_MAX = 90
NOWHERE = "127.0.0.1:1"
"""An endpoint that nobody listens at: what is attacked here answers before anything is stored."""


@dataclass(slots=True)
class Attacked:
    """A running ingress."""

    process: psutil.Process
    address: tuple[str, int]
    log: Path

    def rss(self) -> float:
        """Return its memory in MiB."""
        return float(self.process.memory_info().rss / MIB)

    def connect(self, sender: str = "127.0.0.1") -> socket.socket:
        """Return a connection from that address of loopback."""
        return socket.create_connection(self.address, timeout=5, source_address=(sender, 0))

    def lives(self) -> bool:
        """Tell whether it answers a sender elsewhere."""
        with self.connect("127.0.0.9") as sender:
            sender.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return sender.recv(64).startswith(b"HTTP/1.1 200 ")

    def lines(self) -> list[dict[str, object]]:
        """Return what it has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def role(words: list[str], folder: Path, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of ours with these settings (names without RATCHET_) until the block ends; it logs to role.log."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {
        "KAFKA__BOOTSTRAP": NOWHERE,
        "POSTGRES__DSN": f"postgresql://nobody@{NOWHERE}/none",
        "HOME": str(folder / "home"),
        **settings,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    environment = kept | {f"RATCHET_{name}": value for name, value in given.items()}
    with (folder / "role.log").open("w") as output:
        child = subprocess.Popen([sys.executable, *words], env=environment, stdout=output, stderr=output)
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextlib.contextmanager
def ingress(folder: Path, figures: Path | None = None, **settings: str) -> Iterator[Attacked]:
    """Run `ratchet ingress` with these settings (names without RATCHET_) until the block ends.

    With `figures` it writes there, when it ends, where its thread's time went (`measured_ingress`).
    """
    port = free_port()
    given = {
        "INGRESS__BIND": f"127.0.0.1:{port}",
        "PROVIDERS__STRIPE__SECRETS": '["whsec_0123456789abcdef01234567"]',
        **settings,
    }
    program = OURS if figures is None else [str(MEASURED), str(figures)]
    with role([*program, "ingress"], folder, given) as child:
        attacked = Attacked(psutil.Process(child.pid), ("127.0.0.1", port), folder / "role.log")
        wait_until(lambda: _listens(attacked) or child.poll() is not None, "it listens", START_SECONDS_MAX)
        assert child.poll() is None, attacked.log.read_text()
        yield attacked


def _listens(attacked: Attacked) -> bool:
    host, port = attacked.address
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/livez", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def send_for(senders: list[socket.socket], data: bytes, total_bytes: int, seconds: float) -> int:
    """Send `data` again and again on all connections, reading nothing; return how much they took.

    Ends when `total_bytes` are sent, when nobody takes anything for a second, or after `seconds`.
    """
    begin = last = time.monotonic()
    sent, left = 0, {sender: memoryview(data) for sender in senders}
    for sender in senders:
        sender.setblocking(False)
    while sent < total_bytes and left and time.monotonic() - begin < seconds and time.monotonic() - last < 1:
        moved = False
        for sender, rest in list(left.items()):
            try:
                size = sender.send(rest)
            except BlockingIOError:
                continue
            except OSError:
                del left[sender]
                continue
            sent, moved = sent + size, True
            left[sender] = rest[size:] or memoryview(data)
        if moved:
            last = time.monotonic()
        else:
            time.sleep(0.005)
    return sent


def peak_rss(attacked: Attacked, seconds: float) -> float:
    """Return the most memory that it has within the time, in MiB."""
    end, most = time.monotonic() + seconds, 0.0
    while time.monotonic() < end:
        most = max(most, attacked.rss())
        time.sleep(0.05)
    return most
