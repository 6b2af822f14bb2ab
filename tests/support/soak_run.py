"""A soak's run as its file holds it: what heads it, a look a minute, how it ended."""

from __future__ import annotations


def look(minute: int, **more: object) -> dict[str, object]:
    process = {"bytes": (100 + minute) * 1024**2, "files": 10, "threads": 3, "cpu_seconds": 0.6, "pid": 7}
    return {
        "second": 60.0 * minute,
        "events": 100 * minute,
        "events_since": 100,
        "processes": {"consumer": process},
        "connections": {"ratchet": 9},
        "tables": {"payments": [2 * 1024**2 + 5000 * minute, 1, 2]},
        "topics": {"payments.webhooks": 2 * 1024**2 + (minute if minute < 60 else 4 * minute - 180) * 1000},
        "lag": {"payments.webhooks": 0},
        "answered_p99_seconds": 0.01,
        "applied_p99_seconds": None,
        "killed": [],
        "load": 1.0,
        **more,
    }


HEAD = {
    "at": "2026-11-27 18:40", "command": "make soak HOURS=2", "commit": "abc", "rate": 20, "cores": 2,
    "machine": "Linux", "python": "3.11", "kafka": "4", "seed": 1, "hours": 2,
}  # fmt: skip

END = {
    "requests": 9, "events": 8, "statuses": {"202": 9}, "outcome": {"applied": 8}, "refused": {}, "repeated": 0,
    "intents": 0, "captures": 0, "payments": 3, "unanswered": 0, "killed": [[5.0, "relay"]], "left": {}, "problems": [],
    "problems_all": 0,
}  # fmt: skip
