"""What the ingress refused since the last look: read from the metrics of the one that runs beside the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from runtime.lifecycle import read_run_file

if TYPE_CHECKING:
    from runtime.settings import Settings

FAMILY: Final = "ratchet_ingress_refusals"
REASON_LENGTH_MAX: Final = 64
PAGE_BYTES_MAX: Final = 4 * 1024 * 1024

Counts = dict[tuple[str, str], int]


class Refusals:
    """Remembers how far the ingress had counted; a process that is new has counted from 0."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pid: int | None = None
        self._before: Counts = {}

    async def fresh(self) -> list[tuple[str, str, int]]:
        """Return (provider, reason, requests) refused since the last call; nothing where no ingress can be asked."""
        found = read_run_file(self._settings.home, "ingress")
        counts = None if found is None else await self._counts(found.probe)
        if found is None or counts is None:
            return []
        known, before = self._pid is not None, self._before if found.pid == self._pid else {}
        self._pid, self._before = found.pid, counts
        return since(before, counts) if known else []

    async def _counts(self, address: str) -> Counts | None:
        """Return what the ingress' metrics say; None where they do not come whole, or are no metrics."""
        import aiohttp

        timeout, page = aiohttp.ClientTimeout(total=self._settings.role.probe_timeout_seconds), bytearray()
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://{address}/metrics") as answer,
            ):
                async for chunk in answer.content.iter_any():
                    page += chunk
                    if len(page) > PAGE_BYTES_MAX:
                        return None
                return refused(page.decode()) if answer.ok else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


def refused(page: str) -> Counts:
    """Return what a page of metrics says was refused, by provider and reason; pure."""
    counts: Counts = {}
    for family in text_string_to_metric_families(page):
        if family.name == FAMILY:
            for sample in family.samples:
                if sample.name == f"{FAMILY}_total":
                    key = sample.labels["provider"], sample.labels["reason"][:REASON_LENGTH_MAX]
                    counts[key] = int(sample.value)
    return counts


def since(before: Counts, now: Counts) -> list[tuple[str, str, int]]:
    """Return what was added, by provider and reason; pure."""
    return [(*key, count - before.get(key, 0)) for key, count in now.items() if count > before.get(key, 0)]
