"""Carries out commands: reads `payments.commands`, calls one function, and answers on `payments.events`.

The function gets each command at least once and has to be idempotent: `command.id` is the provider's idempotency key,
`command.provider_ref` the payment at the provider that it is for (None where nobody has told it yet: find it by
`command.reference`, or refuse). It returns once the provider has done it, and raises `Refused` where the provider
won't. Any other error leaves open what became of it: the function is called again, after growing pauses, until that is
known or `expires_at` has come. After that no command is begun and none is answered: Ratchet shows what expired so.

Commands of one payment are carried out one after another, different payments side by side. Offsets are committed up to
the first command that is open: after a `kill -9` those come again, their answers are the same, and the key keeps the
provider from acting twice.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
import re
import sys
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from ratchet_client.ordered import Ordered, Retry
from ratchet_client.publish import PREFIX, Publisher, event
from ratchet_client.types import CommandAnswered, CommandRecord, CommandRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    CarryOut = Callable[[CommandRecord], Awaitable[None]]

REASON_LENGTH_MAX: Final = 200
EVENT_ID_LENGTH_MAX: Final = 400
UNREADABLE: Final = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]+"
)
"""Breaks, controls and characters that show nothing: they have no place in a reason that people read in one line."""


class Refused(Exception):  # noqa: N818 - what the provider did, and no fault of ours
    """The provider won't carry the command out, for this reason; the client may use its money for something else."""


@dataclass
class Executor:
    """What carries out the commands of some accounts, such as "stripe" and "adyen/acme".

    `source` is the name that RATCHET_EXECUTORS gives these accounts. `livemode` leaves out live or test commands.
    """

    bootstrap: str
    group: str
    source: str
    accounts: Collection[str]
    carry_out: CarryOut
    livemode: bool | None = None
    prefix: str = PREFIX
    retry: Retry = field(default_factory=Retry)
    in_flight_max: int = 50
    security: dict[str, Any] = field(default_factory=dict)

    def wants(self, command: CommandRecord) -> bool:
        """Tell whether a command is this executor's."""
        account = f"{command.provider}/{command.account}" if command.account else command.provider
        return account in self.accounts and self.livemode in (None, command.livemode)

    async def run(self) -> None:
        """Carry out commands until it is cancelled."""
        async with Publisher(self.bootstrap, prefix=self.prefix, **self.security) as publisher:
            await Carrying(self, publisher).read()


class Carrying(Ordered):
    """One run of an executor."""

    def __init__(self, executor: Executor, publisher: Any) -> None:
        super().__init__(
            executor.bootstrap, executor.group, f"{executor.prefix}commands", executor.in_flight_max, executor.security
        )
        self._executor, self._publisher = executor, publisher

    async def deal(self, record: Any) -> None:
        command = decoded(record)
        if not self._executor.wants(command) or expired(command):
            return
        await self._answer(command, "accepted")
        tried = 0
        while not await self._known(command):
            tried += 1
            await asyncio.sleep(self._executor.retry.pause(tried))
            if expired(command):
                say(command, "it expired, and nobody knows what became of it at the provider")
                break

    async def _known(self, command: CommandRecord) -> bool:
        """Call the function once; answer and return True where it is known what became of the command."""
        try:
            await self._executor.carry_out(command)
        except Refused as refused:
            await self._answer(command, "refused", reason=reason_of(str(refused)))
        except Exception as error:  # noqa: BLE001 - whatever it was: the provider may have done it
            say(command, f"{type(error).__name__}: {error}")
            return False
        else:
            await self._answer(command, "done")
        return True

    async def _answer(self, command: CommandRecord, state: str, **said: str) -> None:
        answered = CommandRefused if said else CommandAnswered
        data = answered(id=command.payment_id, command_id=command.id, **said)
        await self._publisher.send(
            event(f"command.{state}", data, source=self._executor.source, event_id=answer_id(command.id, state))
        )

    async def leave(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """Leave what is open to whoever gets the partition: there is no bound on how long a provider may be away."""
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def reason_of(text: str) -> str:
    """Return why a provider refused, as one readable line."""
    return UNREADABLE.sub(" ", text).strip()[:REASON_LENGTH_MAX] or "refused by the provider"


def answer_id(command_id: str, state: str) -> str:
    """Return an answer's `ce_id`: the same whenever it is given."""
    readable = f"{command_id}:{state}"
    return readable if len(readable) <= EVENT_ID_LENGTH_MAX else hashlib.sha256(readable.encode()).hexdigest()


def expired(command: CommandRecord) -> bool:
    """Tell whether the command may not be begun any more."""
    return dt.datetime.fromisoformat(command.expires_at) <= dt.datetime.now(dt.UTC)


def say(command: CommandRecord, text: str) -> None:
    """Tell whoever runs the executor."""
    sys.stderr.write(f"command {command.id} of payment {command.payment_id}: {text}\n")


def decoded(record: Any) -> CommandRecord:
    """Return a record as a command, without fields that are newer than its type; what is none names its place."""
    try:
        value = json.loads(record.value)
        return CommandRecord(**{one.name: value[one.name] for one in fields(CommandRecord)})
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{record.topic}, partition {record.partition}, offset {record.offset}: no command") from None
