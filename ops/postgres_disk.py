"""The room that is left on Postgres' disk, for `doctor` and `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.finding import Finding
from runtime.postgres_disk import disk_use

if TYPE_CHECKING:
    from runtime.postgres import Connection
    from runtime.postgres_disk import PostgresDisk
    from runtime.settings import OpsSettings

CHECK: Final = "postgres disk"
UNKNOWN: Final = Finding(
    CHECK,
    ok=True,
    found="not watched: Postgres does not say how large its disk is",
    advice="set RATCHET_OPS__POSTGRES_DISK_BYTES, or watch it from outside (RUNBOOK: The disk of Postgres fills up)",
)


async def findings(settings: OpsSettings, connection: Connection) -> list[Finding]:
    """Look at the room left on Postgres' disk; nothing where its size is not known."""
    if settings.postgres_disk_bytes is None:
        return []
    return [finding(await disk_use(connection, settings.postgres_disk_bytes), settings.disk_free_bytes_min)]


def finding(disk: PostgresDisk, bytes_min: int) -> Finding:
    """Check whether Postgres' disk fills up. Pure."""
    ok = disk.free_bytes >= bytes_min
    advice = "" if ok else "grow it, or remove what is not needed (RUNBOOK: The disk of Postgres fills up)"
    return Finding(CHECK, ok=ok, found=str(disk), advice=advice)
