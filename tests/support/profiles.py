"""How many examples a property test tries: all numbers, by profile, in this one place.

HYPOTHESIS_PROFILE names the profile: `dev` unless it is set, `ci` in .ci/run, `nightly` in `make nightly`. A property
takes the profile's USUAL by itself; `@examples(FEW)` is for those that run once a provider or trace, `@examples(MANY)`
for the few that carry the most, `@examples(MOST)` for those of them whose draws seldom meet what they look for.

`dev` is what a developer waits for after each change, so it draws the least: about as much as keeps `pytest tests/unit`
within its minute. It draws anew each time, so many runs see what one does not. No change lands by it alone: `.ci/run`
takes `ci`, with up to four times as many, and `make nightly` hundreds of times as many.

`ci` draws the same examples at every run (derandomize): what turns red there was turned red by the change, and turns
red again on a developer's machine; many more of the same would find nothing new. Looking for what nobody thought of is
the work of `dev` and `nightly`, which draw anew each time; `dev` keeps what failed in .hypothesis and tries it first.

`mutants` is that of `make mutants`: the same draws each time, and what failed is not made smaller, which takes minutes
and tells no more than that the fault was noticed.

No profile has a deadline or minds slow draws: how long an example takes says more of the machine than of the code, and
pytest-timeout ends what hangs.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, Phase, settings

FEW: Final = "few"
USUAL: Final = "usual"
MANY: Final = "many"
MOST: Final = "most"
REQUESTS: Final = "requests"
"""Requests that schemathesis makes of each operation in each of its phases, against the running ingress."""

EXAMPLES: Final = {
    "dev": {FEW: 6, USUAL: 20, MANY: 45, MOST: 100, REQUESTS: 3},
    "ci": {FEW: 12, USUAL: 35, MANY: 90, MOST: 400, REQUESTS: 6},
    "mutants": {FEW: 20, USUAL: 60, MANY: 150, MOST: 400, REQUESTS: 8},
    "nightly": {FEW: 1_000, USUAL: 3_000, MANY: 10_000, MOST: 10_000, REQUESTS: 100},
}
SAME_DRAWS: Final = ("ci", "mutants")
SLOW_DRAWS: Final = (HealthCheck.too_slow, HealthCheck.data_too_large)


def chosen() -> str:
    """Return the name of the profile that the environment asks for; a name that is none fails the start."""
    name = os.environ.get("HYPOTHESIS_PROFILE") or "dev"
    if name not in EXAMPLES:
        raise ValueError(f"HYPOTHESIS_PROFILE is {name!r}; there are {', '.join(EXAMPLES)}")
    return name


def load() -> None:
    """Make the chosen profile what every property takes. Called before any test module is imported."""
    for name, counts in EXAMPLES.items():
        settings.register_profile(
            name,
            max_examples=counts[USUAL],
            deadline=None,
            suppress_health_check=SLOW_DRAWS,
            derandomize=name in SAME_DRAWS,
            print_blob=True,
            **({"database": None} if name in SAME_DRAWS else {}),
            **({"phases": (Phase.explicit, Phase.generate)} if name == "mutants" else {}),
        )
    settings.load_profile(chosen())


def examples(amount: str) -> settings:
    """Return the settings, to be used as a decorator, of a property that tries FEW, MANY or MOST examples."""
    return settings(max_examples=EXAMPLES[chosen()][amount])
