"""Small worlds, each with what must hold in it, and the planted faults that its exploration has to find."""

from __future__ import annotations

from typing import Final

from model.worlds.adopting import Adopting
from model.worlds.burying import Burying
from model.worlds.fencing import Fencing
from model.worlds.locking import Locking
from model.worlds.merging import Following, Gathering, Merging, Telling
from model.worlds.relaying import Ordering, Relaying
from model.worlds.restoring import Restoring
from model.worlds.waking import Meeting, Waking

_ALL = (
    Meeting, Fencing, Locking, Burying, Relaying, Merging, Following, Telling, Gathering, Adopting, Ordering, Restoring,
    Waking,
)  # fmt: skip
WORLDS: Final = {world.name: world for world in _ALL}
