"""docs/containers.md, out of what a trial has seen. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from containers.run import Seen

HEAD = """# On a container engine

Written by `make containers`, not by hand: the image of deploy/Dockerfile and deploy/compose.yaml, played on
{engine}, with Compose {compose}, {at} UTC.
{images}

20 webhooks and 2 intents a second came in by the published port all the while; what was refused was sent again, as
providers do. Every container's process was ended with SIGKILL from outside and came back by its restart policy; then
the consumer was scaled to three, each killed; then everything was taken down and brought up again on the same volumes.
The ledger was compared from inside the network.

| what | seen |
|---|---|
| image | built in {image_seconds:.0f} s, {image_mebibytes:.0f} MiB |
| from `up` until the ingress answers | {up_seconds:.0f} s |
| `down` and `up` again, until the ingress answers | {down_up_seconds:.0f} s |
| webhooks taken | {webhooks:,} |
| intents and captures taken | {intents:,} and {captures:,} |
| refused meanwhile, and sent again | {refused} |
| payments, ledger rows, dead letters | {payments:,}, {ledger_rows:,}, {letters:,} |
| lost, doubled, other than reported | {problems} |
| `ratchet audit verify` | {audit} |
| what `ratchet doctor` has against it | {doctor} |

## Killed, and healthy again

| process | seconds |
|---|---|
"""

PROBLEMS_SHOWN_MAX = 10

OFFICIAL = "Base images: the official ones."
STAND_INS = """Base images: stand-ins of deploy/stand-ins under the official names (no registry was in reach). They
keep the official images' documented contract; the official images themselves were not seen."""


def page_of(seen: Seen) -> str:
    """Return the page."""
    verdict = seen.verdict
    counts = {
        ("no answer" if status == "none" else status): number for status, number in verdict.get("refused", {}).items()
    }
    refused = ", ".join(f"{number:,} x {status}" for status, number in counts.items()) or "none"
    head = HEAD.format(
        engine=seen.engine,
        compose=seen.compose,
        at=seen.at,
        images=STAND_INS if seen.stand_ins else OFFICIAL,
        image_seconds=seen.image_seconds,
        image_mebibytes=seen.image_mebibytes,
        up_seconds=seen.up_seconds,
        down_up_seconds=seen.down_up_seconds,
        webhooks=seen.webhooks,
        refused=refused,
        problems="; ".join(seen.problems[:PROBLEMS_SHOWN_MAX]) or "none",
        audit=seen.audit,
        doctor="; ".join(seen.doctor) or "nothing",
        **{name: verdict.get(name, 0) for name in ("intents", "captures", "payments", "ledger_rows", "letters")},
    )
    rows = "".join(f"| {name} | {seconds:.1f} |\n" for name, seconds in seen.back.items())
    return head + rows + f"\nLoad average of the machine at the end: {seen.load_average:.1f}.\n"
