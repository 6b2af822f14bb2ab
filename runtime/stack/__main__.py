"""Fetch what the embedded brokers need, ahead of time and with progress: `python -m runtime.stack`."""

from __future__ import annotations

import sys

from runtime.settings import load
from runtime.stack import jars, kafka, layout
from runtime.stack.progress import say
from schemas.errors import RatchetError


def main() -> int:
    """Fetch and prepare Kafka unless endpoints are configured; return 0, or 2 with a sentence on standard error."""
    try:
        settings = load()
        if settings.embedded() and settings.test_stack == "embedded":
            home = layout.at(settings.home)
            layout.make_ready(home)
            folder = jars.fetch(jars.default_cache(home.home), settings.stack)
            kafka.train(jars.paths(folder), folder.parent, settings.stack)
    except RatchetError as error:
        say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
