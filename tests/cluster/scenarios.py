"""What is done to the servers, the roles and the network, and what ends it. Each fault is a pair: break it, mend it."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.proxy import Way
from cluster.servers import NODES, serves, until_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cluster.given import Given

    Deed = Callable[[Given], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """A fault: how it begins, how long it lasts, how it ends.

    `pooled` puts PgBouncer in session mode before either Postgres server; `nameless` leaves the consumers without an
    instance id.
    """

    name: str
    fault: str
    begin: Deed
    end: Deed
    seconds: float = 20.0
    pooled: bool = False
    nameless: bool = False


async def nothing(given: Given) -> None:
    """Do nothing."""


async def kill_leader(given: Given) -> None:
    given.hurt = await given.leader_of(0)
    await asyncio.to_thread(given.nodes[given.hurt].kill)


async def start_node(given: Given) -> None:
    server = given.nodes[given.hurt]
    await asyncio.to_thread(server.start)
    await until_up(lambda: serves(server), given.hurt)


async def freeze_leader(given: Given) -> None:
    given.hurt = await given.leader_of(0)
    given.nodes[given.hurt].freeze()


async def thaw_node(given: Given) -> None:
    given.nodes[given.hurt].thaw()


def way_to_leader(way: Way, seconds: float = 0.0) -> Deed:
    """Break the clients' way to the leader of partition 0; brokers reach each other."""

    async def begin(given: Given) -> None:
        given.hurt = await given.leader_of(0)
        given.network.set(f"proxy_{given.hurt}", way, seconds)

    return begin


async def open_way(given: Given) -> None:
    given.network.set(f"proxy_{given.hurt}", Way.OPEN)


async def kill_two_nodes(given: Given) -> None:
    for number in range(2, NODES + 1):
        await asyncio.to_thread(given.nodes[f"kafka{number}"].kill)


async def start_two_nodes(given: Given) -> None:
    for number in range(2, NODES + 1):
        await asyncio.to_thread(given.nodes[f"kafka{number}"].start)
    for number in range(2, NODES + 1):
        server = given.nodes[f"kafka{number}"]
        await until_up(lambda server=server: serves(server), server.broker.folder.name)  # type: ignore[misc]


async def roll_nodes(given: Given) -> None:
    """Stop one broker after the other in order, and start it again."""
    for name, server in given.nodes.items():
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        await until_up(lambda server=server: serves(server), name)  # type: ignore[misc]
        await until_up(given.in_step, "all copies are in step")


async def end_sessions(given: Given) -> None:
    """End all sessions of the roles every two seconds, ten times."""
    above = await given.as_superuser()
    try:
        for _ in range(10):
            await above.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'ratchet%'"
            )
            await asyncio.sleep(2)
    finally:
        await above.close()


async def freeze_consumer(given: Given) -> None:
    process = given.fleet.members["consumer1"].process
    assert process is not None
    process.send_signal(signal.SIGSTOP)


async def thaw_consumer(given: Given) -> None:
    process = given.fleet.members["consumer1"].process
    assert process is not None
    process.send_signal(signal.SIGCONT)


async def kill_primary(given: Given) -> None:
    await asyncio.to_thread(given.databases.a.kill)
    await asyncio.sleep(3)
    await given.databases.promote()
    given.healed()


async def freeze_primary(given: Given) -> None:
    given.databases.a.freeze()
    await asyncio.sleep(3)
    await given.databases.promote()
    given.healed()


async def fence_primary(given: Given) -> None:
    """End the old primary without letting it run again, as whoever promotes another one has to."""
    await asyncio.to_thread(given.databases.a.kill)


def way_to_primary(way: Way, seconds: float = 0.0) -> Deed:
    """Break the way from the roles to the primary; nobody is promoted."""

    async def begin(given: Given) -> None:
        given.hurt = "pg_a"
        given.network.set("proxy_pg_a", way, seconds)

    return begin


async def kill_standby(given: Given) -> None:
    await asyncio.to_thread(given.databases.b.kill)


async def start_standby(given: Given) -> None:
    await asyncio.to_thread(given.databases.b.start)
    await until_up(given.databases.synchronous, "the standby is synchronous again")


def kill_role(name: str) -> Deed:
    """Kill one process of a role; the run's keeper starts it again after RESTART_SECONDS."""

    async def begin(given: Given) -> None:
        process = given.fleet.members[name].process
        assert process is not None
        process.kill()

    return begin


async def roll_consumers(given: Given) -> None:
    for name in ("consumer1", "consumer2"):
        member = given.fleet.members[name]
        assert member.process is not None
        member.process.terminate()
        await asyncio.sleep(8)


async def open_transaction(given: Given) -> None:
    """Let a stranger's transaction with an id of its own stand open."""
    given.stranger = await given.as_superuser()
    await given.stranger.execute("begin")
    await given.stranger.fetchval("select pg_current_xact_id()")


