"""Put bytes that nobody thought of to the targets for so many seconds: `make fuzz SECONDS=600`.

With atheris, each target runs in a process of its own, led by the branches that an input reaches. Without it (no wheel
for this machine) seeds are changed blindly. An input that shows a fault is kept in tests/fuzz/corpus, where `make test`
finds it; exit status 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fuzz import seeds
from fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

GUIDED: Final = Path(__file__).with_name("guided.py")
START_SECONDS: Final = 60.0
"""What a process may take beside its time: importing instrumented code, and one slow input."""
TOKENS: Final = (
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"{",
    b"[" * 200,
    b"null",
    b"-1",
    b"1e400",
    b"9" * 30,
    b"%00",
    b"\n",
    b": ",
)


def mutated(chance: random.Random, seed: bytes, other: bytes) -> bytes:
    """Return a seed with some of its bytes changed, dropped, doubled, or exchanged for those of another one."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        begin = chance.randint(0, len(data))
        end = min(len(data), begin + chance.randint(0, 8))
        take = chance.randint(0, max(0, len(other) - 1))
        pieces = (chance.randbytes(1), chance.choice(TOKENS), data[begin:end] * 2, b"", other[take : take + 16])
        data[begin:end] = chance.choice(pieces)
    return bytes(data)


def blindly(name: str, seconds: float, chance: random.Random) -> tuple[int, bytes | None]:
    """Try changed seeds; return how many, and the first that shows a fault."""
    begin, ends, tried = seeds.of(name), time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        data = mutated(chance, chance.choice(begin), chance.choice(begin))
        tried += 1
        try:
            TARGETS[name](data)
        except Exception:  # noqa: BLE001 - whatever it is, the input shows it
            traceback.print_exc()
            return tried, data
    return tried, None


def guided(name: str, seconds: float) -> tuple[int, bytes | None]:
    """Let atheris look; return how many inputs it tried, and the one that shows a fault."""
    with tempfile.TemporaryDirectory(prefix="ratchet-fuzz-") as folder:
        found, begin = Path(folder, "found"), Path(folder, "begin")
        found.mkdir()
        begin.mkdir()
        for number, seed in enumerate(seeds.of(name)):
            (begin / f"{number}").write_bytes(seed)
        options = [f"-max_total_time={max(int(seconds), 1)}", f"-artifact_prefix={folder}/", "-timeout=20"]
        command = [sys.executable, str(GUIDED), name, str(found), str(begin), *options, "-print_final_stats=1"]
        run = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds + START_SECONDS,
        )
        reported = run.stdout + run.stderr
        tried = next((int(line.split()[-1]) for line in reported.splitlines() if "number_of_executed_units" in line), 0)
        shown = [path for path in Path(folder).iterdir() if path.is_file()]
        if run.returncode and not shown:
            raise SystemExit(f"fuzz: atheris ended with status {run.returncode}:\n{reported[-2000:]}")
        if shown:
            sys.stderr.write(reported[-4000:])
        return tried, shown[0].read_bytes() if shown else None


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)}; all without one")
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--blind", action="store_true", help="without atheris, though it is there")
    parser.add_argument("--seed", type=int, default=None, help="of the blind ones' chance")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - TARGETS.keys():
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the targets that are asked for; return the exit status."""
    options = parsed(arguments)
    names = options.names or list(TARGETS)
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    lead = not options.blind and importlib.util.find_spec("atheris") is not None
    tell(f"{len(names)} targets, {options.seconds:.0f} s, " + ("led by atheris" if lead else f"blind, --seed {seed}"))
    faults = 0
    for name in names:
        chance, share = random.Random(seed), options.seconds / len(names)
        tried, shown = guided(name, share) if lead else blindly(name, share, chance)
        tell(f"{name}: {tried:,} inputs" + ("" if shown is None else f", a fault: {kept(name, shown)}"))
        faults += shown is not None
    return 1 if faults else 0


def tell(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def kept(name: str, data: bytes) -> Path:
    """Write an input that shows a fault where `make test` finds it; return the file."""
    file = seeds.CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


if __name__ == "__main__":
    raise SystemExit(main())
