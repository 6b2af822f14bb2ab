"""One target led by atheris, in a process of its own: TARGET, folders of inputs, and libFuzzer's options."""

from __future__ import annotations

import sys

import atheris

OURS = [
    "schemas",
    "providers",
    "consumer",
    "producers",
    "ops",
    "runtime.kafka_records",
    "runtime.masking",
    "runtime.terminal",
]

with atheris.instrument_imports(include=OURS, enable_loader_override=False):
    from fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()
