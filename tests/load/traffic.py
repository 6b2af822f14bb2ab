"""What a load posts: lives of payments by their number, each the same again from one seed, and intents. Pure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

from ops.sample.history import CURRENCIES
from ops.sample.plan import DUPLICATE_SHARE, GENERATORS, WEIGHTS

if TYPE_CHECKING:
    from ops.sample.post import Life, Post

CLIENT: Final = "shop"
PARTIAL_SHARE: Final = 0.5
"""How many captures name an amount; the others take all."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One post of a life. `place` is which of the life's posts it is: a later delivery has the same."""

    life: int
    place: int
    post: Post


@dataclass(frozen=True, slots=True)
class Wish:
    """An intent and its capture, each under its own Idempotency-Key."""

    reference: str
    create_key: str
    create: dict[str, Any]
    capture_key: str
    capture: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Traffic:
    """All that may be posted. `now` is unix seconds and only shown inside events."""

    seed: int
    now: int

    def _random(self, what: str, number: int) -> Random:
        return Random(f"{self.seed}:{what}:{number}")

    def life(self, number: int) -> Life:
        """Return a payment of one of several providers, with everything its provider says about it."""
        rng = self._random("life", number)
        names = list(GENERATORS)
        generator = GENERATORS[rng.choices(names, [WEIGHTS[name] for name in names])[0]]
        reported = replace(generator.invent(rng), merchant_account=rng.choice(generator.merchants))
        return generator.live(rng, reported, self.now)

    def deliveries(self, number: int) -> list[Delivery]:
        """Return a life's posts in any order, some of them twice."""
        rng = self._random("order", number)
        life = self.life(number)
        found = [Delivery(number, place, post) for place, post in enumerate(life.posts)]
        again = GENERATORS[life.provider].again
        found += [Delivery(number, one.place, again(one.post)) for one in found if rng.random() < DUPLICATE_SHARE]
        rng.shuffle(found)
        return found

    def wish(self, number: int) -> Wish:
        """Return what an upstream service asks for: a payment of its own reference, then all or a part of it."""
        rng = self._random("wish", number)
        amount = rng.randint(500, 250_000)
        reference = f"load-{self.seed}-{number}"
        create = {
            "amount": amount,
            "currency": rng.choice(CURRENCIES),
            "provider": rng.choice(list(GENERATORS)),
            "reference": reference,
        }
        capture = {"amount": rng.randint(1, amount)} if rng.random() < PARTIAL_SHARE else {}
        keys = [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(2)]
        return Wish(reference, keys[0], create, keys[1], capture)
