"""The embedded brokers: a real Kafka, Postgres and Redis of the current user, on free ports, in RATCHET_HOME.

Here live fetching, configuring, starting, watching and stopping them. Nothing here knows what they are used for.

As the owner of the stack (one process a home; a second one gets a StackError):

    stack = Stack(home)                      # home: Path; a new home is made
    endpoints = await stack.start()          # .kafka .dsn .owner_dsn .superuser_dsn .redis; .environment() for roles
    await stack.status()                     # {"kafka": {"state", "pid", "address"}, "postgres": .., "redis": ..}
    await stack.revive()                     # brings dead brokers back at the same address; stack.dead() names them
    await watch(stack, stop, settings)       # the same until the event `stop` is set
    await stack.stop()

    await serve(home, stop, on_ready=..., report=...)   # all of it in one call: start, watch, stop

From any other process: `read_state(home)` (None: no stack runs; else `.endpoints`, `.owner.pid`),
`await read_status(home)` (the same shape as `status`), `await request_stop(home)` (SIGTERM to the owner, and wait).

State is `running`, `stopped`, `starting`, `unresponsive`, or `absent` (a Redis that no package has for this machine).
Each server runs under a reaper process which stops it when the owner is gone in whatever way: see `reaper.py`. Reading
order: supervisor, guard, reaper, then kafka, postgres, redis.
"""

from runtime.stack.service import read_state, read_status, request_stop, serve, watch
from runtime.stack.state import Endpoints, StackState
from runtime.stack.supervisor import Stack

__all__ = ["Endpoints", "Stack", "StackState", "read_state", "read_status", "request_stop", "serve", "watch"]
