"""nginx with deploy/nginx.conf before a running ingress: what gets through, what does not, and what it writes down."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import running_ingress as signed
from ingress_process import Attacked, free_port, ingress
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]

REFERENCE = Path(__file__).parents[2] / "deploy" / "nginx.conf"
STRIPE_SECRET = "whsec_0123456789abcdef01234567"
PATH_SECRET = "u7Jq2mX9cVb4RkTz8WpLn5Hs"
SENDER = "127.0.0.5"
CLAIMED = "203.0.113.9"
NAMES = ("pay.example.com", "ops.example.com")


class Proxied(NamedTuple):
    """A running nginx, the ingress behind it, and what nginx wrote down."""

    port: int
    ingress: Attacked
    access_log: Path
    error_log: Path

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, host: str = NAMES[0]
    ) -> tuple[int, dict[str, str]]:
        """Send a request over TLS from SENDER; return status and header fields."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(SENDER, 0))
        with context.wrap_socket(raw, server_hostname=host) as secured:
            connection = http.client.HTTPSConnection(host)
            connection.sock = secured
            connection.request(method, path, body, {"X-Forwarded-For": CLAIMED, **(headers or {})})
            answer = connection.getresponse()
            answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def configure(folder: Path, port: int, upstream: int) -> Path:
    """Write nginx's files: the reference as it stands, but for names of files and ports."""
    for name in NAMES:
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"]
        words += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]
        subprocess.run(words, check=True, capture_output=True)
    text = REFERENCE.read_text()
    for old, new in (
        ("/etc/nginx/tls/", f"{folder}/"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("127.0.0.1:8080", f"127.0.0.1:{upstream}"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "ratchet.conf").write_text(text)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log info;\n"
        f"events {{}}\nhttp {{\n{temporary}access_log {folder}/access.log;\ninclude {folder}/ratchet.conf;\n}}\n"
    )
    return main


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.fixture
def proxied(stack: Any, database: Any, tmp_path: Path) -> Iterator[Proxied]:
    settings = {
        "KAFKA__BOOTSTRAP": stack.kafka,
        "POSTGRES__DSN": database.dsn,
        "PUBLIC_URL": f"https://{NAMES[0]}",
        "INGRESS__TRUSTED_PROXIES": '["127.0.0.1/32"]',
        "PROVIDERS__STRIPE__SECRETS": json.dumps([STRIPE_SECRET]),
        "PROVIDERS__MPESA__SECRETS": json.dumps([PATH_SECRET]),
    }
    folder = tmp_path / "nginx"
    folder.mkdir()
    with ingress(tmp_path / "ingress", **settings) as attacked:
        port = free_port()
        main = configure(folder, port, attacked.address[1])
        child = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(main)], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: listens(port) or child.poll() is not None)
            assert child.poll() is None, (folder / "error.log").read_text()
            yield Proxied(port, attacked, folder / "access.log", folder / "error.log")
        finally:
            child.terminate()
            child.wait(10)


def test_the_reference_proxy_before_an_ingress(proxied: Proxied, record_figure: Callable[..., None]) -> None:
    _, body = signed.event()
    genuine = signed.signature(body, STRIPE_SECRET)
    status, fields = proxied.ask("POST", "/webhooks/stripe?a=%41&b=%2F", body, genuine)
    assert status == 202, "bytes, path and query came through as they were signed"
    assert "nginx/" not in fields.get("server", ""), "it does not say which version it is"
    assert proxied.ask("POST", "/webhooks/stripe", body.replace(b"{", b"{ ", 1), genuine)[0] == 401
    assert proxied.ask("POST", "/payment-intents", b"{}")[0] == 401
    inside = [proxied.ask("GET", path)[0] for path in ("/metrics", "/livez", "/readyz", "/readyz?verbose", "/", "/x")]
    assert inside == [404] * len(inside)
    assert proxied.ask("POST", "/webhooks/stripe", bytes(1024 * 1024 + 1))[0] == 413
    for name in ("mpesa", "MPesa"):
        assert proxied.ask("POST", f"/webhooks/{name}/{PATH_SECRET}", b"{}")[0] in {202, 400, 401, 422}
    assert proxied.ask("GET", "/", host=NAMES[1])[0] == 403, "the console is for the inside"
    wait_until(lambda: proxied.ingress.log.read_text().count('"event":"request"') >= 3)
    refused = [line for line in proxied.ingress.lines() if line.get("reason") == "bad_signature"]
    assert [line["sender"] for line in refused] == [SENDER], "what the sender claimed did not get through"
    written = proxied.access_log.read_text() + proxied.error_log.read_text()
    assert "/webhooks/stripe" in written
    assert PATH_SECRET not in written + proxied.ingress.log.read_text()
    record_figure(requests=13, secrets_in_logs=written.count(PATH_SECRET))


def test_an_ingress_that_is_away_leaves_no_secret_in_nginx_s_log(proxied: Proxied) -> None:
    proxied.ingress.process.terminate()
    proxied.ingress.process.wait(20)
    assert proxied.ask("POST", f"/webhooks/mpesa/{PATH_SECRET}", b"{}")[0] == 502
    assert proxied.ask("POST", "/webhooks/stripe", b"{}")[0] == 502, "answered once, and not tried again by the proxy"
    wait_until(lambda: "/webhooks/stripe" in proxied.error_log.read_text())
    assert PATH_SECRET not in proxied.access_log.read_text() + proxied.error_log.read_text()
