"""The tasks in the background of Kafka's client, without which a consumer reads nothing.

aiokafka 0.14 notices when the task ends that keeps a consumer in its group, and raises its error at the next poll. Of
the one that fetches and the one that asks for metadata it does not: polling goes on, and gives nothing for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import Future

    from aiokafka import AIOKafkaConsumer


def ended_task(consumer: AIOKafkaConsumer) -> str | None:
    """Return which task of a consumer that runs has ended, and why; None while all of them live."""
    tasks: dict[str, Future[Any] | None] = {
        "fetches": consumer._fetcher.error_future,  # noqa: SLF001 - nothing public tells it
        "asks for metadata": consumer._client._sync_task,  # noqa: SLF001
    }
    for name, task in tasks.items():
        if task is not None and task.done():
            why = "it was cancelled" if task.cancelled() else repr(task.exception())
            return f"the client's task that {name} has ended: {why}"
    return None