async def end_transaction(given: Given) -> None:
    assert given.stranger is not None
    await given.stranger.execute("rollback")
    await given.stranger.close()


async def kill_leader_and_open_transaction(given: Given) -> None:
    """Open a stranger's transaction and let webhooks go to the spool for a while."""
    await open_transaction(given)
    for node in given.nodes:
        given.network.set(f"proxy_{node}", Way.RESET)
    await asyncio.sleep(5)
    for node in given.nodes:
        given.network.set(f"proxy_{node}", Way.OPEN)


ALL = (
    Scenario("baseline", "no fault", nothing, nothing, 10),
    Scenario(
        "broker_killed", "kill -9 of the leader of partition 0, started again after 20 s", kill_leader, start_node
    ),
    Scenario("broker_frozen", "SIGSTOP of the leader of partition 0 for 20 s", freeze_leader, thaw_node),
    Scenario(
        "broker_cut_off",
        "clients' packets to the leader of partition 0 are lost for 30 s; brokers reach each other",
        way_to_leader(Way.STALLED),
        open_way,
        30,
    ),
    Scenario(
        "broker_answers_lost",
        "what the leader of partition 0 answers is lost for 20 s",
        way_to_leader(Way.ANSWERS_STALLED),
        open_way,
    ),
    Scenario(
        "broker_resets",
        "connections to the leader of partition 0 end by RST for 20 s",
        way_to_leader(Way.RESET),
        open_way,
    ),
    Scenario(
        "broker_half_closes",
        "the leader's side of all connections is closed once",
        way_to_leader(Way.HALF_CLOSED),
        open_way,
        10,
    ),
    Scenario(
        "broker_slow", "the leader of partition 0 is 500 ms away for 20 s", way_to_leader(Way.LATE, 0.25), open_way
    ),
    Scenario("min_isr_lost", "two of three brokers killed for 20 s", kill_two_nodes, start_two_nodes),
    Scenario("brokers_rolled", "each broker stopped and started again, one after the other", roll_nodes, nothing, 10),
    Scenario("postgres_failover", "kill -9 of the primary, the standby promoted after 3 s", kill_primary, nothing),
    Scenario(
        "primary_frozen",
        "SIGSTOP of the primary (first host of the DSN), the standby promoted after 3 s, the old one fenced after 40 s",
        freeze_primary,
        fence_primary,
        40,
    ),
    Scenario(
        "primary_cut_off",
        "packets to the primary are lost for 20 s, nobody is promoted",
        way_to_primary(Way.STALLED),
        open_way,
    ),
    Scenario(
        "primary_answers_lost",
        "what the primary answers is lost for 15 s (fate of COMMITs unknown)",
        way_to_primary(Way.ANSWERS_STALLED),
        open_way,
        15,
    ),
    Scenario(
        "primary_resets", "connections to the primary end by RST for 10 s", way_to_primary(Way.RESET), open_way, 10
    ),
    Scenario("sessions_ended", "all sessions of the roles are ended every 2 s for 20 s", end_sessions, nothing, 20),
    Scenario("standby_dead", "kill -9 of the synchronous standby for 40 s", kill_standby, start_standby, 40),
    Scenario(
        "consumer_killed",
        "kill -9 of one of two consumers, started again after 1 s",
        kill_role("consumer1"),
        nothing,
        15,
    ),
    Scenario(
        "consumer_killed_without_id",
        "kill -9 of one of two consumers without an instance id, started again after 1 s",
        kill_role("consumer1"),
        nothing,
        20,
        nameless=True,
    ),
    Scenario("consumer_frozen", "SIGSTOP of one of two consumers for 20 s", freeze_consumer, thaw_consumer),
    Scenario("relay_killed", "kill -9 of one of two relays, started again after 1 s", kill_role("relay1"), nothing, 15),
    Scenario(
        "ingress_killed", "kill -9 of one of two ingresses, started again after 1 s", kill_role("ingress1"), nothing, 15
    ),
    Scenario(
        "consumers_rolled", "SIGTERM to one consumer after the other, each back after 1 s", roll_consumers, nothing, 4
    ),
    Scenario(
        "strangers_transaction",
        "a stranger's transaction is open for 30 s; all brokers refuse connections in the first 5 s",
        kill_leader_and_open_transaction,
        end_transaction,
        25,
    ),
    Scenario("pooled", "no fault, PgBouncer in session mode before Postgres", nothing, nothing, 10, pooled=True),
    Scenario(
        "pooled_failover",
        "kill -9 of the primary behind PgBouncer in session mode, the standby behind another one promoted after 3 s",
        kill_primary,
        nothing,
        pooled=True,
    ),
)
