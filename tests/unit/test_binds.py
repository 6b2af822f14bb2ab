"""Where the roles of `up` listen: a choice stands, and where nobody chose a taken port is no obstacle."""

from __future__ import annotations

import socket

import pytest

from ops import binds
from runtime.settings import ConsoleSettings, IngressSettings, Settings
from schemas.errors import SettingsError

pytestmark = pytest.mark.unit


def unchosen(ingress: int, console: int) -> Settings:
    """Return settings whose usual ports are these, and nobody chose them."""
    return Settings().model_copy(
        update={
            "ingress": IngressSettings.model_construct(_fields_set=set(), bind=f"127.0.0.1:{ingress}"),
            "console": ConsoleSettings.model_construct(_fields_set=set(), bind=f"127.0.0.1:{console}"),
        }
    )


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def test_the_usual_ports_where_they_are_free() -> None:
    first, second = binds.any_port("127.0.0.1"), binds.any_port("127.0.0.1")
    reported: list[str] = []
    found = binds.choose(unchosen(first, second), reported.append)
    assert list(found.values()) == [f"127.0.0.1:{first}", f"127.0.0.1:{second}"]
    assert reported == []


def test_a_taken_port_is_passed_over_and_reported_in_a_line() -> None:
    reported: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as other:
        port_of_taken, port_of_other = port_of(taken), port_of(other)
        found = binds.choose(unchosen(port_of_taken, port_of_other), reported.append)
    ingress, console = found.values()
    assert reported == [
        f"port {port_of_taken} is taken: the ingress listens at {ingress}",
        f"port {port_of_other} is taken: the console listens at {console}",
    ]
    assert len({ingress, console, f"127.0.0.1:{port_of_taken}", f"127.0.0.1:{port_of_other}"}) == 4


def test_the_next_port_is_the_first_that_is_free_and_not_the_others() -> None:
    assert binds.next_free("127.0.0.1", 8080, {8081}, lambda _, port: port > 8080) == 8082
    assert binds.next_free("127.0.0.1", 8080, (), lambda *_: False) > 0


@pytest.mark.parametrize("role", ["ingress", "console"])
def test_a_chosen_address_that_is_taken_is_an_error_that_names_the_setting(role: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{port_of(taken)}"
        free = {one: {"bind": "127.0.0.1:0"} for one in ("ingress", "console")}
        settings = Settings(**(free | {role: {"bind": address}}))
        with pytest.raises(SettingsError, match=f"RATCHET_{role.upper()}__BIND: {address} cannot be listened on"):
            binds.choose(settings, pytest.fail)


def test_a_chosen_address_stands_and_port_0_is_decided() -> None:
    settings = Settings(ingress={"bind": "127.0.0.1:0"}, console={"bind": f"127.0.0.1:{binds.any_port('127.0.0.1')}"})
    found = binds.choose(settings, pytest.fail)
    assert found["RATCHET_CONSOLE__BIND"] == settings.console.bind
    assert int(found["RATCHET_INGRESS__BIND"].rpartition(":")[2]) > 0


def test_ipv6_has_its_own_ports() -> None:
    assert binds.fixed("[::1]:8080") == "[::1]:8080"


def neighbours() -> tuple[socket.socket, int]:
    """Return a server, and the port after its own, which is free."""
    while True:
        taken = socket.create_server(("127.0.0.1", 0))
        after = port_of(taken) + 1
        if after < 65_536 and binds.can_listen("127.0.0.1", after):
            return taken, after
        taken.close()


@pytest.mark.parametrize("role", ["ingress", "console"])
def test_who_gives_way_does_not_take_the_other_s_port(role: str) -> None:
    """Both are free when they are looked at: no role listens yet."""
    taken, after = neighbours()
    with taken:
        held = port_of(taken)
        usual = (held, after) if role == "ingress" else (after, held)
        ports = [int(found.rpartition(":")[2]) for found in binds.choose(unchosen(*usual), lambda _: None).values()]
    assert len({*ports, held}) == 3
    assert ports[1 if role == "ingress" else 0] == after, "who has it keeps it"


def test_no_port_is_past_the_last_one() -> None:
    tried: list[int] = []

    def none(_: str, port: int) -> bool:
        tried.append(port)
        return False

    binds.next_free("127.0.0.1", 65_530, (), none)
    assert tried == list(range(65_530, 65_536))
